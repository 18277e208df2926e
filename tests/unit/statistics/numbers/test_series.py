"""Series: sums and selections."""

from __future__ import annotations

from wsedge_statistics.numbers.series import Key, Selection, add, add_series

A = Key("a.example", "team-a", "shanghai", "telecom", "CN")
B = Key("a.example", "team-a", "beijing", "unicom", "CN")


def test_zeros_leave_no_trace_in_a_series() -> None:
    """A zero adds no entry."""
    series: dict[str, dict[int, int]] = {}
    for value in (0, 2, 3):
        add(series, "sent", 300, value)
    assert series == {"sent": {300: 5}}


def test_values_outside_of_the_range_are_left_out() -> None:
    """The range is half-open."""
    total: dict[str, dict[int, int]] = {}
    add_series(total, {"sent": {0: 1, 300: 2, 600: 4}}, start=300, end=600)
    assert total == {"sent": {300: 2}}


SELECTIONS = {
    "everything is answered by totals": (Selection(0, 1), A.total(), True),
    "everything does not count full keys twice": (Selection(0, 1), A, False),
    "a region takes its full keys": (Selection(0, 1, region="shanghai"), A, True),
    "a region leaves others": (Selection(0, 1, region="shanghai"), B, False),
    "a region leaves totals": (Selection(0, 1, region="shanghai"), A.total(), False),
    "region and ISP must both fit": (Selection(0, 1, region="shanghai", isp="unicom"), A, False),
    "an ISP alone": (Selection(0, 1, isp="unicom"), B, True),
    "another account": (Selection(0, 1, account="team-b"), A.total(), False),
    "one of several domains": (
        Selection(0, 1, domains=frozenset({"a.example", "b.example"})),
        A.total(),
        True,
    ),
    "another domain": (Selection(0, 1, domains=frozenset({"b.example"})), A.total(), False),
}


def test_selections() -> None:
    """Each sentence of the table holds."""
    assert {name: s.includes(key) for name, (s, key, _) in SELECTIONS.items()} == {
        name: taken for name, (_, _, taken) in SELECTIONS.items()
    }
