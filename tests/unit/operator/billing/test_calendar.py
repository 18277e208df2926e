"""Natural days and months in zones whose midnights are ordinary, skipped, or repeated."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.story import at
from wsedge_operator.api.billing_plan import BillingCycle
from wsedge_operator.billing.calendar import SECOND, day_of, day_start, next_boundary, zone_of
from wsedge_operator.errors import UnknownZoneError
from wsedge_statistics.contract import known_zones

AGES = datetime(1900, 1, 1), datetime(2037, 12, 1)  # noqa: DTZ001  hypothesis adds the zone
DAILY, MONTHLY = BillingCycle.DAILY, BillingCycle.MONTHLY

BOUNDARIES = {
    "an ordinary day ends at midnight of its zone": (
        "Asia/Shanghai", DAILY, "2026-11-22 10:00+08:00", "2026-11-23 00:00+08:00"),
    "a month ends with its last day": (
        "Asia/Shanghai", MONTHLY, "2026-11-22 10:00+08:00", "2026-12-01 00:00+08:00"),
    "an instant on a day's boundary belongs to the new day": (
        "Asia/Shanghai", DAILY, "2026-11-22 00:00+08:00", "2026-11-23 00:00+08:00"),
    "an instant on a month's boundary belongs to the new month": (
        "Asia/Shanghai", MONTHLY, "2026-11-01 00:00+08:00", "2026-12-01 00:00+08:00"),
    "a second before the boundary belongs to the old day": (
        "Asia/Shanghai", DAILY, "2026-11-22 23:59:59+08:00", "2026-11-23 00:00+08:00"),
    "31 December ends with the year, daily": (
        "Asia/Shanghai", DAILY, "2026-12-31 23:00+08:00", "2027-01-01 00:00+08:00"),
    "December ends with the year, monthly": (
        "Asia/Shanghai", MONTHLY, "2026-12-31 23:00+08:00", "2027-01-01 00:00+08:00"),
    "28 February of a leap year is followed by the 29th": (
        "UTC", DAILY, "2028-02-28 12:00+00:00", "2028-02-29 00:00+00:00"),
    "28 February of another year is followed by March": (
        "UTC", DAILY, "2027-02-28 12:00+00:00", "2027-03-01 00:00+00:00"),
    "a leap day belongs to February": (
        "UTC", MONTHLY, "2028-02-29 12:00+00:00", "2028-03-01 00:00+00:00"),
    "31 January is followed by 1 February, monthly": (
        "UTC", MONTHLY, "2027-01-31 12:00+00:00", "2027-02-01 00:00+00:00"),
    "the zone decides what day it is": (
        "America/Los_Angeles", DAILY, "2026-11-23 02:00+00:00", "2026-11-23 08:00+00:00"),
    "a midnight that clocks skip (Sao Paulo 2018) is the instant of the skip": (
        "America/Sao_Paulo", DAILY, "2018-11-03 12:00-03:00", "2018-11-04 01:00-02:00"),
    "a day that begins with a skip has 23 hours": (
        "America/Sao_Paulo", DAILY, "2018-11-04 01:00-02:00", "2018-11-05 00:00-02:00"),
    "a midnight that clocks skip (Havana 2020) is the instant of the skip": (
        "America/Havana", DAILY, "2020-03-07 12:00-05:00", "2020-03-08 01:00-04:00"),
    "of a midnight that comes twice (Havana 2020) the first counts": (
        "America/Havana", DAILY, "2020-10-31 12:00-04:00", "2020-11-01 00:00-04:00"),
    "of a month's midnight that comes twice the first counts": (
        "America/Havana", MONTHLY, "2020-10-31 12:00-04:00", "2020-11-01 00:00-04:00"),
    "the second of two midnights belongs to the day that began with the first": (
        "America/Havana", DAILY, "2020-11-01 00:00-05:00", "2020-11-02 00:00-05:00"),
    "a skipped midnight (Beirut 2022) is the instant of the skip": (
        "Asia/Beirut", DAILY, "2022-03-26 12:00+02:00", "2022-03-27 01:00+03:00"),
    "a last hour that comes twice (Beirut 2022) belongs to the old day both times": (
        "Asia/Beirut", DAILY, "2022-10-29 23:30+02:00", "2022-10-30 00:00+02:00"),
    "a day that clocks leave again (St. John's 2009: 00:01 to 23:01) begins with its first minute": (
        "America/St_Johns", MONTHLY, "2009-10-31 23:59-02:30", "2009-11-01 00:00-02:30"),
    "and stays begun while they show the old date once more": (
        "America/St_Johns", MONTHLY, "2009-10-31 23:30-03:30", "2009-12-01 00:00-03:30"),
    "a skip that begins before midnight (Toronto 1919: 23:30 to 00:30) is the new day's first instant": (
        "America/Toronto", DAILY, "1919-03-30 12:00-05:00", "1919-03-30 23:30-05:00"),
    "a day that a zone leaves out (Apia 2011-12-30) has no length": (
        "Pacific/Apia", DAILY, "2011-12-29 12:00-10:00", "2011-12-31 00:00+14:00"),
}  # fmt: skip


@pytest.mark.parametrize(("zone", "cycle", "instant", "expected"), BOUNDARIES.values(), ids=BOUNDARIES.keys())
def test_boundary(zone: str, cycle: BillingCycle, instant: str, expected: str) -> None:
    """The next boundary is at the instant that the row states."""
    assert next_boundary(at(instant), cycle, zone_of(zone)) == at(expected)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "Mars/Olympus",
        "asia/shanghai",
        "../etc/passwd",
        "/etc/localtime",
        "Asia",
        "Asia/",
        "Asia/../UTC",
        "UTC\0",
        "localtime",
        "Factory",
        "posixrules",
        "posixrules/x",
        "posix/UTC",
        "right/UTC",
        "tzdata.zi",
        "zone.tab",
        "leapseconds",
        "__init__.py",
    ],
)
def test_unknown_zone(name: str) -> None:
    """A name that is not in the database is refused, also if it is the path of a file."""
    with pytest.raises(UnknownZoneError, match="is no time zone of the IANA database"):
        zone_of(name)


@pytest.mark.parametrize(
    "name", ["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT-14", "PRC"]
)
def test_zones_and_links_are_known(name: str) -> None:
    """A zone has each of its names, also deprecated links."""
    assert zone_of(name).key == name


def test_no_zone_comes_from_the_host(tmp_path: Path) -> None:
    """Zones come from the locked tzdata package, not from the files of the host."""
    (tmp_path / "Asia").mkdir()
    with resources.files("tzdata.zoneinfo").joinpath("UTC").open("rb") as utc:
        (tmp_path / "Asia" / "Shanghai").write_bytes(utc.read())
    program = (
        "from zoneinfo import ZoneInfo; from datetime import datetime;"
        "from wsedge_statistics.contract import zone_named;"
        "noon = datetime(2026, 1, 1, 12);"
        "print(noon.replace(tzinfo=ZoneInfo('Asia/Shanghai')).utcoffset(),"
        " noon.replace(tzinfo=zone_named('Asia/Shanghai')).utcoffset())"
    )
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == "0:00:00 8:00:00"


@given(
    zone=st.sampled_from(sorted(known_zones())),
    instant=st.datetimes(AGES[0], AGES[1], timezones=st.just(UTC)),
    cycle=st.sampled_from(BillingCycle),
)
def test_boundaries_in_every_zone(zone: str, instant: datetime, cycle: BillingCycle) -> None:
    """The boundary is later than the instant and begins a day; the second before is of the old day."""
    where = zone_of(zone)
    moment = instant.replace(microsecond=0)
    boundary = next_boundary(moment, cycle, where)
    assert moment < boundary <= moment + timedelta(days=34)
    assert day_of(boundary - SECOND, where) < day_of(boundary, where)
    assert day_of(moment, where) <= day_of(boundary - SECOND, where)
    assert next_boundary(boundary - SECOND, cycle, where) == boundary


@given(
    zone=st.sampled_from(sorted(known_zones())),
    day=st.dates(AGES[0].date(), AGES[1].date()),
)
def test_first_instants_in_every_zone(zone: str, day: date) -> None:
    """The first instant of a day shows its date, or a later one if the zone skips the day."""
    where = zone_of(zone)
    first = day_start(day, where)
    assert first.astimezone(where).date() >= day
    assert (first - SECOND).astimezone(where).date() < day
