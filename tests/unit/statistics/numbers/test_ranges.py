"""Ranges, and slots in time zones with daylight saving."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.statistics.build import instant, seconds
from wsedge_statistics.contract import known_zones, zone_named
from wsedge_statistics.errors import QueryError
from wsedge_statistics.numbers import calendars, ranges
from wsedge_statistics.numbers.calendars import Calendar
from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.numbers.ranges import Range, Slot

FIVE, HOUR, DAY = Granularity


def zone_of(name: str) -> ZoneInfo:
    found = zone_named(name)
    assert found is not None
    return found


UTC = zone_of("UTC")
BERLIN = zone_of("Europe/Berlin")
NOW = instant("2026-06-15T12:00:00Z")


def settle(
    start: str | None, end: str | None, granularity: Granularity | None = None, **more: object
) -> Range:
    zone = more.pop("zone", UTC)
    options = {"calendar": Calendar.of("any", zone), "now": NOW} | more  # type: ignore[arg-type]
    return ranges.settle_range(start=start, end=end, granularity=granularity, **options)  # type: ignore[arg-type]


def test_without_times_the_last_day_is_answered_in_five_minutes() -> None:
    """Neither start nor end: the 24 hours that end with the five minutes now running."""
    now = instant("2026-06-15T12:01:00Z")
    settled = settle(None, None, now=now)
    assert (settled.start, settled.end) == (seconds("2026-06-14T12:05:00Z"), seconds("2026-06-15T12:05:00Z"))
    assert (settled.granularity, len(settled.slots)) == (FIVE, 288)


WIDENED = {
    "five minutes": (FIVE, "2026-06-10T10:00:00Z", "2026-06-10T10:15:00Z", 3),
    "hours": (HOUR, "2026-06-10T10:00:00Z", "2026-06-10T11:00:00Z", 1),
}


@pytest.mark.parametrize(("granularity", "start", "end", "count"), WIDENED.values(), ids=WIDENED.keys())
def test_a_range_is_widened_to_whole_slots(
    granularity: Granularity, start: str, end: str, count: int
) -> None:
    """Start goes down and end goes up to a slot's edge, also from a fraction of a second."""
    settled = settle("2026-06-10T10:04:59Z", "2026-06-10T10:10:00.000001Z", granularity)
    assert (settled.start, settled.end, len(settled.slots)) == (seconds(start), seconds(end), count)


def test_an_aligned_range_is_not_widened() -> None:
    """Edges that lie on slots stay."""
    settled = settle("2026-06-10T10:05:00Z", "2026-06-10T10:10:00Z")
    assert settled.slots == (Slot(seconds("2026-06-10T10:05:00Z"), seconds("2026-06-10T10:10:00Z")),)


def test_an_instant_may_have_any_offset() -> None:
    """An offset other than UTC is converted."""
    assert ranges.parse_instant("start", "2026-06-10T18:05:00+08:00") == instant("2026-06-10T10:05:00Z")


REFUSED = {
    "only a start": ("2026-06-10T10:00:00Z", None, None, "end", "missing although start"),
    "only an end": (None, "2026-06-10T10:00:00Z", None, "start", "missing although end"),
    "an end before the start": (
        "2026-06-10T10:00:00Z",
        "2026-06-10T09:00:00Z",
        None,
        "end",
        "not later than start",
    ),
    "an empty range": ("2026-06-10T10:00:00Z", "2026-06-10T10:00:00Z", None, "end", "not later than start"),
    "no offset": ("2026-06-10T10:00:00", "2026-06-10T11:00:00Z", None, "start", "not an instant"),
    "a number": ("1700000000", "2026-06-10T11:00:00Z", None, "start", "not an instant"),
    "a plus sign that became a space": (
        "2026-06-10T10:00:00 08:00",
        "2026-06-10T11:00:00Z",
        None,
        "start",
        "%2B",
    ),
    "no such day": ("2026-02-30T10:00:00Z", "2026-06-10T11:00:00Z", None, "start", "no such date"),
    "a day before the calendar": (
        "0001-01-01T00:00:00+14:00",
        "2026-06-10T11:00:00Z",
        None,
        "start",
        "no such",
    ),
    "an end at the end of the calendar": (
        "2026-06-10T10:00:00Z",
        "9999-12-31T23:59:59Z",
        None,
        "end",
        "too far in the future",
    ),
    "a range at the end of the calendar": (
        "9999-12-25T00:00:00Z",
        "9999-12-31T23:59:59Z",
        None,
        "end",
        "too far in the future",
    ),
    "more than three months": (
        "2026-03-01T00:00:00Z",
        "2026-06-03T00:00:00Z",
        None,
        "end",
        "longer than 93 days",
    ),
    "days for one day": ("2026-06-10T00:00:00Z", "2026-06-11T00:00:00Z", DAY, "granularity", "5m, 1h"),
    "five minutes for a week": (
        "2026-06-01T00:00:00Z",
        "2026-06-08T00:00:00Z",
        FIVE,
        "granularity",
        "1h, 1d",
    ),
    "five minutes of last year": (
        "2025-12-20T00:00:00Z",
        "2025-12-21T00:00:00Z",
        FIVE,
        "granularity",
        "93 days back",
    ),
    "older than all stored counts": ("2025-06-01T00:00:00Z", "2025-07-05T00:00:00Z", None, "start", "older"),
}


@pytest.mark.parametrize(
    ("start", "end", "granularity", "parameter", "text"), REFUSED.values(), ids=REFUSED.keys()
)
def test_a_wrong_range_is_refused_by_its_parameter(
    start: str | None, end: str | None, granularity: Granularity | None, parameter: str, text: str
) -> None:
    """The error has the parameter, the reason and the allowed values."""
    with pytest.raises(QueryError) as refused:
        settle(start, end, granularity)
    assert refused.value.parameter == parameter
    assert text in str(refused.value)


def test_the_calendars_first_day_does_not_overflow() -> None:
    """A zone west of UTC on the first day of the calendar is an error of the parameter."""
    with pytest.raises(QueryError, match="calendar"):
        settle("0001-01-01T01:00:00Z", "0001-01-01T02:00:00Z", zone=zone_of("America/New_York"))


def test_a_range_may_lie_in_the_future() -> None:
    """The rest of a month is part of the answer, with zeros; completeUntil shows that it is yet to come."""
    month = settle("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", DAY)
    assert len(month.slots) == 30


DAYS = {
    "a plain day of Shanghai begins at 16:00 UTC": ("Asia/Shanghai", "2026-06-10", "2026-06-09T16:00Z", 24),
    "spring forward in Berlin has 23 hours": ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", 23),
    "autumn back in Berlin has 25 hours": ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", 25),
    "a skipped midnight begins at 01:00 (Beirut)": ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00Z", 23),
    "a doubled midnight begins at the first (Havana)": (
        "America/Havana",
        "2020-11-01",
        "2020-11-01T04:00Z",
        25,
    ),
    "the leap day": ("UTC", "2028-02-29", "2028-02-29T00:00Z", 24),
    "the last day of a year": ("Asia/Shanghai", "2026-12-31", "2026-12-30T16:00Z", 24),
    "a zone of half hours (Lord Howe, autumn)": (
        "Australia/Lord_Howe",
        "2026-04-05",
        "2026-04-04T13:00Z",
        24.5,
    ),
    "a zone of quarter hours": ("Asia/Kathmandu", "2026-06-10", "2026-06-09T18:15Z", 24),
}


@pytest.mark.parametrize(("zone", "day", "start", "hours"), DAYS.values(), ids=DAYS.keys())
def test_a_natural_day_begins_at_its_first_instant(zone: str, day: str, start: str, hours: float) -> None:
    """A day's slot begins at the first instant of the day in the zone and has its true length."""
    first = date.fromisoformat(day)
    begins = calendars.day_start(first, zone_of(zone))
    ends = calendars.day_start(first + timedelta(days=1), zone_of(zone))
    assert begins == instant(start)
    assert (ends - begins) / timedelta(hours=1) == hours


def test_a_gap_that_begins_before_midnight_is_found() -> None:
    """Where clocks jump from 23:30 to 00:30, the day begins at 00:30 (Toronto, 1919)."""
    toronto = zone_of("America/Toronto")
    assert calendars.day_start(date(1919, 3, 31), toronto) == instant("1919-03-31T04:30:00Z")


def test_a_day_that_a_zone_skipped_has_no_slot() -> None:
    """Samoa had no 30 December 2011."""
    apia = zone_of("Pacific/Apia")
    slots = ranges.cut(
        instant("2011-12-29T00:00:00-10:00"),
        instant("2012-01-01T00:00:00+14:00"),
        DAY,
        Calendar.of("apia", apia),
    )
    assert [slot.end - slot.start for slot in slots] == [86400, 86400]


def test_a_month_with_a_25_hour_day_is_31_days() -> None:
    """Spans are counted on the zone's calendar, so October in Berlin still offers hours."""
    october = settle(
        "2026-10-01T00:00:00+02:00",
        "2026-11-01T00:00:00+01:00",
        HOUR,
        zone=BERLIN,
        now=instant("2026-11-02T00:00Z"),
    )
    assert len(october.slots) == 31 * 24 + 1


HOURS = {
    "the last 72 hours over spring forward are three days": (72, "2026-03-30T10:00:00Z", (FIVE, HOUR)),
    "the last 72 hours over autumn back are three days": (72, "2026-10-26T10:00:00Z", (FIVE, HOUR)),
    "72 hours and a second are more, in spring": (72 + 1 / 3600, "2026-03-30T10:00:00Z", (HOUR, DAY)),
    "73 hours over autumn back are three calendar days": (73, "2026-10-26T10:00:00Z", (FIVE, HOUR)),
    "73 hours and a second are more, in autumn": (73 + 1 / 3600, "2026-10-26T10:00:00Z", (HOUR, DAY)),
    "744 hours over spring forward are 31 days": (744, "2026-04-10T10:00:00Z", (HOUR, DAY)),
    "745 hours over autumn back are 31 calendar days": (745, "2026-11-10T10:00:00Z", (HOUR, DAY)),
    "2,232 hours over spring forward are 93 days": (2232, "2026-06-10T10:00:00Z", (DAY,)),
    "2,233 hours over autumn back are 93 calendar days": (2233, "2026-12-10T10:00:00Z", (DAY,)),
}


@pytest.mark.parametrize(("hours", "end", "offered"), HOURS.values(), ids=HOURS.keys())
def test_spans_over_a_change_of_clocks(hours: float, end: str, offered: tuple[Granularity, ...]) -> None:
    """Each granularity of the span's row is answered, and the others are refused by what is allowed."""
    last = instant(end)
    start = (last - timedelta(hours=hours)).isoformat()
    for granularity in Granularity:
        if granularity in offered:
            assert settle(start, end, granularity, zone=BERLIN, now=last).granularity == granularity
            continue
        with pytest.raises(QueryError) as refused:
            settle(start, end, granularity, zone=BERLIN, now=last)
        assert refused.value.allowed == f"{', '.join(offered)} for this span"


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(sorted(known_zones())),
    days=st.sampled_from([3, 31, 93]),
    minutes=st.integers(min_value=0, max_value=1000 * 24 * 60),
)
def test_a_span_of_whole_days_is_never_longer(zone: str, days: int, minutes: int) -> None:
    """72, 744 and 2,232 hours, and as many days from midnight to midnight, are 3, 31 and 93 days anywhere."""
    found = zone_of(zone)
    start = instant("2024-01-01T00:00:00Z") + timedelta(minutes=minutes)
    assert ranges.span_of(start, start + timedelta(days=days), Calendar.of(zone, found)) <= timedelta(
        days=days
    )
    first = start.astimezone(found).date()
    midnights = (calendars.day_start(first, found), calendars.day_start(first + timedelta(days=days), found))
    assert ranges.span_of(*midnights, Calendar.of(zone, found)) <= timedelta(days=days)


def test_slots_follow_each_other_without_a_gap_over_a_year() -> None:
    """The slots of any range tile it."""
    slots = ranges.cut(
        instant("2026-01-15T00:00Z"), instant("2026-12-15T00:00Z"), DAY, Calendar.of("berlin", BERLIN)
    )
    assert all(a.end == b.start for a, b in itertools.pairwise(slots))
    assert {slot.end - slot.start for slot in slots} == {23 * 3600, 24 * 3600, 25 * 3600}


COMPLETE = {
    "just before the grace has passed": ("2026-06-15T12:05:59Z", "2026-06-15T12:00:00Z"),
    "the moment it has passed": ("2026-06-15T12:06:00Z", "2026-06-15T12:05:00Z"),
    "later in the bucket": ("2026-06-15T12:09:00Z", "2026-06-15T12:05:00Z"),
}


@pytest.mark.parametrize(("now", "expected"), COMPLETE.values(), ids=COMPLETE.keys())
def test_complete_until_waits_for_the_last_reports(now: str, expected: str) -> None:
    """A bucket counts as complete `grace` after its end."""
    assert ranges.complete_until(instant(now), timedelta(seconds=60)) == instant(expected)
