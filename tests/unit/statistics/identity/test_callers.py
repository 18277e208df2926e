"""Which caller may write the Directory and read which account."""

from __future__ import annotations

from typing import Any

import pytest

from support.statistics.build import UID
from wsedge_statistics.errors import ForbiddenError, TokenRefusedError
from wsedge_statistics.identity.callers import LAPTOP, Caller, Policy, caller_of

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
