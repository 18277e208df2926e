"""The seven metering methods, on the five-minute values of effective days. Pure.

A value is the bytes of one slot, summed over all domains of an account within one billing area. Sources of
the rules: docs/billing.md. Slots without traffic are zeros that count, so a day has the number of its slots
and the values that are not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from operator import itemgetter
from typing import Final

from wsedge_statistics.billing.rules import ZERO

FIVE_PERCENT: Final = 20  # one of twenty; integers, so that floor(0.05 n) is exact
TRAFFIC: Final = "Traffic"
DAILY_PEAK: Final = "DailyPeakBandwidth"
# Halves, since whole numbers are ranked ten times as fast as fractions.
WHOLE: Final = 2
HALF: Final = 1
_FOURTH: Final = 4


@dataclass(frozen=True, slots=True)
class DayValues:
    """The slots of one effective day: how many there are, and the bytes of those with traffic.

    `complete` is false while the day is not over.
    """

    date: date
    slots: int
    values: Mapping[int, int]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Deciding:
    """A slot that decided a figure: its day, start (UTC seconds) and bytes, and how many of these count."""

    date: date
    slot: int
    bytes: int
    counted: Fraction


@dataclass(frozen=True, slots=True)
class Figure:
    """What a method found: bytes in all (Traffic) or of one slot (bandwidth), which a mean makes a fraction.

    `n` values were ranked or summed and `dropped` of them set aside; both are sums over days where a method
    ranks each day by itself. `days` were counted. `deciding` has no slot of zero bytes.
    """

    bytes: Fraction
    n: int
    dropped: int
    days: int
    deciding: tuple[Deciding, ...] = ()


# The halves that a slot's bytes count for: WHOLE or HALF.
Weight = Callable[[int], int]


def _whole(_: int) -> int:
    return WHOLE


def measure(method: str, days: Sequence[DayValues], *, is_night: Callable[[int], bool]) -> Figure:
    """Return the figure of a method; `is_night` tells slots that begin in [00:00, 08:00) local time."""
    if method == "Month95NightHalfBandwidth":
        return percentile(days, lambda slot: HALF if is_night(slot) else WHOLE)
    return _METHODS[method](days)


def traffic(days: Sequence[DayValues]) -> Figure:
    """Return the sum of all values."""
    total = sum(sum(day.values.values()) for day in days)
    return Figure(Fraction(total), sum(day.slots for day in days), 0, len(days))


def daily_peak(days: Sequence[DayValues]) -> Figure:
    """Return the highest value; a statement of this method has one day."""
    return _of_slots(days, 0, _rank(days, _whole))


def percentile(days: Sequence[DayValues], weight: Weight = _whole) -> Figure:
    """Return the highest value after floor(0.05 n) of all n values were dropped."""
    n = sum(day.slots for day in days)
    return _of_slots(days, n // FIVE_PERCENT, _rank(days, weight))


def average_peak(days: Sequence[DayValues]) -> Figure:
    """Return the mean of the daily peaks over the days that are complete."""
    return _mean([daily_peak([day]) for day in days if day.complete])


def fourth_peak(days: Sequence[DayValues]) -> Figure:
    """Return the fourth highest daily peak; 0 with fewer than four days.

    Several high slots on one day are one daily peak.
    """
    peaks = [peak for day in days for peak in daily_peak([day]).deciding]
    ranked = sorted(peaks, key=lambda peak: (-peak.counted, peak.slot))
    deciding = tuple(ranked[_FOURTH - 1 : _FOURTH])
    return Figure(
        bytes=sum((peak.counted for peak in deciding), ZERO),
        n=len(days),
        dropped=min(len(days), _FOURTH - 1),
        days=len(days),
        deciding=deciding,
    )


def average_percentile(days: Sequence[DayValues]) -> Figure:
    """Return the mean of the 95th percentiles of the days that are complete."""
    return _mean([percentile([day]) for day in days if day.complete])


def _rank(days: Iterable[DayValues], weight: Weight) -> list[tuple[int, int, DayValues]]:
    """Return the slots with traffic in descending order of what counts; of equals the earliest first.

    Each is the opposite of its halves, its start and its day.
    """
    slots = (
        (-value * weight(slot), slot, day) for day in days for slot, value in day.values.items() if value
    )
    return sorted(slots, key=itemgetter(0, 1))


def _of_slots(
    days: Sequence[DayValues], dropped: int, ranked: Sequence[tuple[int, int, DayValues]]
) -> Figure:
    """Return the figure of the first value after the dropped ones; beyond `ranked` all values are zeros."""
    deciding = tuple(
        Deciding(day.date, slot, day.values[slot], Fraction(-halves, WHOLE))
        for halves, slot, day in ranked[dropped : dropped + 1]
    )
    value = sum((each.counted for each in deciding), ZERO)
    return Figure(value, sum(day.slots for day in days), dropped, len(days), deciding)


def _mean(figures: Sequence[Figure]) -> Figure:
    if not figures:
        return Figure(ZERO, 0, 0, 0)
    return Figure(
        bytes=sum((figure.bytes for figure in figures), ZERO) / len(figures),
        n=sum(figure.n for figure in figures),
        dropped=sum(figure.dropped for figure in figures),
        days=len(figures),
        deciding=tuple(each for figure in figures for each in figure.deciding),
    )


_METHODS: Final[Mapping[str, Callable[[Sequence[DayValues]], Figure]]] = {
    TRAFFIC: traffic,
    DAILY_PEAK: daily_peak,
    "Month95Bandwidth": percentile,
    "MonthAveragePeakBandwidth": average_peak,
    "Month4thPeakBandwidth": fourth_peak,
    "MonthAverage95Bandwidth": average_percentile,
}
