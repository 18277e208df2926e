"""Counts, rates and codes per slot."""

from __future__ import annotations

from wsedge_statistics.numbers import answers
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Counts, SlotSums

SLOTS = (Slot(0, 3600), Slot(3600, 7200))
BUSY = SlotSums((), 0, Counts(sent=1_875_000, received=0, peak=3), 750_000, 600, 0, 300)


def test_a_rate_has_its_average_and_its_peak() -> None:
    """A slot's rate has its average, its highest five minutes and their time; an idle one has zeros."""
    first, second = answers.rates([BUSY], SLOTS)
    assert (first.sent.average, first.sent.peak, first.sent.peak_time) == (4166.667, 20_000.0, 600)
    assert (second.sent.average, second.sent.peak, second.sent.peak_time) == (0.0, 0.0, None)
    assert [pair.slot for pair in (first, second)] == list(SLOTS)


def test_a_peak_of_zero_has_no_time() -> None:
    """A direction without bytes is idle."""
    first, _ = answers.rates([BUSY], SLOTS)
    assert (first.received.average, first.received.peak, first.received.peak_time) == (0.0, 0.0, None)


def test_idle_slots_have_zeros() -> None:
    """Every slot has counts."""
    assert answers.traffic([BUSY], SLOTS) == [
        answers.SlotCounts(SLOTS[0], BUSY.counts),
        answers.SlotCounts(SLOTS[1], Counts()),
    ]


def test_proportions_of_a_slot_add_up_to_a_hundred() -> None:
    """Codes are counted per slot, ascending, idle slots empty."""
    sums = [CodeSum((), 0, 502, 1), CodeSum((), 0, 101, 9)]
    first, second = answers.codes(sums, SLOTS)
    assert [(c.code, c.count, c.proportion) for c in first] == [(101, 9, 90.0), (502, 1, 10.0)]
    assert second == []


def test_codes_of_all_slots_are_added() -> None:
    """A code of two slots has their sum."""
    sums = [CodeSum((), 0, 101, 9), CodeSum((), 1, 101, 3), CodeSum((), 1, 403, 4)]
    found = answers.total_codes(sums)
    assert [(c.code, c.count, c.proportion) for c in found] == [(101, 12, 75.0), (403, 4, 25.0)]
