"""Instants of a cron schedule in a time zone. Pure.

The five fields are those of a CronJob (minute, hour, day of the month, month, day of the week) with lists,
ranges, steps and English names. When neither day field is `*`, a day that matches one of them matches.

Each matching local time is one instant, as RFC 5545 (section 3.3.5) reads a local time:

    it does not exist (a gap: clocks go forward)     it counts as before the change: 02:30 is 03:30
    it exists twice (an overlap: clocks go back)     the first of the two

Why no library: `croniter` changes hands and meaning, and both it and `cronsim` walk forward from an instant,
while a schedule of a minimum is asked for its last instant. What is left of cron without that is the parsing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTH_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY: Final = timedelta(days=1)
# The largest change of a zone's offset is a whole day (Pacific/Apia, 2011), and a change takes effect within
# an hour of it.
_AROUND_A_CHANGE: Final = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed schedule: the values of each field, and whether both day fields restrict the days."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def is_on(self, day: date) -> bool:
        """Return whether the schedule has instants on this local date."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week


@lru_cache(maxsize=1024)
def parse(text: str) -> Cron:
    """Parse the five fields; raises ValueError with a sentence."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError("a schedule has five fields")
    minutes = _values(fields[0], 0, 59)
    hours = _values(fields[1], 0, 23)
    days = _values(fields[2], 1, 31)
    months = _values(fields[3], 1, 12, _MONTHS)
    weekdays = frozenset(number % 7 for number in _values(fields[4], 0, 7, _WEEKDAYS, first=0))
    restricts_both = len(days) < 31 and len(weekdays) < 7
    cron = Cron(minutes, hours, days, months, weekdays, restricts_both)
    if not restricts_both and min(days) > max(_MONTH_LENGTHS[month - 1] for month in months):
        raise ValueError("no month of the schedule has such a day")
    return cron


def _values(
    field: str, least: int, most: int, names: tuple[str, ...] = (), *, first: int = 1
) -> frozenset[int]:
    """Return the values of one field; `first` is the value of the first name."""

    def number(text: str) -> int:
        if text.upper() in names:
            return names.index(text.upper()) + first
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"{text!r} is not a value from {least} to {most}")
        return int(text)

    found: set[int] = set()
    for item in field.split(","):
        span, slash, step = item.partition("/")
        if slash and (not step.isdigit() or int(step) < 1 or not (span == "*" or "-" in span)):
            raise ValueError(f"{item!r}: a step follows * or a range, and is 1 or more")
        low, dash, high = ("*", "", "") if span == "*" else span.partition("-")
        start, end = (least, most) if low == "*" else (number(low), number(high if dash else low))
        if end < start:
            raise ValueError(f"{item!r}: a range begins with its smaller value")
        found.update(range(start, end + 1, int(step) if slash else 1))
    return frozenset(found)


def last_instant(cron: Cron, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the latest instant of the schedule that is not after `now` (aware), in UTC.

    Local times are walked backwards. Within a day of a change of the offset their instants may have another
    order, so that walk goes on for as long.
    """
    clock = now.astimezone(zone)
    shown = clock.replace(tzinfo=None)
    # After clocks went back, local times ahead of them have passed already, the first time.
    ahead = _offset(shown - _AROUND_A_CHANGE, zone) - (clock.utcoffset() or timedelta(0))
    times = _before(cron, shown + max(timedelta(0), ahead))
    while (best := _instant(local := next(times), zone)) > now:
        pass
    stop = local - _AROUND_A_CHANGE
    if _offset(local, zone) == _offset(stop, zone):
        return best
    while (local := next(times)) >= stop:
        if best < (instant := _instant(local, zone)) <= now:
            best = instant
    return best


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _offset(local: datetime, zone: ZoneInfo) -> timedelta:
    return local.replace(tzinfo=zone).utcoffset() or timedelta(0)


def _before(cron: Cron, latest: datetime) -> Iterator[datetime]:
    """Yield the matching local times up to `latest`, the latest first, without an end.

    There is one within eight years: `parse` refuses a date that does not exist, and the 29th of February is
    the rarest (1896 and 1904).
    """
    hours, minutes = sorted(cron.hours, reverse=True), sorted(cron.minutes, reverse=True)
    day = latest.date()
    while True:
        if cron.is_on(day):
            for hour in hours:
                for minute in minutes:
                    local = datetime.combine(day, time(hour, minute))
                    if local <= latest:
                        yield local
        day -= _DAY
