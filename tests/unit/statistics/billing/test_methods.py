"""The seven methods: the worked example of each, and the edges of their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction

import pytest

from wsedge_statistics.billing.methods import DayValues, Deciding, measure

FIRST = date(2026, 6, 1)
DAY = 86400


def days(values: Sequence[Sequence[int]], *, slots: int = 288) -> list[DayValues]:
    """Days from 1 June, each with these values from its first slot on."""
    return [
        DayValues(
            FIRST + timedelta(days=index),
            slots,
            {index * DAY + 300 * slot: value for slot, value in enumerate(of_day)},
        )
        for index, of_day in enumerate(values)
    ]


def is_night(slot: int) -> bool:
    return slot % DAY < 8 * 3600


PEAKS = [[0, 10 * (index + 1)] for index in range(30)]
EXAMPLES = {
    "traffic is the sum of all values": ("Traffic", days([[1, 2], [3]]), 6, 576, 0),
    "the highest slot of the day is its peak": (
        "DailyPeakBandwidth",
        days([[7, 15_000_000_000, 9]]),
        15_000_000_000,
        288,
        0,
    ),
    "of 8640 values 1 to 8640, 432 are dropped and 8208 counts": (
        "Month95Bandwidth",
        days([range(288 * index + 1, 288 * index + 289) for index in range(30)]),
        8208,
        8640,
        432,
    ),
    "of 29 days, 417 of 417.6 values are dropped": (
        "Month95Bandwidth",
        days([range(288 * index + 1, 288 * index + 289) for index in range(29)]),
        8352 - 417,
        8352,
        417,
    ),
    "the mean of daily peaks 10, 20 to 300": ("MonthAveragePeakBandwidth", days(PEAKS), 155, 8640, 0),
    "the fourth of daily peaks 10, 20 to 300": ("Month4thPeakBandwidth", days(PEAKS), 270, 30, 3),
    "a day of values 1 to 288 has the percentile 274": (
        "MonthAverage95Bandwidth",
        days([range(1, 289)]),
        274,
        288,
        14,
    ),
    "night values of 300 count as 150, above day values of 100": (
        "Month95NightHalfBandwidth",
        days([[300] * 96 + [100] * 192] * 30),
        150,
        8640,
        432,
    ),
    "four high slots of one day are one daily peak": (
        "Month4thPeakBandwidth",
        days([[900, 900, 900, 900], [1], [2], [3]]),
        1,
        4,
        3,
    ),
    "fewer than four days have no fourth peak": ("Month4thPeakBandwidth", days([[9], [9], [9]]), 0, 3, 3),
    "a fourth day without traffic makes the fourth peak zero": (
        "Month4thPeakBandwidth",
        days([[9], [9], [9], []]),
        0,
        4,
        3,
    ),
    "a mean that is no whole number stays exact": (
        "MonthAveragePeakBandwidth",
        days([[1], [1], [0]]),
        Fraction(2, 3),
        864,
        0,
    ),
    "a day of 23 hours drops 13 of its 276 values": (
        "MonthAverage95Bandwidth",
        days([range(1, 277)], slots=276),
        276 - 13,
        276,
        13,
    ),
    "a day of 25 hours drops 15 of its 300 values": (
        "MonthAverage95Bandwidth",
        days([range(1, 301)], slots=300),
        300 - 15,
        300,
        15,
    ),
    "slots without traffic are zeros that rank below all others": (
        "Month95Bandwidth",
        days([[5] * 14]),
        0,
        288,
        14,
    ),
    "one value more than is dropped counts": ("Month95Bandwidth", days([[5] * 15]), 5, 288, 14),
    "no day has a percentile of zero": ("Month95Bandwidth", [], 0, 0, 0),
    "no day has a mean of zero": ("MonthAverage95Bandwidth", [], 0, 0, 0),
    "no day has no traffic": ("Traffic", [], 0, 0, 0),
    "no day has no peak": ("DailyPeakBandwidth", [], 0, 0, 0),
}


@pytest.mark.parametrize(
    ("method", "given", "bytes_", "n", "dropped"), EXAMPLES.values(), ids=EXAMPLES.keys()
)
def test_figure(method: str, given: list[DayValues], bytes_: Fraction, n: int, dropped: int) -> None:
    """Each method finds the figure of its worked example, and says how many values it ranked and dropped."""
    figure = measure(method, given, is_night=is_night)
    assert (figure.bytes, figure.n, figure.dropped) == (bytes_, n, dropped)


def test_of_equal_values_the_earliest_slots_are_dropped_first() -> None:
    """The deciding slot of equal values is the one after the dropped, by time: the CSV shows the same."""
    figure = measure("Month95Bandwidth", days([[5] * 20]), is_night=is_night)
    assert figure.deciding == (Deciding(FIRST, 14 * 300, 5, Fraction(5)),)


def test_a_mean_names_a_slot_of_each_day() -> None:
    """Each day that a mean adds has its deciding slot; a day of zeros has none."""
    figure = measure("MonthAveragePeakBandwidth", days([[1, 8], [], [3]]), is_night=is_night)
    assert [(each.slot, each.bytes) for each in figure.deciding] == [(300, 8), (2 * DAY, 3)]


def test_a_fourth_peak_names_its_slot() -> None:
    """Of equal daily peaks the earlier day ranks higher."""
    figure = measure("Month4thPeakBandwidth", days([[5], [5], [5], [5], [5]]), is_night=is_night)
    assert [each.date for each in figure.deciding] == [FIRST + timedelta(days=3)]


def test_traffic_has_no_deciding_slot() -> None:
    """A sum has no slot that decided it."""
    assert measure("Traffic", days([[5]]), is_night=is_night).deciding == ()


def test_a_night_slot_shows_its_bytes_and_the_half_that_counts() -> None:
    """The deciding slot of a night has all its bytes, and half of them as counted."""
    figure = measure("Month95NightHalfBandwidth", days([[301] * 15]), is_night=is_night)
    (slot,) = figure.deciding
    assert (slot.bytes, slot.counted) == (301, Fraction(301, 2))


MEANS = {
    "the peaks of the days that are over": ("MonthAveragePeakBandwidth", 4),
    "the percentiles of the days that are over": ("MonthAverage95Bandwidth", 4),
}


@pytest.mark.parametrize(("method", "mean"), MEANS.values(), ids=MEANS.keys())
def test_a_day_that_is_not_over_does_not_lower_a_mean(method: str, mean: int) -> None:
    """Means leave out the current day."""
    values: Mapping[int, int] = {300 * slot: 4 for slot in range(288)}
    given = [DayValues(FIRST, 288, values), DayValues(FIRST + timedelta(days=1), 5, {}, complete=False)]
    assert measure(method, given, is_night=is_night).bytes == mean


def test_the_current_day_has_a_peak_that_counts_among_the_four() -> None:
    """A daily peak that was reached stands, whatever the rest of the day brings."""
    given = days([[9], [8], [7], [6]])
    running = [*given[:3], DayValues(given[3].date, 10, given[3].values, complete=False)]
    assert measure("Month4thPeakBandwidth", running, is_night=is_night).bytes == 6
