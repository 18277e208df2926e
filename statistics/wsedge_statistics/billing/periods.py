"""The periods that statements are about: natural days and months, and the terms in force within them. Pure.

A period is named by the calendar: `2026-11-05` with daily settlement, `2026-11` with monthly. It is cut in
the zone that was in force then. Terms that changed within a period make two parts of it, each with its own
days; equal terms that were interrupted are one part.

    terms       │ Daily, Traffic, until the 11th         │ Monthly, Month95Bandwidth
    statements  │ 2026-11-01 │ 2026-11-02 │ … │ 2026-11-10 │ 2026-11: 20 effective days of 30

- An effective day is a whole natural day on which the terms are in force at any time: its slots before the
  terms began are zeros that count. Slots under other terms belong to these alone.
- A slot belongs to the terms and to the day in which it ends. The last slot of terms that end without a
  successor belongs to them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from wsedge_statistics import contract
from wsedge_statistics.billing.methods import DAILY_PEAK, TRAFFIC
from wsedge_statistics.errors import UnknownZoneError
from wsedge_statistics.numbers.calendars import day_start
from wsedge_statistics.numbers.series import BUCKET

_NAME: Final = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
_YEARS: Final = range(1971, 9000)  # what the C library's clock functions accept, with room for any offset
_DAY: Final = timedelta(days=1)
FOREVER: Final = 1 << 62


class Interval(NamedTuple):
    """Instants from `start` until before `end`, UTC seconds."""

    start: int
    end: int

    def meet(self, other: Interval) -> Interval:
        """Return the common instants; an empty interval has its end at its start."""
        start = max(self.start, other.start)
        return Interval(start, max(start, min(self.end, other.end)))

    @property
    def slots(self) -> int:
        """The number of slots of an interval on slot boundaries."""
        return (self.end - self.start) // BUCKET


@dataclass(frozen=True, slots=True)
class Terms:
    """How an account is metered."""

    cycle: str
    method: str
    zone: str

    @property
    def is_daily(self) -> bool:
        """Whether statements are of days: a method that is of a day or a month decides before the cycle."""
        return self.method == DAILY_PEAK or (self.method == TRAFFIC and self.cycle == "Daily")


@dataclass(frozen=True, slots=True)
class Span:
    """Terms and the slots that belong to them."""

    terms: Terms
    slots: Interval


@dataclass(frozen=True, slots=True)
class Day:
    """An effective day: all its slots, those of its own terms, and those of other terms."""

    date: date
    slots: Interval
    own: tuple[Interval, ...]
    others: tuple[Interval, ...]

    def count(self, until: int) -> int:
        """Return how many slots that began before `until` count."""
        past = Interval(self.slots.start, max(self.slots.start, min(self.slots.end, until)))
        return past.slots - sum(past.meet(other).slots for other in self.others)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a period that is under the same terms.

    `natural` is the whole day or month, with `natural_days` days; `days` are the effective ones.
    `earlier` are the slots of the same natural month that were settled by traffic before this part: the
    tiers of a price book run through the month.
    """

    terms: Terms
    zone: tzinfo
    natural: Interval
    natural_days: int
    days: tuple[Day, ...]
    earlier: tuple[Interval, ...]

    @property
    def own(self) -> tuple[Interval, ...]:
        """The slots of these terms, as few intervals."""
        joined: list[Interval] = []
        for slots in (slots for day in self.days for slots in day.own):
            if joined and joined[-1].end == slots.start:
                joined[-1] = Interval(joined[-1].start, slots.end)
            else:
                joined.append(slots)
        return tuple(joined)

    @property
    def effective(self) -> Interval:
        """From the first slot of these terms to the end of the last."""
        return Interval(self.days[0].own[0].start, self.days[-1].own[-1].end)


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """A day or a month of an account, with its parts by time, and all terms that it depends on."""

    name: str
    parts: tuple[Part, ...]
    spans: tuple[Span, ...]

    @property
    def start(self) -> int:
        """The first of the parts' natural starts."""
        return min(part.natural.start for part in self.parts)

    @property
    def end(self) -> int:
        """The instant from which on the period is over in every zone that it was cut in."""
        return max(part.natural.end for part in self.parts)

    @property
    def values_from(self) -> int:
        """The first slot that the period's statement depends on."""
        return min([self.start, *(slots.start for part in self.parts for slots in part.earlier)])

    @property
    def covered(self) -> tuple[Interval, ...]:
        """The slots of the period that are under any terms."""
        return _meeting(self.spans, Interval(self.start, self.end), lambda _: True)


def spans_of(periods: Iterable[contract.Period]) -> tuple[Span, ...]:
    """Return an account's terms with the slots of each, by time; the later one has a slot of two."""
    ordered = sorted(periods, key=lambda period: period.start)
    starts = [int(period.start.timestamp()) // BUCKET * BUCKET for period in ordered]
    spans = []
    for index, period in enumerate(ordered):
        end = FOREVER if period.end is None else -(-int(period.end.timestamp()) // BUCKET) * BUCKET
        end = min([end, *starts[index + 1 :]])
        terms = Terms(period.terms.billingCycle, period.terms.meteringMethod, period.terms.timeZone)
        if starts[index] < end:
            spans.append(Span(terms, Interval(starts[index], end)))
    return tuple(spans)


def day_of(instant: int, zone: tzinfo) -> date:
    """Return the natural day of an instant: the last one that began at or before it."""
    at = datetime.fromtimestamp(instant, tz=UTC)
    shown = at.astimezone(zone).date()
    return shown + _DAY if day_start(shown + _DAY, zone) <= at else shown


def names_between(spans: Sequence[Span], since: int, until: int) -> list[str]:
    """Return the names of the periods that have slots of any terms in [since, until), by time.

    Raises UnknownZoneError.
    """
    found: dict[str, int] = {}
    for span in spans:
        slots = span.slots.meet(Interval(since, until))
        zone = _zone(span.terms)
        for day in _days_through(slots, zone):
            name = day.isoformat() if span.terms.is_daily else f"{day:%Y-%m}"
            found.setdefault(name, _floor(day, zone))
    return sorted(found, key=lambda name: (found[name], name))


def period_named(spans: Sequence[Span], name: str) -> BillingPeriod | None:
    """Return a period by its name; None when no terms were in force in it, or the name is none.

    Raises UnknownZoneError.
    """
    dates = _dates(name)
    if dates is None:
        return None
    daily = name.count("-") > 1
    terms = dict.fromkeys(span.terms for span in spans if span.terms.is_daily == daily)
    parts = [part for each in terms if (part := _part(spans, each, dates)) is not None]
    if not parts:
        return None
    ordered = tuple(sorted(parts, key=lambda part: part.effective))
    first = BillingPeriod(name, ordered, ()).values_from
    last = max(part.natural.end for part in parts)
    return BillingPeriod(
        name, ordered, tuple(span for span in spans if span.slots.meet(Interval(first, last)).slots)
    )


def _part(spans: Sequence[Span], terms: Terms, dates: Sequence[date]) -> Part | None:
    zone = _zone(terms)
    edges = [*(_floor(day, zone) for day in dates), _floor(dates[-1] + _DAY, zone)]
    # A day that a zone skipped (Samoa, 30 December 2011) has no slot and is no day of the month.
    slots_of_days = zip(dates, itertools.starmap(Interval, itertools.pairwise(edges)), strict=True)
    natural = [(day, slots) for day, slots in slots_of_days if slots.slots]
    days = []
    for day, slots in natural:
        own = _meeting(spans, slots, lambda span: span.terms == terms)
        if own:
            others = _meeting(spans, slots, lambda span: span.terms != terms)
            days.append(Day(day, slots, own, others))
    if not days:
        return None
    month = Interval(_floor(dates[0].replace(day=1), zone), days[0].own[0].start)
    return Part(
        terms=terms,
        zone=zone,
        natural=Interval(edges[0], edges[-1]),
        natural_days=len(natural),
        days=tuple(days),
        earlier=_meeting(spans, month, lambda span: span.terms.method == terms.method == TRAFFIC),
    )


def _meeting(spans: Sequence[Span], slots: Interval, wanted: Callable[[Span], bool]) -> tuple[Interval, ...]:
    """Return the slots of the wanted spans within `slots`."""
    met = (span.slots.meet(slots) for span in spans if wanted(span))
    return tuple(each for each in met if each.slots)


def _dates(name: str) -> list[date] | None:
    """Return the dates of a named day or month; None for another text."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        first = date(int(found[1]), int(found[2]), int(found[3] or 1))
    except ValueError:
        return None
    if first.year not in _YEARS:
        return None
    if found[3] is not None:
        return [first]
    month = (first + index * _DAY for index in range(31))
    return [day for day in month if day.month == first.month]


def _days_through(slots: Interval, zone: tzinfo) -> Iterator[date]:
    if slots.start >= slots.end:
        return
    day = day_of(slots.start, zone)
    while (first := _floor(day, zone)) < slots.end:
        if first < _floor(day + _DAY, zone):  # not a day that a zone skipped: it has no slot
            yield day
        day += _DAY


def _floor(day: date, zone: tzinfo) -> int:
    """Return the first slot of a natural day: of zones with odd seconds the slot that ends in the day."""
    return int(day_start(day, zone).timestamp()) // BUCKET * BUCKET


def _zone(terms: Terms) -> tzinfo:
    zone = contract.zone_named(terms.zone)
    if zone is None:
        raise UnknownZoneError(terms.zone)
    return zone
