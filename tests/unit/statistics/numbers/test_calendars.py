"""Days in the zones that were in force."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.statistics.build import instant, seconds
from wsedge_statistics.contract import zone_named
from wsedge_statistics.numbers.calendars import Calendar
from wsedge_statistics.numbers.series import BUCKET

ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu")


def calendar(*changes: tuple[str, str]) -> Calendar:
    zones = [(instant(start), name, zone) for start, name in changes if (zone := zone_named(name))]
    assert len(zones) == len(changes)
    return Calendar.of_changes(zones)


CHANGES: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "one zone has been in force always": (
        [("2026-06-10T00:00Z", "Asia/Shanghai")],
        ["06-08T16", "06-09T16", "06-10T16", "06-11T16"],
    ),
    "a change at the midnight of both": (
        [("2025-01-01T00:00Z", "Asia/Shanghai"), ("2026-06-10T16:00Z", "Asia/Singapore")],
        ["06-08T16", "06-09T16", "06-10T16", "06-11T16"],
    ),
    "a change at the old midnight makes a short first day": (
        [("2025-01-01T00:00Z", "Asia/Shanghai"), ("2026-06-10T16:00Z", "UTC")],
        ["06-08T16", "06-09T16", "06-10T16", "06-11T00"],
    ),
    "a change at the new midnight makes a short last day": (
        [("2025-01-01T00:00Z", "Asia/Shanghai"), ("2026-06-11T00:00Z", "UTC")],
        ["06-08T16", "06-09T16", "06-10T16", "06-11T00"],
    ),
    "a change within a bucket is that bucket's": (
        [("2025-01-01T00:00Z", "Asia/Shanghai"), ("2026-06-10T12:04:59Z", "UTC")],
        ["06-08T16", "06-09T16", "06-10T12", "06-11T00"],
    ),
    "of two changes in one bucket the later one counts": (
        [
            ("2025-01-01T00:00Z", "Asia/Shanghai"),
            ("2026-06-10T12:04:00Z", "Asia/Tokyo"),
            ("2026-06-10T12:00:00Z", "Europe/Berlin"),
        ],
        ["06-08T16", "06-09T16", "06-10T12", "06-10T15", "06-11T15"],
    ),
    "a change to the same zone is none": (
        [("2025-01-01T00:00Z", "UTC"), ("2026-06-10T12:00Z", "UTC")],
        ["06-09T00", "06-10T00", "06-11T00"],
    ),
    "a change that is yet to come": (
        [("2025-01-01T00:00Z", "UTC"), ("2026-08-01T00:00Z", "Asia/Shanghai")],
        ["06-09T00", "06-10T00", "06-11T00"],
    ),
}


@pytest.mark.parametrize(("changes", "starts"), CHANGES.values(), ids=CHANGES.keys())
def test_days_are_cut_in_the_zone_in_force(changes: list[tuple[str, str]], starts: list[str]) -> None:
    """The starts of the days that cover 9 June 00:00 to 12 June 00:00 UTC."""
    days = calendar(*changes).cut_days(instant("2026-06-09T00:00Z"), instant("2026-06-12T00:00Z"))
    assert [datetime.fromtimestamp(day[0], tz=UTC).strftime("%m-%dT%H") for day in days] == starts
    assert all(a[1] == b[0] for a, b in itertools.pairwise(days))
    assert days[-1][1] >= seconds("2026-06-12T00:00Z")


def test_the_zones_of_a_range_are_those_in_force_in_it() -> None:
    """A zone that ended at the start, or begins at the end, is none of them."""
    known = calendar(
        ("2025-01-01T00:00Z", "Asia/Tokyo"), ("2026-06-10T00:00Z", "UTC"), ("2026-06-20T00:00Z", "Asia/Tokyo")
    )
    for start, end, names in (
        ("2026-06-10T00:00Z", "2026-06-20T00:00Z", ["UTC"]),
        ("2026-06-09T23:55Z", "2026-06-20T00:05Z", ["Asia/Tokyo", "UTC", "Asia/Tokyo"]),
        ("2020-01-01T00:00Z", "2020-01-02T00:00Z", ["Asia/Tokyo"]),
    ):
        assert [zone.name for zone in known.within(seconds(start), seconds(end))] == names
    assert known.at(instant("2026-06-10T00:00Z")).name == "UTC"
    assert known.at(instant("2026-06-09T23:59:59Z")).name == "Asia/Tokyo"


def slow_days(known: Calendar, start: int, end: int) -> list[tuple[int, int]]:
    """Walk bucket by bucket: a day ends where the date or the zone differs from the bucket before."""
    first = start - 30 * 3600

    def label(at: int) -> object:
        when = datetime.fromtimestamp(at, tz=UTC)
        zone = known.at(when)
        return zone.since, when.astimezone(zone.zone).date()

    edges = [at for at in range(first, end + 60 * 3600, BUCKET) if label(at) != label(at - BUCKET)]
    return [day for day in itertools.pairwise(edges) if day[0] < end and day[1] > start]


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 12 * 288), st.sampled_from(ZONES)),
        max_size=3,
        unique_by=lambda each: each[0],
    ),
    first=st.sampled_from(ZONES),
    base=st.sampled_from(
        ["2026-03-05T00:00Z", "2026-03-24T00:00Z", "2026-10-21T00:00Z", "2026-06-01T00:00Z"]
    ),
    offset=st.integers(0, 4 * 288),
    length=st.integers(1, 5 * 288),
)
def test_days_tile_the_range_as_a_walk_finds_them(
    changes: list[tuple[int, str]], first: str, base: str, offset: int, length: int
) -> None:
    """No gap and no overlap, over changes of the zone and of clocks, against a walk over each bucket."""
    begin = instant(base)
    zones = [
        (begin - timedelta(days=400), first),
        *((begin + n * timedelta(minutes=5), z) for n, z in changes),
    ]
    known = Calendar.of_changes([(at, name, zone) for at, name in zones if (zone := zone_named(name))])
    start = begin + timedelta(minutes=5 * offset)
    end = start + timedelta(minutes=5 * length)
    expected = slow_days(known, int(start.timestamp()), int(end.timestamp()))
    assert known.cut_days(start, end) == expected
