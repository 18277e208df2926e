"""The parts of workers in an order to shed, and their progress together."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsedge_relay.tunnel.shedding import ShedOrder, ShedProgress, shares, together

SHARES = {
    "each worker closes as many as it has more": (90, [60, 30], [60, 30]),
    "equal workers get equal parts": (10, [50, 50], [5, 5]),
    "a worker without connections gets no part": (10, [0, 40], [0, 10]),
    "more than there are is all of them": (100, [3, 4], [3, 4]),
    "one connection is closed by one worker": (1, [1, 1, 1], [0, 1, 0]),
    "no connection at all": (5, [0, 0], [0, 0]),
}


@pytest.mark.parametrize("case", SHARES)
def test_shares(case: str) -> None:
    """The part of each worker is as its part of the open connections."""
    connections, counts, expected = SHARES[case]
    parts = list(shares(ShedOrder("a", connections, 5.0), counts))
    assert [part.connections for part in parts] == expected
    assert {part.name for part in parts} == {"a"}


@given(st.integers(1, 500), st.lists(st.integers(0, 200), min_size=1, max_size=9))
@example(420, [8, 20, 33, 42, 153, 169, 199])
def test_parts_add_up_to_the_order(connections: int, counts: list[int]) -> None:
    """Never more than was asked, of no worker more than it has, each fair within one; rates likewise."""
    order = ShedOrder("a", connections, 10.0)
    parts = list(shares(order, counts))
    total = sum(counts)
    assert sum(part.connections for part in parts) == min(connections, total)
    for part, count in zip(parts, counts, strict=True):
        assert part.connections <= count
        fair = min(connections, total) * count / total if total else 0
        assert abs(part.connections - fair) <= 1
        assert part.per_second == pytest.approx(10.0 * part.connections / connections)


TOGETHER = {
    "no order yet": ([ShedProgress(), ShedProgress()], ShedProgress()),
    "one worker still closes": (
        [ShedProgress("a", 2, ended=False), ShedProgress("a", 3)],
        ShedProgress("a", 5, ended=False),
    ),
    "a worker that restarted has no order": ([ShedProgress(), ShedProgress("a", 3)], ShedProgress("a", 3)),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_together(case: str) -> None:
    """The progress of a relay is the sum over its workers."""
    parts, expected = TOGETHER[case]
    assert together(parts) == expected
