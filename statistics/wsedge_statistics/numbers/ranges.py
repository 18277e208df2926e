"""Questions to the ledger: ranges, the granularity matrix, slots and what is answered in them. Pure.

Rule of the product: a span of up to 3 days offers 5 minutes and 1 hour, up to 31 days 1 hour and 1 day,
more 1 day; at most 93 days (3 months). Five-minute answers reach 93 days back, hourly 186, daily 366.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Final

from wsedge_statistics.contract import bucket_of
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers.series import BUCKET, CODE_PREFIX, HOUR, MEASURES, PEAK, Series

DEFAULT_SPAN: Final = timedelta(hours=24)
FINE_SPAN: Final = timedelta(days=3)
MIDDLE_SPAN: Final = timedelta(days=31)
LONGEST_SPAN: Final = timedelta(days=93)


class Granularity(StrEnum):
    """The length of a slot."""

    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"


REACH: Final = {
    Granularity.FIVE_MINUTES: timedelta(days=93),
    Granularity.HOUR: timedelta(days=186),
    Granularity.DAY: timedelta(days=366),
}
MATRIX: Final = (
    (FINE_SPAN, (Granularity.FIVE_MINUTES, Granularity.HOUR)),
    (MIDDLE_SPAN, (Granularity.HOUR, Granularity.DAY)),
    (LONGEST_SPAN, (Granularity.DAY,)),
)

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")
_INSTANT = "an RFC 3339 instant such as 2026-11-22T10:05:00Z (write + as %2B)"


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of an answer: [start, end) in UTC seconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Range:
    """What a question covers: whole slots, one after the other without a gap."""

    granularity: Granularity
    slots: tuple[Slot, ...]

    @property
    def start(self) -> int:
        """The first slot's start, UTC seconds."""
        return self.slots[0].start

    @property
    def end(self) -> int:
        """The last slot's end, UTC seconds."""
        return self.slots[-1].end


def parse_instant(parameter: str, text: str) -> datetime:
    """Read an RFC 3339 instant. Raises QueryError."""
    if not _RFC3339.fullmatch(text):
        raise QueryError(parameter, "not an instant with a date, a time and an offset", _INSTANT)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(parameter, "no such date or time", _INSTANT) from None


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_of(start: datetime, end: datetime, zone: tzinfo) -> timedelta:
    """The span on the zone's calendar: a day of 23 or 25 hours (daylight saving) is one day."""
    return end.astimezone(zone).replace(tzinfo=None) - start.astimezone(zone).replace(tzinfo=None)


def offered(span: timedelta, age: timedelta) -> tuple[Granularity, ...]:
    """The granularities offered for a span whose start lies `age` back, finest first.

    Where the span's own granularities do not reach back that far, 1 day is offered.
    Empty: too long or too old.
    """
    by_span = next((choices for longest, choices in MATRIX if span <= longest), ())
    reaching = tuple(choice for choice in by_span if age <= REACH[choice])
    if by_span and not reaching and age <= REACH[Granularity.DAY]:
        return (Granularity.DAY,)
    return reaching


def settle_range(
    *, start: str | None, end: str | None, granularity: Granularity | None, zone: tzinfo, now: datetime
) -> Range:
    """Turn a question's parameters into whole slots. Neither time given: the last 24 hours.

    Widened to whole slots: `start` down, `end` up. 5m and 1h slots are cut in UTC, 1d slots at the
    midnights of `zone`. Without a granularity the finest one offered is used. Raises QueryError.
    """
    first, last = _asked_times(start, end, now)
    if last <= first:
        raise QueryError("end", "not later than start", f"an instant after {instant_text(first)}")
    if last > now + LONGEST_SPAN:
        raise QueryError("end", "too far in the future", f"instants up to {instant_text(now + LONGEST_SPAN)}")
    try:
        span = span_of(first, last, zone)
    except OverflowError:
        raise QueryError("start", "out of the calendar", _INSTANT) from None
    if span > LONGEST_SPAN:
        raise QueryError("end", "the span is longer than 93 days", "a span of at most 93 days (3 months)")
    choices = offered(span, now - first)
    if not choices:
        earliest = instant_text(now - REACH[Granularity.DAY])
        raise QueryError("start", "older than what is kept", f"instants from {earliest} on (366 days back)")
    chosen = granularity or choices[0]
    if chosen not in choices:
        names = ", ".join(choices)
        raise QueryError("granularity", _why_refused(chosen, span, now - first), f"{names} for this span")
    return Range(chosen, cut(first, last, chosen, zone))


def _asked_times(start: str | None, end: str | None, now: datetime) -> tuple[datetime, datetime]:
    if start is None and end is None:
        last = datetime.fromtimestamp(-(-int(now.timestamp()) // BUCKET) * BUCKET, tz=UTC)
        return last - DEFAULT_SPAN, last
    if start is None:
        raise QueryError("start", "missing although end is given", f"both or neither; {_INSTANT}")
    if end is None:
        raise QueryError("end", "missing although start is given", f"both or neither; {_INSTANT}")
    return parse_instant("start", start), parse_instant("end", end)


def _why_refused(chosen: Granularity, span: timedelta, age: timedelta) -> str:
    if age > REACH[chosen]:
        return f"{chosen} answers reach {REACH[chosen].days} days back, start is older"
    return f"{chosen} is not offered for a span of {span / timedelta(days=1):.4g} days"


def cut(start: datetime, end: datetime, granularity: Granularity, zone: tzinfo) -> tuple[Slot, ...]:
    """Cut whole slots that cover [start, end)."""
    if granularity is Granularity.DAY:
        return _cut_days(start, end, zone)
    step = HOUR if granularity is Granularity.HOUR else BUCKET
    # floor division twice gives floor and ceiling, also for fractions of a second
    first = int(start.timestamp() // step) * step
    last = -int(-end.timestamp() // step) * step
    return tuple(Slot(at, at + step) for at in range(first, last, step))


def _cut_days(start: datetime, end: datetime, zone: tzinfo) -> tuple[Slot, ...]:
    day = start.astimezone(zone).date()
    edges = [day_start(day, zone)]
    while edges[-1] < end:
        day += timedelta(days=1)
        edges.append(day_start(day, zone))
    seconds = [int(edge.timestamp()) for edge in edges]
    # a day that a zone skipped (Samoa, 30 December 2011) has no length and no slot
    return tuple(Slot(a, b) for a, b in pairwise(seconds) if a < b)


def day_start(day: date, zone: tzinfo) -> datetime:
    """The first instant of a natural day in a zone, in UTC; also where midnight is skipped or comes twice."""
    first = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    step = timedelta(seconds=BUCKET)
    # A gap that begins before midnight puts the day's first instant before where 00:00 would have been.
    while (first - step).astimezone(zone).date() >= day:
        first -= step
    return first


def complete_until(now: datetime, grace: timedelta) -> datetime:
    """The start of the first bucket that may still grow: all before it ended at least `grace` ago.

    Relays report at each bucket's end, so `grace` is the time that takes. It is a statement of the clock:
    a relay cut off from the statistics delivers later, and its counts are then added where they belong.
    """
    return bucket_of(now - grace)


@dataclass(frozen=True, slots=True)
class TrafficPoint:
    """Counts of one slot: bytes, messages, connections opened, and the most open in any five minutes."""

    slot: Slot
    sent: int
    received: int
    sent_messages: int
    received_messages: int
    opened: int
    peak: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Bits per second of a slot: its average, and its highest five-minute value with that one's start."""

    average: float
    peak: float
    peak_time: int | None


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How often a handshake was answered with `code`; `proportion` in percent of the slot's handshakes."""

    code: int
    count: int
    proportion: float


def _by_slot(values: dict[int, int], slots: Sequence[Slot]) -> list[list[tuple[int, int]]]:
    starts = [slot.start for slot in slots]
    found: list[list[tuple[int, int]]] = [[] for _ in slots]
    for bucket in sorted(values):
        index = bisect_right(starts, bucket) - 1
        if index >= 0 and bucket < slots[index].end:
            found[index].append((bucket, values[bucket]))
    return found


def _fold(series: Series, slots: Sequence[Slot]) -> list[TrafficPoint]:
    columns: list[list[int]] = []
    for measure in MEASURES:
        combine: Callable[[list[int]], int] = sum if measure != PEAK else (lambda v: max(v, default=0))
        by_slot = _by_slot(series.get(measure, {}), slots)
        columns.append([combine([value for _, value in pairs]) for pairs in by_slot])
    return [
        TrafficPoint(slot, *counts) for slot, counts in zip(slots, zip(*columns, strict=True), strict=True)
    ]


def traffic(series: Series, span: Range) -> tuple[list[TrafficPoint], TrafficPoint]:
    """Counts per slot, zero-filled, and of the whole range."""
    whole = Slot(span.start, span.end)
    return _fold(series, span.slots), _fold(series, [whole])[0]


def bits_per_second(byte_count: int, seconds: int) -> float:
    """Bits per second (1000-based units), to the thousandth."""
    return round(byte_count * 8 / seconds, 3)


def rates(values: dict[int, int], slots: Sequence[Slot]) -> list[Rate]:
    """Bandwidth per slot from five-minute byte sums; of equal peaks the earliest counts."""
    answer = []
    for slot, pairs in zip(slots, _by_slot(values, slots), strict=True):
        top = max(pairs, key=lambda pair: (pair[1], -pair[0]), default=None)
        average = bits_per_second(sum(value for _, value in pairs), slot.end - slot.start)
        if top is None or not top[1]:
            answer.append(Rate(average, 0.0, None))
        else:
            answer.append(Rate(average, bits_per_second(top[1], BUCKET), top[0]))
    return answer


def codes(series: Series, slots: Sequence[Slot]) -> list[list[CodeCount]]:
    """HTTP codes of handshakes per slot, ascending; a slot without a handshake has an empty list."""
    counts: list[dict[int, int]] = [{} for _ in slots]
    for measure, values in series.items():
        if not measure.startswith(CODE_PREFIX):
            continue
        code = int(measure.removeprefix(CODE_PREFIX))
        for index, pairs in enumerate(_by_slot(values, slots)):
            if pairs:
                counts[index][code] = sum(value for _, value in pairs)
    return [_proportions(found) for found in counts]


def _proportions(found: dict[int, int]) -> list[CodeCount]:
    total = sum(found.values())
    return [CodeCount(code, n, round(100 * n / total, 4)) for code, n in sorted(found.items())]
