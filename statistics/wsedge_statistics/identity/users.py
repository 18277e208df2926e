"""Users of the cluster, as the API server's reviews tell of them. Pure.

A token that was not issued for this program is a user's: the API server says whose it is (TokenReview) and
whether the user may read an account (SubjectAccessReview): `get` on `statistics.wsedge.io` in its namespace,
a resource that has no objects and exists for RBAC alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsedge_statistics.contract import TOKEN_AUDIENCE
from wsedge_statistics.errors import TokenRefusedError

GROUP: Final = "wsedge.io"
RESOURCE: Final = "statistics"
VERB: Final = "get"
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class User:
    """A user of the cluster with what access is decided by."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


def token_review(token: str) -> dict[str, Any]:
    """Return the TokenReview of a token for the API server's own audience."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}


def user_in(review: Any) -> User:
    """Return the user in an answered TokenReview. Raises TokenRefusedError, or ValueError for no review."""
    status = _mapping(_mapping(review).get("status"))
    if status.get("authenticated") is not True:
        raise TokenRefusedError(
            f"The token is neither of the audience {TOKEN_AUDIENCE} nor one that the API server accepts."
        )
    user = _mapping(status.get("user"))
    name, groups, extra = user.get("username"), user.get("groups") or [], _mapping(user.get("extra") or {})
    if not isinstance(name, str) or not name:
        raise ValueError("the TokenReview has no user")
    return User(
        name,
        str(user.get("uid") or ""),
        tuple(map(str, groups)),
        tuple((str(key), tuple(map(str, values))) for key, values in sorted(extra.items())),
    )


def is_namespace(account: str) -> bool:
    """Return whether an account is the name of a namespace, and not that of a former account."""
    return _NAMESPACE.fullmatch(account) is not None


def access_review(user: User, namespace: str) -> dict[str, Any]:
    """Return the SubjectAccessReview of a user's right to read an account."""
    attributes = {"namespace": namespace, "verb": VERB, "group": GROUP, "resource": RESOURCE}
    spec = {"user": user.name, "uid": user.uid, "groups": list(user.groups), "resourceAttributes": attributes}
    spec["extra"] = {key: list(values) for key, values in user.extra}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def is_allowed(review: Any) -> bool:
    """Return whether an answered SubjectAccessReview allows. Raises ValueError for no review."""
    return _mapping(_mapping(review).get("status")).get("allowed") is True


def uid_in(namespace: Any) -> str:
    """Return the uid of a namespace. Raises ValueError for another answer."""
    uid = _mapping(_mapping(namespace).get("metadata")).get("uid")
    if not isinstance(uid, str) or not uid:
        raise ValueError("the namespace has no uid")
    return uid


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("the API server's answer has another form")
    return value
