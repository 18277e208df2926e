"""Natural days and months of an account, cut where its terms changed."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.statistics.bill_oracle import InForce
from support.statistics.billing import in_force, period, spans
from support.statistics.build import seconds
from wsedge_statistics.billing.periods import (
    Interval,
    day_of,
    names_between,
    period_named,
    spans_of,
)
from wsedge_statistics.contract import zone_named
from wsedge_statistics.errors import UnknownZoneError

LONG_AGO = "2020-01-01T00:00:00Z"

MONTHS = {
    "February of a leap year": ("UTC", "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z", 29),
    "February of another year": ("UTC", "2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", 28),
    "a month that loses an hour": (
        "Europe/Berlin",
        "2026-03",
        "2026-02-28T23:00:00Z",
        "2026-03-31T22:00:00Z",
        31,
    ),
    "a month that gains an hour": (
        "Europe/Berlin",
        "2026-10",
        "2026-09-30T22:00:00Z",
        "2026-10-31T23:00:00Z",
        31,
    ),
    "a month that gains half an hour": (
        "Australia/Lord_Howe",
        "2026-04",
        "2026-03-31T13:00:00Z",
        "2026-04-30T13:30:00Z",
        30,
    ),
    "a month that begins behind UTC": (
        "America/New_York",
        "2026-12",
        "2026-12-01T05:00:00Z",
        "2027-01-01T05:00:00Z",
        31,
    ),
}


@pytest.mark.parametrize(("zone", "name", "start", "end", "count"), MONTHS.values(), ids=MONTHS.keys())
def test_a_month_is_natural_in_its_zone(zone: str, name: str, start: str, end: str, count: int) -> None:
    """A month runs from its first local midnight to that of the next month."""
    found = period(name, in_force("2011-01-01T00:00:00Z", zone=zone))
    (part,) = found.parts
    assert (found.start, found.end, part.natural_days) == (seconds(start), seconds(end), count)
    assert len(part.days) == count


def test_a_day_that_a_zone_skipped_is_no_day_of_the_month() -> None:
    """Samoa had no 30 December 2011: 30 days, and none of them empty."""
    found = period("2011-12", in_force("2011-01-01T00:00:00Z", zone="Pacific/Apia"))
    (part,) = found.parts
    assert (part.natural_days, len(part.days)) == (30, 30)
    assert date(2011, 12, 30) not in {day.date for day in part.days}
    assert (
        period_named(
            spans(in_force(LONG_AGO, zone="Pacific/Apia", method="DailyPeakBandwidth")), "2011-12-30"
        )
        is None
    )


def test_a_day_without_a_midnight_begins_at_the_skip() -> None:
    """Sao Paulo, 4 November 2018, began at 01:00 and has 276 slots."""
    found = period(
        "2018-11-04", in_force("2018-01-01T00:00:00Z", zone="America/Sao_Paulo", method="DailyPeakBandwidth")
    )
    assert found.parts[0].days[0].slots == Interval(
        seconds("2018-11-04T03:00:00Z"), seconds("2018-11-05T02:00:00Z")
    )
    assert found.parts[0].days[0].count(found.end) == 276


def test_terms_that_begin_within_a_month_make_whole_days_effective() -> None:
    """From 5 April, 10:02, on: 26 of 30 days, each with all its slots; those before the start are zeros."""
    found = period("2026-04", in_force("2026-04-05T10:02:17Z"))
    (part,) = found.parts
    assert (len(part.days), part.natural_days) == (26, 30)
    assert sum(day.count(found.end) for day in part.days) == 26 * 288
    assert part.effective == Interval(seconds("2026-04-05T10:00:00Z"), found.end)


def test_terms_that_end_within_a_month_keep_their_days() -> None:
    """Until the 10th, 00:00: nine effective days; the statement is of the whole month."""
    found = period("2026-04", in_force(LONG_AGO, "2026-04-10T00:00:00Z"))
    assert [day.date.day for day in found.parts[0].days] == list(range(1, 10))
    assert found.end == seconds("2026-05-01T00:00:00Z")


def test_a_daily_account_that_becomes_monthly_has_days_and_then_a_month() -> None:
    """Days until the change, then the rest of the month as one period."""
    history = spans(
        in_force("2026-04-01T00:00:00Z", "2026-04-04T00:00:00Z", method="Traffic", cycle="Daily"),
        in_force("2026-04-04T00:00:00Z"),
    )
    names = names_between(history, seconds("2026-03-01T00:00:00Z"), seconds("2026-04-20T00:00:00Z"))
    assert names == ["2026-04-01", "2026-04-02", "2026-04-03", "2026-04"]
    found = period_named(history, "2026-04")
    assert found is not None
    assert [len(part.days) for part in found.parts] == [27]


def test_a_method_that_changes_within_a_month_makes_two_parts() -> None:
    """Each part has its own days, by time."""
    found = period(
        "2026-04",
        in_force(LONG_AGO, "2026-04-11T00:00:00Z", method="Month4thPeakBandwidth"),
        in_force("2026-04-11T00:00:00Z"),
    )
    assert [(part.terms.method, len(part.days)) for part in found.parts] == [
        ("Month4thPeakBandwidth", 10),
        ("Month95Bandwidth", 20),
    ]


def test_equal_terms_that_were_interrupted_are_one_part() -> None:
    """An end and a new begin of the same terms within a month: one line, with the days of both."""
    found = period("2026-04", in_force(LONG_AGO, "2026-04-11T00:00:00Z"), in_force("2026-04-21T00:00:00Z"))
    assert [len(part.days) for part in found.parts] == [20]


def test_a_zone_that_changes_westwards_leaves_a_rest_of_the_month() -> None:
    """From Shanghai to UTC at a month's end: eight hours of the last day are under the new terms, alone."""
    change = "2026-04-30T16:00:00Z"
    found = period("2026-04", in_force(LONG_AGO, change, zone="Asia/Shanghai"), in_force(change, zone="UTC"))
    old, new = found.parts
    assert (len(old.days), len(new.days)) == (30, 1)
    assert new.days[0].count(found.end) == 8 * 12
    assert found.end == seconds("2026-05-01T00:00:00Z")


def test_the_slot_of_a_change_belongs_to_the_new_terms() -> None:
    """A change within five minutes: the slot is counted once, where it ends."""
    found = spans(
        in_force("2026-04-01T00:00:00Z", "2026-04-10T10:02:00Z", method="Traffic"),
        in_force("2026-04-10T10:02:00Z"),
    )
    assert found[0].slots.end == found[1].slots.start == seconds("2026-04-10T10:00:00Z")


def test_the_last_slot_before_an_end_is_not_lost() -> None:
    """Terms that end within five minutes without a successor have the whole slot."""
    (found,) = spans(in_force("2026-04-01T00:00:00Z", "2026-04-10T10:02:00Z"))
    assert found.slots.end == seconds("2026-04-10T10:05:00Z")


def test_terms_within_one_slot_have_none() -> None:
    """Terms of three minutes that others follow have no slot."""
    found = spans(
        in_force("2026-04-01T10:01:00Z", "2026-04-01T10:04:00Z", method="Traffic"),
        in_force("2026-04-01T10:04:00Z"),
    )
    assert [span.terms.method for span in found] == ["Month95Bandwidth"]


def test_traffic_of_the_month_before_the_part_fills_lower_tiers() -> None:
    """A day's statement depends on the traffic that was settled before it in the month."""
    found = period("2026-04-03", in_force("2026-04-02T00:00:00Z", method="Traffic", cycle="Daily"))
    assert found.parts[0].earlier == (Interval(seconds("2026-04-02T00:00:00Z"), found.start),)
    assert found.values_from == seconds("2026-04-02T00:00:00Z")


def test_bandwidth_does_not_depend_on_the_days_before() -> None:
    """A daily peak needs the day alone."""
    found = period("2026-04-03", in_force("2026-04-02T00:00:00Z", method="DailyPeakBandwidth"))
    assert found.values_from == found.start


NOT_NAMED = {
    "a text": "april",
    "a month that does not exist": "2026-13",
    "a day that does not exist": "2026-02-30",
    "a year before clocks": "1970-01",
    "a year after clocks": "9999-01",
    "a month before the terms": "2026-03",
    "a day of a monthly account": "2026-04-05",
    "a month with more digits": "2026-004",
    "digits of another script": "२०२६-०४",
}


@pytest.mark.parametrize("name", NOT_NAMED.values(), ids=NOT_NAMED.keys())
def test_no_period(name: str) -> None:
    """A name that is none, or of a period without terms, has no statement."""
    assert period_named(spans(in_force("2026-04-05T00:00:00Z")), name) is None


def test_a_zone_that_this_program_does_not_have_is_told() -> None:
    """A newer operator may know a newer zone; a bill cut elsewhere would be wrong."""
    with pytest.raises(UnknownZoneError, match="Mars/Olympus"):
        period_named(spans(in_force(LONG_AGO, zone="Mars/Olympus")), "2026-04")


def test_no_terms_have_no_periods() -> None:
    """An account without a plan has nothing to be billed for."""
    assert spans_of([]) == ()
    assert names_between((), 0, 1 << 33) == []


def test_terms_after_the_asked_time_name_nothing() -> None:
    """Only periods that have begun are named."""
    history = spans(in_force("2026-04-05T00:00:00Z"))
    assert names_between(history, 0, seconds("2026-04-05T00:00:00Z")) == []


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "Atlantic/Azores",
]
INSTANTS = st.integers(seconds("2005-01-01T00:00:00Z") // 60, seconds("2035-01-01T00:00:00Z") // 60).map(
    lambda minute: datetime.fromtimestamp(60 * minute, tz=UTC)
)


@given(st.sampled_from(ZONES), INSTANTS, st.integers(1, 120))
@example("Pacific/Apia", datetime(2011, 11, 5, 7, 52, tzinfo=UTC), 56)  # without the 30th of December
def test_days_and_months_tile_all_time(zone: str, start: datetime, length: int) -> None:
    """Daily periods, and monthly ones, follow each other without a gap, in any zone."""
    for method in ("DailyPeakBandwidth", "Month95Bandwidth"):
        cycle = "Daily" if method == "DailyPeakBandwidth" else "Monthly"
        history = spans(InForce(cycle, method, zone, start, start + timedelta(days=length)))
        first, last = history[0].slots
        found = [period_named(history, name) for name in names_between(history, first, last)]
        intervals = [slots for each in found if each is not None for slots in each.parts[0].own]
        assert len(found) == len([each for each in found if each is not None])
        assert (intervals[0].start, intervals[-1].end) == (first, last)
        assert all(one.end == other.start for one, other in itertools.pairwise(intervals))


@given(st.sampled_from(ZONES), INSTANTS)
def test_an_instant_lies_in_its_day(zone: str, at: datetime) -> None:
    """The natural day of an instant contains it."""
    found = zone_named(zone)
    assert found is not None
    second = int(at.timestamp())
    day = day_of(second, found)
    history = spans(InForce("Daily", "Traffic", zone, at - timedelta(days=3), None))
    named = period_named(history, day.isoformat())
    assert named is not None
    assert named.start <= second < named.end
