"""Look-ups in a Directory."""

from __future__ import annotations

from support.statistics.build import directory_message, instant
from wsedge_statistics.directory import DirectoryView

NOW = instant("2026-06-15T12:02:00Z")


def test_the_billing_zone_is_that_of_the_period_in_force() -> None:
    """The last period that has begun counts; before the first period, the first."""
    document = directory_message().model_dump(mode="json")
    later = {"terms": document["accounts"][0]["periods"][0]["terms"] | {"timeZone": "Europe/Berlin"}}
    document["accounts"][0]["periods"] += [later | {"start": "2026-07-01T00:00:00Z"}]
    view = DirectoryView.of(type(directory_message()).model_validate(document))
    zones = [
        view.zone_name("team-a", instant(at))
        for at in ("2024-01-01T00:00Z", "2026-06-30T23:59Z", "2026-07-01T00:00Z")
    ]
    assert zones == ["Asia/Shanghai", "Asia/Shanghai", "Europe/Berlin"]
    assert view.zone_name("nobody", NOW) is None
    assert view.zone_name(None, NOW) is None


def test_zones_that_the_database_does_not_have_are_listed() -> None:
    """A Directory may name a zone that is newer than this program's database."""
    assert DirectoryView.of(directory_message(zone="Mars/Olympus")).unknown_zones() == {"Mars/Olympus"}
    assert DirectoryView.of(directory_message(zone="../etc/passwd")).unknown_zones() == {"../etc/passwd"}


def test_without_a_directory_no_domain_has_an_owner() -> None:
    """None is an empty Directory."""
    assert DirectoryView.of(None).owner("chat.example.com") is None
