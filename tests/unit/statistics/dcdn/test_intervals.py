"""The range of a statistics call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.statistics.build import instant
from wsedge_statistics.dcdn.intervals import SECONDS, settle, times
from wsedge_statistics.dcdn.intervals import instant as parse
from wsedge_statistics.errors import RpcError
from wsedge_statistics.numbers.calendars import Calendar

NOW = instant("2026-11-22T10:02:00Z")
DAY = timedelta(days=1)


def calendar(name: str) -> Calendar:
    return Calendar.of(name, ZoneInfo(name))


# Span in days, Interval, days back of the start -> DataInterval.
MATRIX: dict[str, tuple[float, str | None, float, str]] = {
    "an hour without an interval": (1 / 24, None, 1, "300"),
    "just under three days": (2.999, None, 3, "300"),
    "exactly three days": (3, None, 3, "3600"),
    "exactly three days at five minutes": (3, "300", 3, "300"),
    "more than three days at five minutes": (3.01, "300", 4, "3600"),
    "exactly 31 days": (31, None, 31, "86400"),
    "exactly 31 days by hour": (31, "3600", 31, "3600"),
    "more than 31 days by hour": (31.1, "3600", 32, "86400"),
    "366 days": (366, None, 366, "86400"),
    "an hour by day": (1 / 24, "86400", 1, "86400"),
    "two days by hour": (2, "3600", 2, "3600"),
    "ten days by day": (10, "86400", 10, "86400"),
    "an interval that does not exist": (1, "60", 1, "300"),
    "an interval that is no number": (1, "hour", 1, "300"),
    "an empty interval": (1, "", 1, "300"),
    "five minutes, 94 days ago": (1, "300", 94, "3600"),
    "five minutes, 187 days ago": (1, "300", 187, "86400"),
    "an hour, 187 days ago": (1, None, 187, "86400"),
    "the oldest day": (1, None, 366, "86400"),
}


@pytest.mark.parametrize(("span", "interval", "back", "used"), MATRIX.values(), ids=MATRIX.keys())
def test_the_interval_follows_from_the_span(
    span: float, interval: str | None, back: float, used: str
) -> None:
    """One that is not offered is no error: the default is used."""
    start = NOW - back * DAY
    assert SECONDS[settle(start, start + span * DAY, interval, calendar("UTC"), NOW).granularity] == used


def test_slots_are_whole_and_lie_on_marks() -> None:
    """The range is widened; days begin at midnights of the zone."""
    start, end = instant("2026-11-20T10:02:00Z"), instant("2026-11-20T10:08:00Z")
    five = settle(start, end, None, calendar("UTC"), NOW)
    assert [slot.start for slot in five.slots] == [
        int(instant(f"2026-11-20T10:0{m}:00Z").timestamp()) for m in (0, 5)
    ]
    day = settle(start, end, "86400", calendar("Asia/Shanghai"), NOW)
    assert [slot.start for slot in day.slots] == [int(instant("2026-11-19T16:00:00Z").timestamp())]


def test_a_day_of_25_hours_is_a_day() -> None:
    """Three days over the end of daylight saving offer five minutes."""
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, tzinfo=zone).astimezone(UTC)
    end = datetime(2026, 10, 27, tzinfo=zone).astimezone(UTC)
    assert settle(start, end, "300", Calendar.of("Berlin", zone), NOW).granularity == "5m"


OUT: dict[str, tuple[timedelta, timedelta]] = {
    "older than every count": (-367 * DAY, DAY),
    "more than a year ahead": (367 * DAY, DAY),
    "longer than 366 days": (-366 * DAY, 367 * DAY),
    "the end of time": (timedelta(0), datetime.max.replace(tzinfo=UTC) - NOW - DAY),
}


@pytest.mark.parametrize(("start", "span"), OUT.values(), ids=OUT.keys())
def test_what_cannot_be_counted_is_refused(start: timedelta, span: timedelta) -> None:
    """With the original's code."""
    with pytest.raises(RpcError) as caught:
        settle(NOW + start, NOW + start + span, None, calendar("Asia/Shanghai"), NOW)
    assert (caught.value.status, caught.value.code) == (400, "InvalidStartTime.ValueNotSupported")


@given(
    back=st.integers(0, 366 * 24 * 12),
    length=st.integers(1, 366 * 24 * 12),
    interval=st.sampled_from([None, "300"]),
)
def test_every_range_has_a_bounded_number_of_slots(back: int, length: int, interval: str | None) -> None:
    """At most those of three days at five minutes, and they cover the range without a gap."""
    start = NOW - timedelta(minutes=5 * back)
    end = start + timedelta(minutes=5 * length)
    found = settle(start, end, interval, calendar("UTC"), NOW)
    assert len(found.slots) <= 3 * 288 + 1
    assert found.start <= start.timestamp() < end.timestamp() <= found.end
    assert all(one.end == other.start for one, other in zip(found.slots, found.slots[1:], strict=False))


def test_both_times_are_the_range() -> None:
    """As they are given."""
    parameters = {"StartTime": "2026-11-22T10:01:00Z", "EndTime": "2026-11-22T10:02:03Z"}
    assert times(parameters, NOW) == (instant(parameters["StartTime"]), instant(parameters["EndTime"]))


def test_without_times_the_last_24_hours_are_asked() -> None:
    """Up to the end of the bucket of now."""
    assert times({}, NOW) == (instant("2026-11-21T10:05:00Z"), instant("2026-11-22T10:05:00Z"))
    assert times({"StartTime": "", "EndTime": ""}, NOW) == times({}, NOW)


TIMES: dict[str, tuple[dict[str, str], str]] = {
    "a start alone": ({"StartTime": "2026-11-22T10:00:00Z"}, "MissingTimeParameter"),
    "an end alone": ({"EndTime": "2026-11-22T10:00:00Z"}, "MissingTimeParameter"),
    "a start in words": (
        {"StartTime": "now", "EndTime": "2026-11-22T10:00:00Z"},
        "InvalidStartTime.Malformed",
    ),
    "an end in words": ({"StartTime": "2026-11-22T10:00:00Z", "EndTime": "now"}, "InvalidEndTime.Malformed"),
    "an end before the start": (
        {"StartTime": "2026-11-22T10:00:00Z", "EndTime": "2026-11-22T09:00:00Z"},
        "InvalidEndTime.Mismatch",
    ),
    "an end at the start": (
        {"StartTime": "2026-11-22T10:00:00Z", "EndTime": "2026-11-22T10:00:00Z"},
        "InvalidEndTime.Mismatch",
    ),
}


@pytest.mark.parametrize(("parameters", "code"), TIMES.values(), ids=TIMES.keys())
def test_wrong_times_have_the_codes_of_the_original(parameters: dict[str, str], code: str) -> None:
    """Programs compare codes."""
    with pytest.raises(RpcError) as caught:
        times(parameters, NOW)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    "text", ["2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00Z", "2026-01-01T00:00:00+00:00"]
)
def test_a_time_has_one_form(text: str) -> None:
    """yyyy-MM-ddTHH:mm:ssZ."""
    with pytest.raises(RpcError, match="yyyy-MM-ddTHH:mm:ssZ"):
        parse("StartTime", text)
