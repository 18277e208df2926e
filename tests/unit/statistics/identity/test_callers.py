"""The caller in a token's claims, and its rights."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from support.statistics.build import UID
from wsedge_statistics.errors import ForbiddenError, TokenRefusedError
from wsedge_statistics.identity.callers import LAPTOP, Caller, Policy, caller_of
from wsedge_statistics.tenure import Epoch, Tenures

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
    """The claims of a relay's projected token give its account and its pod."""
    assert caller_of(claims()) == RELAY


def test_an_unbound_token_has_no_pod() -> None:
    """`kubectl create token` creates a token without a pod."""
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


ISSUED = {
    "a number of seconds": (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
    "a fraction of a second": (0.5, datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
    "no claim": (None, None),
    "a text": ("1700000000", None),
    "a boolean": (True, None),
    "an instant beyond the calendar": (1e18, None),
    "no number": (float("nan"), None),
    "infinity": (float("inf"), None),
}


@pytest.mark.parametrize(("claim", "issued"), ISSUED.values(), ids=ISSUED.keys())
def test_the_time_of_issue_is_a_numeric_date(claim: object, issued: datetime | None) -> None:
    """Any other value of `iat` counts as absent (RFC 7519 §2)."""
    assert caller_of(claims(iat=claim)).issued == issued


PODS = {
    "no object": "chat-1",
    "an empty uid": {"name": "chat-1", "uid": ""},
    "a uid that is no text": {"name": "chat-1", "uid": 7},
}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_a_malformed_pod_counts_as_none(pod: object) -> None:
    """Such a token is not bound to a pod, so it reports nothing."""
    assert caller_of(claims(**{"kubernetes.io": {"namespace": "team-a", "pod": pod}})).pod_uid is None


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
def test_rights_to_read(caller: Caller, asked: str | None, expected: Any) -> None:
    """A token of a namespace reads that account; an administrator reads all accounts."""
    if expected is ForbiddenError:
        with pytest.raises(ForbiddenError):
            POLICY.account_to_read(caller, asked)
    else:
        assert POLICY.account_to_read(caller, asked) == expected


def test_an_administrator_of_all_accounts_has_no_key() -> None:
    """None is the sum over all accounts."""
    assert POLICY.key_to_read(Caller("system:serviceaccount:ops:admin", "ops"), None, Tenures()) is None
    assert POLICY.key_to_read(LAPTOP, "team-b", Tenures()) == "team-b"


def test_a_token_without_a_time_of_issue_belongs_to_the_first_life() -> None:
    """The first life's key is the account's name."""
    assert POLICY.key_to_read(READER, None, Tenures()) == "team-a"


def test_a_token_reads_the_life_that_it_was_issued_in() -> None:
    """A former life is refused; a life that no Directory has named yet has a key without counts."""
    born, died = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC)
    lives = (Epoch("team-a", "team-a", "u1"), Epoch("team-a", "team-a@u2", "u2", since=born, until=died))
    tenures = Tenures(True, {"team-a": lives})

    def key(day: int) -> str | None:
        issued = datetime(2026, 1, day, tzinfo=UTC)
        return POLICY.key_to_read(Caller(READER.subject, "team-a", issued=issued), None, tenures)

    assert (key(3), key(6)) == ("team-a@u2", "team-a@")
    with pytest.raises(ForbiddenError, match="that was deleted"):
        key(1)


def test_a_user_reads_the_present_life_alone() -> None:
    """By the uid that the namespace has now; an account without a known uid is that of its name."""
    user = Caller("jane", "team-a", reviewed=True, namespace_uid="u1")
    assert (
        POLICY.key_to_read(user, None, Tenures(True, {"team-a": (Epoch("team-a", "team-a", "u1"),)}))
        == "team-a"
    )
    assert POLICY.key_to_read(user, None, Tenures()) == "team-a"
    with pytest.raises(ForbiddenError, match="created again"):
        POLICY.key_to_read(user, None, Tenures(True, {"team-a": (Epoch("team-a", "team-a", "u0"),)}))


def test_a_user_of_the_operators_name_writes_no_directory() -> None:
    """The operator's own token is issued for this program."""
    with pytest.raises(ForbiddenError):
        POLICY.check_directory(Caller(next(iter(POLICY.operators)), reviewed=True))


def test_on_a_laptop_every_caller_writes_the_directory() -> None:
    """Without an issuer there is no operator to identify."""
    POLICY.check_directory(LAPTOP)


def test_only_the_operator_writes_the_directory() -> None:
    """A relay and an administrator are refused."""
    POLICY.check_directory(Caller("system:serviceaccount:wsedge-system:operator", "wsedge-system"))
    for caller in (RELAY, Caller("system:serviceaccount:ops:admin", "ops")):
        with pytest.raises(ForbiddenError, match="not the operator"):
            POLICY.check_directory(caller)
