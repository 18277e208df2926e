"""Counts, rates and codes per slot."""

from __future__ import annotations

from wsedge_statistics.numbers import answers
from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.numbers.ranges import Range, Slot

SLOTS = (Slot(0, 3600), Slot(3600, 7200))


def test_the_peak_is_taken_after_the_sum_and_the_earliest_counts() -> None:
    """A slot's rate has its average, its highest five minutes and when those were."""
    first, second = answers.rates({300: 375_000, 600: 750_000, 900: 750_000}, SLOTS)
    assert (first.average, first.peak, first.peak_time) == (4166.667, 20_000.0, 600)
    assert (second.average, second.peak, second.peak_time) == (0.0, 0.0, None)


def test_traffic_adds_but_peaks_do_not() -> None:
    """Bytes of buckets add up to a slot's; of peak connections the highest bucket counts."""
    series = {"sent": {0: 1, 300: 2, 3600: 4}, "peak": {0: 5, 300: 7, 3600: 6}}
    points, total = answers.traffic(series, Range(Granularity.HOUR, SLOTS))
    assert [(p.sent, p.peak) for p in points] == [(3, 7), (4, 6)]
    assert (total.sent, total.peak, total.received) == (7, 7, 0)


def test_values_outside_the_slots_are_not_counted() -> None:
    """A bucket before the first or after the last slot counts nowhere."""
    points, total = answers.traffic({"sent": {0: 1, 7200: 9}}, Range(Granularity.HOUR, (Slot(3600, 7200),)))
    assert (points[0].sent, total.sent) == (0, 0)


def test_proportions_of_a_slot_add_up_to_a_hundred() -> None:
    """Codes are counted per slot, ascending, idle slots empty."""
    first, second = answers.codes({"code:502": {300: 1}, "code:101": {0: 4, 600: 5}, "sent": {0: 9}}, SLOTS)
    assert [(c.code, c.count, c.proportion) for c in first] == [(101, 9, 90.0), (502, 1, 10.0)]
    assert second == []
