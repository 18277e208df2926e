"""The range of a question: instants as text, whole slots, the days of a time zone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from wsedge_statistics.contract import bucket_of
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers.calendars import Calendar
from wsedge_statistics.numbers.granularity import DEFAULT_SPAN, LONGEST_SPAN, REACH, Granularity, offered
from wsedge_statistics.numbers.series import BUCKET, HOUR

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")
_INSTANT = "an RFC 3339 instant such as 2026-11-22T10:05:00Z (write + as %2B)"


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of an answer: [start, end) in UTC seconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Range:
    """The range of a question: whole slots, one after the other without a gap."""

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

    @property
    def whole(self) -> Slot:
        """The range as one slot."""
        return Slot(self.start, self.end)


def parse_instant(parameter: str, text: str) -> datetime:
    """Parse an RFC 3339 instant. Raises QueryError."""
    if not _RFC3339.fullmatch(text):
        raise QueryError(parameter, "not an instant with a date, a time and an offset", _INSTANT)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(parameter, "no such date or time", _INSTANT) from None


def instant_text(instant: datetime) -> str:
    """Return an instant as RFC 3339 in UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_of(start: datetime, end: datetime, calendar: Calendar) -> timedelta:
    """Return the elapsed time or the span on the calendar, whichever is shorter.

    By the calendar a day of 25 hours (daylight saving) is one day. By the clock 72 hours are three days, also
    where the calendar shows an hour more after clocks were set forward.
    """
    first, last = (at.astimezone(calendar.at(at).zone).replace(tzinfo=None) for at in (start, end))
    return min(last - first, end - start)


def settle_range(
    *, start: str | None, end: str | None, granularity: Granularity | None, calendar: Calendar, now: datetime
) -> Range:
    """Return the whole slots of a question's parameters; without start and end, of the last 24 hours.

    The range is widened to whole slots: `start` down, `end` up. 5m and 1h slots are cut in UTC, 1d slots at
    the midnights of the zones in force then. Without a granularity the finest that is offered is used.
    Raises QueryError.
    """
    first, last = _times(start, end, now)
    if last <= first:
        raise QueryError("end", "not later than start", f"an instant after {instant_text(first)}")
    if last > now + LONGEST_SPAN:
        raise QueryError("end", "too far in the future", f"instants up to {instant_text(now + LONGEST_SPAN)}")
    try:
        span = span_of(first, last, calendar)
    except OverflowError:
        raise QueryError("start", "outside of the calendar", _INSTANT) from None
    if span > LONGEST_SPAN:
        raise QueryError("end", "the span is longer than 93 days", "a span of at most 93 days (3 months)")
    choices = offered(span, now - first)
    if not choices:
        earliest = instant_text(now - REACH[Granularity.DAY])
        raise QueryError(
            "start", "older than all stored counts", f"instants from {earliest} on (366 days back)"
        )
    chosen = granularity or choices[0]
    if chosen not in choices:
        names = ", ".join(choices)
        raise QueryError("granularity", _why_refused(chosen, span, now - first), f"{names} for this span")
    return Range(chosen, cut(first, last, chosen, calendar))


def _times(start: str | None, end: str | None, now: datetime) -> tuple[datetime, datetime]:
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
    days, rest = divmod(span, timedelta(days=1))
    text = f"{days} days and {rest}" if rest else f"{days} days"
    return f"{chosen} is not offered for a span of {text}"


def cut(start: datetime, end: datetime, granularity: Granularity, calendar: Calendar) -> tuple[Slot, ...]:
    """Cut whole slots that cover [start, end)."""
    if granularity is Granularity.DAY:
        return tuple(Slot(*day) for day in calendar.cut_days(start, end))
    step = HOUR if granularity is Granularity.HOUR else BUCKET
    # floor division twice gives floor and ceiling, also for fractions of a second
    first = int(start.timestamp() // step) * step
    last = -int(-end.timestamp() // step) * step
    return tuple(Slot(at, at + step) for at in range(first, last, step))


def complete_until(now: datetime, grace: timedelta) -> datetime:
    """Return the start of the first bucket that may still grow: all before it ended at least `grace` ago.

    Relays report at each bucket's end, and `grace` is the time that a report needs. Only the clock decides:
    a relay that lost its connection to the statistics reports later, and its buckets still grow.
    """
    return bucket_of(now - grace)
