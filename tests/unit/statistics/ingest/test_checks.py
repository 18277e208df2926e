"""Checks of reports and rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import UID, directory_message, instant, row, usage
from wsedge_statistics.errors import DirectoryAwaitedError, ForbiddenError, RowsRefusedError
from wsedge_statistics.identity.callers import LAPTOP, Caller
from wsedge_statistics.ingest.checks import check_rows, check_source
from wsedge_statistics.tenure import Tenures, follow

NOW = instant("2026-06-15T12:02:00Z")
KEPT = timedelta(days=93)
RELAY = Caller("system:serviceaccount:team-a:chat-relay", "team-a", UID)
READER = Caller("system:serviceaccount:team-a:default", "team-a")

SOURCES = {
    "a token that is not bound": (READER, {}, "not bound to a pod"),
    "another pod's report": (RELAY, {"uid": "someone-else"}, "source.uid"),
    "a pod of another namespace": (RELAY, {"pod": "team-b/chat-1"}, "source.pod"),
}


@pytest.mark.parametrize(("caller", "source", "text"), SOURCES.values(), ids=SOURCES.keys())
def test_a_report_comes_from_the_pod_of_its_token(caller: Caller, source: dict[str, str], text: str) -> None:
    """A report whose source is another pod is refused."""
    with pytest.raises(ForbiddenError, match=text):
        check_source(caller, usage(**source))


def test_a_report_of_the_tokens_own_pod_is_accepted() -> None:
    """The source is the pod that the token is bound to."""
    assert RELAY.pod_uid == usage().source.uid
    check_source(RELAY, usage())


def tenures_after(*directories: Any) -> Tenures:
    tenures = Tenures()
    for directory in directories:
        tenures = follow(tenures, directory, kept=KEPT)
    return tenures


# team-a held "moved.example" and "gone.example" until 09:00: one moved to team-b, the other was deleted.
# It got "fresh.example" between 08:00 and 09:00.
TENURES = tenures_after(
    directory_message(
        domains={
            "chat.example.com": "team-a",
            "moved.example": "team-a",
            "gone.example": "team-a",
            "b.example": "team-b",
        },
        written_at="2026-06-15T08:00:00Z",
    ),
    directory_message(
        domains={
            "chat.example.com": "team-a",
            "moved.example": "team-b",
            "b.example": "team-b",
            "fresh.example": "team-a",
        },
        written_at="2026-06-15T09:00:00Z",
    ),
)

ROWS = {
    "another account": ({"account": "team-b"}, "account", True),
    "another account's domain": ({"domain": "b.example"}, "domain", True),
    "a domain of no account": ({"domain": "made-up.example"}, "domain", True),
    "a domain given up hours before the bucket": ({"domain": "gone.example"}, "domain", True),
    "a domain that moved hours before the bucket": ({"domain": "moved.example"}, "domain", True),
    "a domain that the account got hours after the bucket": (
        {"domain": "fresh.example", "bucket": "2026-06-15T07:40:00Z"},
        "domain",
        True,
    ),
    "eleven minutes ahead": ({"bucket": "2026-06-15T12:15:00Z"}, "bucket", False),
    "older than the retention": ({"bucket": "2026-03-14T12:00:00Z"}, "bucket", False),
}


@pytest.mark.parametrize(("fields", "field", "forbidden"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_is_named(fields: dict[str, str], field: str, forbidden: bool) -> None:
    """The refusal has the row's index and field, and whether the caller lacks the right."""
    good = row(instant("2026-06-15T12:00:00Z"))
    with pytest.raises(RowsRefusedError) as refused:
        check_rows(RELAY, usage(good, good | fields), tenures=TENURES, now=NOW, retention=KEPT)
    (fault,) = refused.value.faults
    assert (fault.row, fault.field, refused.value.forbidden) == (1, field, forbidden)


GOOD = {
    "a clock that is ten minutes ahead": {"bucket": "2026-06-15T12:10:00Z"},
    "the oldest bucket that is accepted": {"bucket": "2026-03-14T12:05:00Z"},
    "a domain that was given up after the bucket": {
        "domain": "gone.example",
        "bucket": "2026-06-15T08:30:00Z",
    },
    "a domain that was first named an hour after the bucket": {
        "domain": "fresh.example",
        "bucket": "2026-06-15T08:00:00Z",
    },
    "a bucket that began a moment before the account could have the domain": {
        "domain": "fresh.example",
        "bucket": "2026-06-15T07:45:00Z",
    },
    "the drain of a domain that was given up": {"domain": "gone.example", "bucket": "2026-06-15T10:05:00Z"},
    "the drain of a domain that moved": {"domain": "moved.example", "bucket": "2026-06-15T10:05:00Z"},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD.keys())
def test_rows_that_are_accepted(fields: dict[str, str]) -> None:
    """Late reports of domains that the account held, and small differences of clocks, are accepted."""
    report = usage(row(instant("2026-06-15T12:00:00Z")) | fields)
    keys = check_rows(RELAY, report, tenures=TENURES, now=NOW, retention=KEPT)
    assert keys == {"team-a": "team-a"}


def test_before_the_first_directory_reports_wait() -> None:
    """The owner of a domain is unknown: a report with rows is repeated, an empty report is accepted."""
    with pytest.raises(DirectoryAwaitedError):
        check_rows(RELAY, usage(row(NOW.replace(minute=0))), tenures=Tenures(), now=NOW, retention=KEPT)
    check_rows(RELAY, usage(), tenures=Tenures(), now=NOW, retention=KEPT)


AGAIN = tenures_after(
    directory_message(lives={"team-a": {"uid": "old-uid"}}, written_at="2026-06-15T08:00:00Z"),
    directory_message(
        lives={"team-a": {"uid": "new-uid-2", "since": "2026-06-15T09:00:00Z"}},
        written_at="2026-06-15T09:01:00Z",
    ),
)


def test_rows_are_stored_under_the_key_of_the_tokens_life() -> None:
    """The relays of a namespace that was made again count for the new life."""
    relay = replace(RELAY, issued=instant("2026-06-15T11:00:00Z"))
    report = usage(row(instant("2026-06-15T12:00:00Z")))
    keys = check_rows(relay, report, tenures=AGAIN, now=NOW, retention=KEPT)
    assert keys == {"team-a": "team-a@new-uid-"}


def test_a_life_that_no_directory_has_named_has_no_key() -> None:
    """A report without rows is accepted, and nothing can be stored."""
    tenures = tenures_after(
        directory_message(lives={"team-a": {"uid": "u", "until": "2026-06-15T08:00:00Z"}})
    )
    relay = replace(RELAY, issued=instant("2026-06-15T09:00:00Z"))
    assert check_rows(relay, usage(), tenures=tenures, now=NOW, retention=KEPT) == {}
    with pytest.raises(RowsRefusedError, match="does not hold"):
        check_rows(relay, usage(row(NOW.replace(minute=0))), tenures=tenures, now=NOW, retention=KEPT)


def test_a_caller_without_a_namespace_holds_nothing() -> None:
    """Its rows are foreign, whatever account they name."""
    nobody = replace(RELAY, namespace=None)
    with pytest.raises(RowsRefusedError, match="account"):
        check_rows(nobody, usage(row(NOW.replace(minute=0))), tenures=TENURES, now=NOW, retention=KEPT)


def test_a_laptop_needs_no_directory() -> None:
    """Without an issuer a caller may report every account."""
    report = usage(row(NOW.replace(minute=0), account="anybody", domain="any.example"))
    keys = check_rows(LAPTOP, report, tenures=Tenures(), now=NOW, retention=KEPT)
    assert keys == {"anybody": "anybody"}


def test_a_laptops_report_needs_no_pod() -> None:
    """Without an issuer any source is accepted."""
    check_source(LAPTOP, usage(pod="nowhere"))
