"""Look-ups in a Directory."""

from __future__ import annotations

from support.statistics.build import directory_message, instant
from wsedge_statistics.directory import DirectoryView


def test_the_billing_zones_are_those_of_all_periods() -> None:
    """Each has its start, also a pending one; an unknown account, or none, has no zone."""
    document = directory_message().model_dump(mode="json")
    later = {"terms": document["accounts"][0]["periods"][0]["terms"] | {"timeZone": "Europe/Berlin"}}
    document["accounts"][0]["periods"] += [later | {"start": "2026-07-01T00:00:00Z"}]
    view = DirectoryView.of(type(directory_message()).model_validate(document))
    assert view.zones("team-a") == [
        (instant("2025-01-01T00:00Z"), "Asia/Shanghai"),
        (instant("2026-07-01T00:00Z"), "Europe/Berlin"),
    ]
    assert view.zones("nobody") == []
    assert view.zones(None) == []


def test_zones_that_the_database_does_not_have_are_listed() -> None:
    """A Directory may name a zone that is newer than this program's database."""
    assert DirectoryView.of(directory_message(zone="Mars/Olympus")).unknown_zones() == {"Mars/Olympus"}
    assert DirectoryView.of(directory_message(zone="../etc/passwd")).unknown_zones() == {"../etc/passwd"}


def test_without_a_directory_no_domain_has_an_owner() -> None:
    """None is an empty Directory."""
    assert DirectoryView.of(None).owner("chat.example.com") is None
