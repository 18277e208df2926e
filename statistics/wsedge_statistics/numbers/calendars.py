"""The time zones that cut the days of an account, each from when it was in force. Pure.

A day is cut in the zone that was in force then, so that the days of an answer are those of its statements. On
the day of a change the old zone's day ends at the change, and the new zone's day begins there:

    old zone   │ 5 November   │ 6 Novem┊                          midnights of the old zone, up to the change
    new zone                           ┊ 6 November │ 7 November │   midnights of the new zone, from it on

So days follow each other without a gap or an overlap; the two parts of the day of the change may be short.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from wsedge_statistics.numbers.series import BUCKET


@dataclass(frozen=True, slots=True)
class ZoneSpan:
    """A time zone, in force from `since` (UTC seconds; None: always before) until the next one."""

    since: int | None
    name: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Calendar:
    """Time zones, oldest first; the first has been in force always."""

    spans: tuple[ZoneSpan, ...]

    @classmethod
    def of(cls, name: str, zone: tzinfo) -> Calendar:
        """Return the calendar of one zone."""
        return cls((ZoneSpan(None, name, zone),))

    @classmethod
    def of_changes(cls, zones: Sequence[tuple[datetime, str, tzinfo]]) -> Calendar:
        """Return the calendar of at least one zone, each with the instant at which it came into force.

        A change takes effect at the start of its bucket, as the terms of statements do.
        """
        # the later one of two that begin in the same bucket
        begun = {
            int(start.timestamp()) // BUCKET * BUCKET: (name, zone)
            for start, name, zone in sorted(zones, key=lambda each: each[0])
        }
        spans: list[ZoneSpan] = []
        for since, (name, zone) in begun.items():
            if not spans or spans[-1].name != name:
                spans.append(ZoneSpan(since if spans else None, name, zone))
        return cls(tuple(spans))

    def at(self, instant: datetime) -> ZoneSpan:
        """Return the zone in force at an instant."""
        second = instant.timestamp()
        return next(span for span in reversed(self.spans) if span.since is None or span.since <= second)

    def within(self, start: int, end: int) -> tuple[ZoneSpan, ...]:
        """Return the zones that are in force at any time of [start, end)."""
        return tuple(span for span, since, until in self._bounded() if since < end and until > start)

    def cut_days(self, start: datetime, end: datetime) -> list[tuple[int, int]]:
        """Return the days that cover [start, end), each as its start and end in UTC seconds."""
        bounds = (start.timestamp(), end.timestamp())
        return [
            (int(max(first, since)), int(min(last, until)))
            for span, since, until in self._bounded()
            if since < bounds[1] and until > bounds[0]
            for first, last in _days(start, end, span.zone)
            # a day that a zone skipped (Samoa, 30 December 2011) has no length
            if max(first, since) < min(last, until)
        ]

    def _bounded(self) -> Iterator[tuple[ZoneSpan, float, float]]:
        ends = [*(span.since for span in self.spans[1:]), None]
        for span, until in zip(self.spans, ends, strict=True):
            since = float("-inf") if span.since is None else span.since
            yield span, since, float("inf") if until is None else until


def _days(start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[int, int]]:
    """Yield the days of a zone that cover [start, end)."""
    day = start.astimezone(zone).date()
    edge = day_start(day, zone)
    while edge < end:
        day += timedelta(days=1)
        following = day_start(day, zone)
        yield int(edge.timestamp()), int(following.timestamp())
        edge = following


def day_start(day: date, zone: tzinfo) -> datetime:
    """Return the first instant of a day in a zone, in UTC; also where midnight is skipped or comes twice."""
    first = datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
    step = timedelta(seconds=BUCKET)
    # A gap that begins before midnight puts the day's first instant before where 00:00 would have been.
    while (first - step).astimezone(zone).date() >= day:
        first -= step
    return first
