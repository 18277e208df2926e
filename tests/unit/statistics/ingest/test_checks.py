"""Which reports and rows are accepted."""

from __future__ import annotations

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
    """A relay can only report as itself."""
    with pytest.raises(ForbiddenError, match=text):
        check_source(caller, usage(**source))


def told(*directories: Any) -> Tenures:
    tenures = Tenures()
    for directory in directories:
        tenures = follow(tenures, directory, kept=KEPT)
    return tenures


# "moved.example" and "gone.example" were team-a's until noon; then one is team-b's, the other nobody's.
TENURES = told(
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
        domains={"chat.example.com": "team-a", "moved.example": "team-b", "b.example": "team-b"},
        written_at="2026-06-15T09:00:00Z",
    ),
)

ROWS = {
    "another account": ({"account": "team-b"}, "account", True),
    "another account's domain": ({"domain": "b.example"}, "domain", True),
    "a domain that nobody ever had": ({"domain": "made-up.example"}, "domain", True),
    "a domain given up hours before the bucket": ({"domain": "gone.example"}, "domain", True),
    "a domain that moved hours before the bucket": ({"domain": "moved.example"}, "domain", True),
    "eleven minutes ahead": ({"bucket": "2026-06-15T12:15:00Z"}, "bucket", False),
    "older than the retention": ({"bucket": "2026-03-14T12:00:00Z"}, "bucket", False),
}


@pytest.mark.parametrize(("fields", "field", "forbidden"), ROWS.values(), ids=ROWS.keys())
def test_a_bad_row_is_named(fields: dict[str, str], field: str, forbidden: bool) -> None:
    """The refusal tells the row's index and field, and whether it is a matter of rights."""
    good = row(instant("2026-06-15T12:00:00Z"))
    with pytest.raises(RowsRefusedError) as refused:
        check_rows(RELAY, usage(good, good | fields), tenures=TENURES, now=NOW, retention=KEPT)
    (fault,) = refused.value.faults
    assert (fault.row, fault.field, refused.value.forbidden) == (1, field, forbidden)


GOOD = {
    "a clock that is ten minutes ahead": {"bucket": "2026-06-15T12:10:00Z"},
    "the oldest bucket that is taken": {"bucket": "2026-03-14T12:05:00Z"},
    "a domain that was given up after the bucket": {
        "domain": "gone.example",
        "bucket": "2026-06-15T08:30:00Z",
    },
    "the drain of a domain that was given up": {"domain": "gone.example", "bucket": "2026-06-15T10:05:00Z"},
    "the drain of a domain that moved": {"domain": "moved.example", "bucket": "2026-06-15T10:05:00Z"},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD.keys())
def test_rows_that_are_taken(fields: dict[str, str]) -> None:
    """Late reports of domains that the account held then, and small differences of clocks, are taken."""
    report = usage(row(instant("2026-06-15T12:00:00Z")) | fields)
    keys = check_rows(RELAY, report, tenures=TENURES, now=NOW, retention=KEPT)
    assert keys == {"team-a": "team-a"}


def test_before_the_first_directory_reports_wait() -> None:
    """Nobody can tell yet whose a domain is: the report is neither taken nor refused, and an empty one is."""
    with pytest.raises(DirectoryAwaitedError):
        check_rows(RELAY, usage(row(NOW.replace(minute=0))), tenures=Tenures(), now=NOW, retention=KEPT)
    check_rows(RELAY, usage(), tenures=Tenures(), now=NOW, retention=KEPT)


def test_a_laptop_needs_no_directory() -> None:
    """Without an issuer everybody may report everything."""
    report = usage(row(NOW.replace(minute=0), account="anybody", domain="any.example"))
    keys = check_rows(LAPTOP, report, tenures=Tenures(), now=NOW, retention=KEPT)
    assert keys == {"anybody": "anybody"}


def test_a_laptops_report_needs_no_pod() -> None:
    """Without an issuer any source is believed."""
    check_source(LAPTOP, usage(pod="nowhere"))
