"""Users of the cluster: whose a token is, and what the reviews say."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from wsedge_statistics.errors import TokenRefusedError
from wsedge_statistics.identity import users
from wsedge_statistics.identity.tokens import is_of_user
from wsedge_statistics.identity.users import User

ISSUER = "https://kubernetes.default.svc"
JANE = User("jane", "1", ("staff", "system:authenticated"), (("scopes", ("a", "b")),))


def token(**claims: Any) -> str:
    return jwt.encode(claims, "x" * 32, "HS256")


OURS: dict[str, tuple[str, bool]] = {
    "for this program": (token(iss=ISSUER, aud=["wsedge-statistics"]), False),
    "for this program and others": (token(iss=ISSUER, aud=["vault", "wsedge-statistics"]), False),
    "for this program, the audience alone": (token(iss=ISSUER, aud="wsedge-statistics"), False),
    "expired, for this program": (token(iss=ISSUER, aud="wsedge-statistics", exp=1), False),
    "for the API server": (token(iss=ISSUER, aud=[ISSUER]), True),
    "without an audience": (token(iss=ISSUER), True),
    "of another issuer": (token(iss="https://sso.example", aud="wsedge-statistics"), True),
    "no JSON Web Token": ("abcdef.0123456789abcdef", True),
    "nothing": ("", True),
}


@pytest.mark.parametrize(("given", "is_users"), OURS.values(), ids=OURS.keys())
def test_tokens_of_users_are_those_that_were_not_issued_for_this_program(given: str, is_users: bool) -> None:
    """By issuer and audience; whether it is valid is said by the keys or by the API server."""
    assert is_of_user(given, ISSUER) is is_users


def test_a_review_names_the_user() -> None:
    """With uid, groups and extra, which authorizers may decide by."""
    user = {"username": "jane", "uid": "1", "groups": list(JANE.groups), "extra": {"scopes": ["a", "b"]}}
    assert users.user_in({"status": {"authenticated": True, "user": user}}) == JANE
    bare = {"status": {"authenticated": True, "user": {"username": "bob", "groups": None}}}
    assert users.user_in(bare) == User("bob")


def test_an_access_review_asks_for_the_virtual_resource() -> None:
    """`get` on statistics.wsedge.io in the account's namespace, with all that is known of the user."""
    spec = users.access_review(JANE, "team-a")["spec"]
    assert spec["resourceAttributes"] == {
        "namespace": "team-a",
        "verb": "get",
        "group": "wsedge.io",
        "resource": "statistics",
    }
    assert (spec["user"], spec["uid"], spec["groups"]) == ("jane", "1", list(JANE.groups))
    assert spec["extra"] == {"scopes": ["a", "b"]}
    assert users.token_review("abc")["spec"] == {"token": "abc"}


@pytest.mark.parametrize(
    "status", [{}, {"authenticated": False}, {"authenticated": "true"}, {"error": "expired"}]
)
def test_a_token_that_the_api_server_does_not_accept_is_refused(status: dict[str, Any]) -> None:
    """401, without the token."""
    with pytest.raises(TokenRefusedError, match="nor one that the API server accepts"):
        users.user_in({"status": status})


WRONG: dict[str, Any] = {
    "a list": [],
    "no status": {},
    "a user without a name": {"status": {"authenticated": True, "user": {"groups": []}}},
    "a user that is none": {"status": {"authenticated": True, "user": 7}},
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_review_identifies_nobody(answer: Any) -> None:
    """A proxy may answer anything."""
    with pytest.raises(ValueError, match=r"."):
        users.user_in(answer)


def test_only_allowed_is_allowed() -> None:
    """No text, no denial and no other form is."""
    assert users.is_allowed({"status": {"allowed": True}})
    for status in ({"allowed": False}, {"allowed": "true"}, {"denied": True}, {}):
        assert not users.is_allowed({"status": status})
    with pytest.raises(ValueError, match="form"):
        users.is_allowed({"status": None})


def test_the_uid_of_a_namespace() -> None:
    """An answer without is none."""
    assert users.uid_in({"metadata": {"uid": "u1"}}) == "u1"
    for metadata in ({}, {"uid": ""}, {"uid": 7}):
        with pytest.raises(ValueError, match="no uid"):
            users.uid_in({"metadata": metadata})


def test_a_former_account_is_no_namespace() -> None:
    """Nor is a path."""
    assert users.is_namespace("team-a")
    assert not any(
        users.is_namespace(name) for name in ("team-a@1", "../secrets", "Team", "-a", "a" * 64, "")
    )
