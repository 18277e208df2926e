"""Who may report, write the Directory and read which account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.statistics.build import UID, directory_message, instant, row, usage
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import (
    DirectoryAwaitedError,
    ForbiddenError,
    RowsRefusedError,
    TokenRefusedError,
)
from wsedge_statistics.identity.callers import LAPTOP, Caller, Policy, caller_of, check_rows, check_source
from wsedge_statistics.tenure import Tenures, follow

NOW = instant("2026-06-15T12:02:00Z")
KEPT = timedelta(days=93)
RELAY = Caller("system:serviceaccount:team-a:chat-relay", "team-a", UID)
READER = Caller("system:serviceaccount:team-a:default", "team-a")
POLICY = Policy(
    operators=frozenset({"system:serviceaccount:wsedge-system:operator"}),
    admins=frozenset({"system:serviceaccount:ops:admin"}),
)


def claims(**changes: Any) -> dict[str, Any]:
    pod = {"namespace": "team-a", "pod": {"name": "chat-1", "uid": UID}}
    return {"sub": "system:serviceaccount:team-a:chat-relay", "kubernetes.io": pod} | changes


def test_a_bound_tokens_claims_name_pod_and_namespace() -> None:
    """A projected token's claims become a caller."""
    assert caller_of(claims()) == RELAY


def test_an_unbound_token_has_no_pod() -> None:
    """Kubectl create token makes a token without a pod."""
    assert caller_of(claims(**{"kubernetes.io": {"namespace": "team-a"}})).pod_uid is None


BAD_CLAIMS = {
    "a person's token": claims(sub="jane"),
    "no kubernetes claim": claims(**{"kubernetes.io": None}),
    "a namespace that is not the subject's": claims(**{"kubernetes.io": {"namespace": "team-b"}}),
    "a namespace that the subject only begins with": claims(**{"kubernetes.io": {"namespace": "team"}}),
    "a namespace that is no text": claims(**{"kubernetes.io": {"namespace": ["team-a"]}}),
}


@pytest.mark.parametrize("bad", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_other_kinds_of_tokens_are_refused(bad: dict[str, Any]) -> None:
    """Only ServiceAccount tokens name an account."""
    with pytest.raises(TokenRefusedError):
        caller_of(bad)


READS = {
    "a reader gets its own account without asking": (READER, None, "team-a"),
    "a reader may name its own account": (READER, "team-a", "team-a"),
    "a reader of another account is refused": (READER, "team-b", ForbiddenError),
    "the operator is no administrator": (
        Caller(next(iter(POLICY.operators)), "wsedge-system"),
        "team-a",
        ForbiddenError,
    ),
    "an administrator reads everything": (Caller("system:serviceaccount:ops:admin", "ops"), None, None),
    "an administrator reads one account": (
        Caller("system:serviceaccount:ops:admin", "ops"),
        "team-b",
        "team-b",
    ),
    "on a laptop everything is readable": (LAPTOP, None, None),
}


@pytest.mark.parametrize(("caller", "asked", "expected"), READS.values(), ids=READS.keys())
def test_who_reads_what(caller: Caller, asked: str | None, expected: Any) -> None:
    """A token of a namespace reads that account, administrators all."""
    if expected is ForbiddenError:
        with pytest.raises(ForbiddenError):
            POLICY.account_to_read(caller, asked)
    else:
        assert POLICY.account_to_read(caller, asked) == expected


def test_only_the_operator_writes_the_directory() -> None:
    """Neither relays nor administrators do."""
    POLICY.check_directory(Caller("system:serviceaccount:wsedge-system:operator", "wsedge-system"))
    for caller in (RELAY, Caller("system:serviceaccount:ops:admin", "ops")):
        with pytest.raises(ForbiddenError, match="not the operator"):
            POLICY.check_directory(caller)


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


def test_the_billing_zone_is_the_one_in_force() -> None:
    """Of several periods the one that has begun last counts; before the first, the first."""
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


def test_zones_that_this_machine_does_not_have_are_told() -> None:
    """A Directory may name a zone that is newer than the zone data here."""
    assert DirectoryView.of(directory_message(zone="Mars/Olympus")).unknown_zones() == {"Mars/Olympus"}
    assert DirectoryView.of(directory_message(zone="../etc/passwd")).unknown_zones() == {"../etc/passwd"}
