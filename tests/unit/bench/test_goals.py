"""The bench's goals beside measured figures."""

from __future__ import annotations

import goals
from figures import Column, Section, against


def _ws(plain: float) -> Section:
    samples = {"nginx": [10.0, 10.0], "wsedge, plain": [plain, plain]}
    return Section("ws", "ws", "µs", [Column("ping-pong", samples, against(samples, "nginx"))])


def test_a_goal_is_met_up_to_its_limit() -> None:
    """The median ratio decides, and the limit itself is met."""
    assert goals.table([_ws(11.5)]).splitlines()[-1] == (
        "| ws, ping-pong, ÷ nginx | wsedge, plain | 1.15 | 1.15 | met |"
    )


def test_a_goal_that_is_missed_says_so() -> None:
    """A ratio above the limit misses the goal."""
    assert goals.table([_ws(12.0)]).splitlines()[-1].endswith("| 1.15 | 1.20 | **not met** |")


def test_what_was_not_measured_has_no_row() -> None:
    """A section or a proxy that a run omitted has no row."""
    table = goals.table([_ws(11.0)])
    assert "compiled" not in table
    assert "wss" not in table
    assert goals.table([]) == ""


def test_growth_names_nginx_beside_it() -> None:
    """The growth of the cost with connections is the proxy's own, with nginx's for comparison."""
    few = {"nginx": [10.0, 10.0], "wsedge, plain": [10.0, 10.0]}
    much = {"nginx": [15.0, 15.0], "wsedge, plain": [12.0, 12.0]}
    section = Section("many", "Busy", "µs", [Column("100", few), Column("9,000", much, few)])
    assert goals.table([section]).splitlines()[-1] == (
        "| Busy, 9,000 | wsedge, plain | 1.03 | 1.20; nginx 1.50 | **not met** |"
    )


def test_a_goal_without_a_base_is_of_the_figure_itself() -> None:
    """Bytes of an idle connection are compared with a number of bytes."""
    section = Section("idle", "Idle", "bytes", [Column("10,000", {"wsedge, plain": [1500.0]})])
    assert goals.table([section]).splitlines()[-1] == (
        "| Idle, 10,000 | wsedge, plain | 1,536 | 1,500 | met |"
    )
