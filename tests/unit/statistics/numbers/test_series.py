"""Selections, grains and sums."""

from __future__ import annotations

import pytest

from wsedge_statistics.numbers.series import (
    Counts,
    Dimension,
    Grain,
    Key,
    Selection,
    SlotSums,
    grain_of,
    totals,
)

A = Key("a.example", "team-a", "shanghai", "telecom", "CN")
B = Key("a.example", "team-a", "beijing", "unicom", "AP1")

SELECTIONS = {
    "everything": (Selection(0, 1), A, True),
    "a region": (Selection(0, 1, region="shanghai"), A, True),
    "another region": (Selection(0, 1, region="shanghai"), B, False),
    "region and ISP must both fit": (Selection(0, 1, region="shanghai", isp="unicom"), A, False),
    "an ISP alone": (Selection(0, 1, isp="unicom"), B, True),
    "an area": (Selection(0, 1, area="AP1"), B, True),
    "another area": (Selection(0, 1, area="AP1"), A, False),
    "another account": (Selection(0, 1, account="team-b"), A, False),
    "one of several domains": (Selection(0, 1, domains=frozenset({"a.example", "b.example"})), A, True),
    "another domain": (Selection(0, 1, domains=frozenset({"b.example"})), A, False),
}


@pytest.mark.parametrize(("selection", "key", "taken"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_a_selection_includes_keys(selection: Selection, key: Key, taken: bool) -> None:
    """Every filter that is given must fit."""
    assert selection.includes(key) is taken


def test_a_key_has_a_part_for_each_dimension() -> None:
    """The parts are those by which sums are grouped."""
    assert [A.part(dimension) for dimension in Dimension] == [
        "team-a",
        "a.example",
        "shanghai",
        "telecom",
        "CN",
    ]


D = Dimension
GRAINS: dict[str, tuple[Selection, tuple[Dimension, ...], Grain]] = {
    "nothing asked for": (Selection(0, 1), (), Grain.EVERYTHING),
    "an account": (Selection(0, 1, account="team-a"), (), Grain.ACCOUNT),
    "by account": (Selection(0, 1), (D.ACCOUNT,), Grain.ACCOUNT),
    "a domain of all accounts": (Selection(0, 1, domains=frozenset({"a"})), (), Grain.DOMAIN),
    "an account by domain": (Selection(0, 1, account="team-a"), (D.DOMAIN,), Grain.DOMAIN),
    "a region": (Selection(0, 1, region="beijing"), (), Grain.PLACE),
    "an account by ISP and area": (Selection(0, 1, account="team-a"), (D.ISP, D.AREA), Grain.PLACE),
    "a domain's region": (Selection(0, 1, domains=frozenset({"a"}), region="beijing"), (), Grain.ROWS),
    "a region by domain": (Selection(0, 1, region="beijing"), (D.DOMAIN,), Grain.ROWS),
}


@pytest.mark.parametrize(("selection", "group_by", "grain"), GRAINS.values(), ids=GRAINS.keys())
def test_the_coarsest_grain_answers(
    selection: Selection, group_by: tuple[Dimension, ...], grain: Grain
) -> None:
    """A domain together with a region, ISP or area is answered by rows alone."""
    assert grain_of(selection, group_by) is grain


def sums(slot: int, counts: Counts, sent: tuple[int, int], received: tuple[int, int]) -> SlotSums:
    return SlotSums(("a",), slot, counts, *sent, *received)


def test_a_total_adds_but_peaks_do_not_and_the_earliest_counts() -> None:
    """Counts of slots add up; of peaks the largest stays, of equal peaks the earliest."""
    first = sums(0, Counts(1, 2, 3, 4, 5, 6, 7), (1, 300), (2, 300))
    second = sums(2, Counts(10, 20, 30, 40, 50, 60, 5), (9, 900), (2, 900))
    other = SlotSums(("b",), 1, Counts(sent=1), 1, 300, 0, 300)
    assert totals([first, second, other]) == [
        sums(0, Counts(11, 22, 33, 44, 55, 66, 7), (9, 900), (2, 300)),
        SlotSums(("b",), 0, Counts(sent=1), 1, 300, 0, 300),
    ]
    assert totals([]) == []
