"""Instants of a cron schedule, against a slow model, through gaps and overlaps of local time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_operator.reconcile.domain.cron import last_instant, parse
from wsedge_statistics.contract import zone_named

MINUTE = timedelta(minutes=1)


def zone(name: str) -> ZoneInfo:
    found = zone_named(name)
    assert found is not None
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Each: schedule, zone, now, the last instant.
LAST = {
    "every minute": ("* * * * *", "UTC", "2026-11-22T12:00:30Z", "2026-11-22T12:00:00Z"),
    "at the instant itself": ("0 8 * * *", "UTC", "2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z"),
    "a moment before it": ("0 8 * * *", "UTC", "2026-11-22T07:59:59Z", "2026-11-21T08:00:00Z"),
    "on working days": ("0 8 * * MON-FRI", "UTC", "2026-11-22T12:00:00Z", "2026-11-20T08:00:00Z"),
    "Sunday is 7 too": ("0 8 * * 7", "UTC", "2026-11-25T12:00:00Z", "2026-11-22T08:00:00Z"),
    "names in lower case": ("0 8 * nov sun", "UTC", "2026-11-25T12:00:00Z", "2026-11-22T08:00:00Z"),
    "steps of a range": ("0 8-18/5 * * *", "UTC", "2026-11-22T19:00:00Z", "2026-11-22T18:00:00Z"),
    "a list": ("5,35 * * * *", "UTC", "2026-11-22T12:20:00Z", "2026-11-22T12:05:00Z"),
    "either day field": ("0 0 1 * MON", "UTC", "2026-11-22T12:00:00Z", "2026-11-16T00:00:00Z"),
    "the month's day alone": ("0 0 1 * *", "UTC", "2026-11-22T12:00:00Z", "2026-11-01T00:00:00Z"),
    "once in four years": ("0 0 29 2 *", "UTC", "2026-11-22T12:00:00Z", "2024-02-29T00:00:00Z"),
    "once in eight years": ("0 0 29 2 *", "UTC", "1904-02-28T00:00:00Z", "1896-02-29T00:00:00Z"),
    "in a zone": ("0 8 * * *", "Asia/Kolkata", "2026-11-22T12:00:00Z", "2026-11-22T02:30:00Z"),
    # 2026-03-29 02:00 becomes 03:00.
    "in a gap, as before the change": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-29T01:30:00Z",
        "2026-03-29T01:30:00Z",
    ),
    "before a time in a gap": (
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-29T01:29:00Z",
        "2026-03-28T01:30:00Z",
    ),
    # 2026-10-04 02:00 becomes 02:30.
    "a time in a gap may be later than one after the gap": (
        "20,40 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T15:55:00Z",
        "2026-10-03T15:50:00Z",
    ),
    # 2026-10-25 03:00 becomes 02:00.
    "the first of two": ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:45:00Z", "2026-10-25T00:30:00Z"),
    "nothing in the second pass": (
        "* 2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:20:00Z",
        "2026-10-25T00:59:00Z",
    ),
    "of local times that come again, those that have not come yet": (
        "30 2,3 * * *",
        "Europe/Berlin",
        "2026-10-25T01:45:00Z",
        "2026-10-25T00:30:00Z",
    ),
    "a skipped day": ("0 12 30 12 *", "Pacific/Apia", "2011-12-30T22:00:00Z", "2011-12-30T22:00:00Z"),
}


@pytest.mark.parametrize("case", LAST)
def test_last_instant(case: str) -> None:
    """The latest instant that is not after now."""
    schedule, name, now, expected = LAST[case]
    assert last_instant(parse(schedule), zone(name), at(now)) == at(expected)


FAULTS = {
    "four fields": ("0 8 * *", "five fields"),
    "a minute of an hour to come": ("60 8 * * *", "0 to 59"),
    "a range from its end": ("0 18-8 * * *", "smaller value"),
    "a step of nothing": ("*/0 * * * *", "a step"),
    "a step of one value": ("5/10 * * * *", "a step"),
    "a day that no month has": ("0 0 30 2 *", "no month"),
    "an unknown name": ("0 0 * * MOO", "'MOO'"),
    "a name in another field": ("0 0 * MON *", "'MON'"),
    "no number": ("0 0 ,1 * *", "''"),
    "a superscript": ("² * * * *", "0 to 59"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_schedule_that_has_no_instants_is_refused(case: str) -> None:
    """The sentence names what is wrong."""
    schedule, words = FAULTS[case]
    with pytest.raises(ValueError, match=words):
        parse(schedule)


def test_a_day_that_only_a_weekday_reaches_is_no_fault() -> None:
    """Where both day fields restrict, one of them is enough."""
    assert parse("0 0 31 2 MON").is_on(date(2026, 2, 2))


# Instants at which the offset changes: gaps, overlaps, of half an hour, at midnight, of a whole day.
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"),
    "America/Havana": ("2026-03-08T05:00:00Z", "2026-11-01T05:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"),
    "Pacific/Apia": ("2011-12-30T10:00:00Z", "2011-04-02T14:00:00Z"),
    "Africa/Casablanca": ("2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z"),
    "UTC": ("2026-01-01T00:00:00Z",),
}
PLACES = [(name, change) for name, changes in CHANGES.items() for change in changes]


def field(least: int, most: int) -> st.SearchStrategy[str]:
    value = st.integers(least, most)
    spans = st.tuples(value, value).map(lambda pair: f"{min(pair)}-{max(pair)}")
    items = st.one_of(value.map(str), spans, spans.map(lambda span: f"{span}/7"), st.just("*/5"))
    return st.one_of(st.just("*"), st.lists(items, min_size=1, max_size=3).map(",".join))


def slowly(schedule: str, name: str, now: datetime) -> datetime | None:
    """Return the last instant within three days, from a list of all local minutes of these days."""
    cron = parse(schedule)
    minute, hour, *_ = (set(values) for values in (cron.minutes, cron.hours))
    local = (now - timedelta(days=3)).replace(second=0, microsecond=0, tzinfo=None)
    instants = []
    for _ in range(5 * 24 * 60):
        if local.minute in minute and local.hour in hour and cron.is_on(local.date()):
            instants.append(local.replace(tzinfo=zone(name)).astimezone(UTC))
        local += MINUTE
    return max((instant for instant in instants if instant <= now), default=None)


@given(field(0, 59), field(0, 23), st.sampled_from(PLACES), st.integers(-40 * 60, 40 * 60))
def test_it_agrees_with_a_slow_model(minute: str, hour: str, place: tuple[str, str], offset: int) -> None:
    """Around each change of local time, for any minutes and hours of each day."""
    name, change = place
    now = at(change) + offset * MINUTE
    schedule = f"{minute} {hour} * * *"
    assert last_instant(parse(schedule), zone(name), now) == slowly(schedule, name, now)
