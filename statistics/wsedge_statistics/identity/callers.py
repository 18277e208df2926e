"""Callers and their rights, from the claims of a token. Pure.

A ServiceAccount's namespace is the account. A relay's token is bound to its pod, so a report is accepted
only from the pod that it names. Without an issuer (a laptop) every caller has all rights, on loopback only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from wsedge_statistics.errors import ForbiddenError, TokenRefusedError
from wsedge_statistics.tenure import Tenures

SUBJECT_PREFIX: Final = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. `trusted` is the caller of laptop mode, which has all rights.

    `reviewed` is a user whom the API server identified; then `namespace` is one that the user may read, and
    `namespace_uid` the uid that it has now.
    """

    subject: str
    namespace: str | None = None
    pod_uid: str | None = None
    trusted: bool = False
    issued: datetime | None = None
    reviewed: bool = False
    namespace_uid: str | None = None


LAPTOP: Final = Caller(subject="laptop", trusted=True)


def caller_of(claims: Mapping[str, Any]) -> Caller:
    """Return the caller in a verified token's claims; raise TokenRefusedError unless a ServiceAccount."""
    subject = claims.get("sub")
    kubernetes = claims.get("kubernetes.io")
    if not isinstance(subject, str) or not isinstance(kubernetes, Mapping):
        raise TokenRefusedError(
            "The token is not a ServiceAccount's: it lacks the claim sub or kubernetes.io."
        )
    namespace = kubernetes.get("namespace")
    if not isinstance(namespace, str) or not subject.startswith(f"{SUBJECT_PREFIX}{namespace}:"):
        raise TokenRefusedError(
            "The token is not a ServiceAccount's: its claims sub and kubernetes.io.namespace differ."
        )
    pod = kubernetes.get("pod")
    uid = pod.get("uid") if isinstance(pod, Mapping) else None
    return Caller(
        subject, namespace, uid if isinstance(uid, str) and uid else None, issued=_instant(claims.get("iat"))
    )


def _instant(claim: Any) -> datetime | None:
    """Return a NumericDate (RFC 7519 §2) as an instant, None for any other value."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        return datetime.fromtimestamp(claim, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Policy:
    """The subjects that have more rights than to read their own account."""

    operators: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()

    def reads_every_account(self, caller: Caller) -> bool:
        """Return whether a caller may read more than its own account."""
        return caller.trusted or caller.subject in self.admins

    def account_to_read(self, caller: Caller, asked: str | None) -> str | None:
        """Return the account that the caller reads; None means all accounts. Raises ForbiddenError."""
        if self.reads_every_account(caller):
            return asked
        if asked is not None and asked != caller.namespace:
            raise ForbiddenError(
                f"{caller.subject} may read account {caller.namespace!r} only, not {asked!r}."
            )
        return caller.namespace

    def key_to_read(self, caller: Caller, asked: str | None, tenures: Tenures) -> str | None:
        """Return the ledger's key of the account that the caller reads; None means all accounts.

        Raises ForbiddenError. A namespace that was deleted and made again is a new account: its tokens read
        nothing of its predecessor, and tokens of the predecessor read nothing any more.
        """
        account = self.account_to_read(caller, asked)
        if account is None:
            return None
        if self.reads_every_account(caller):
            return tenures.key_named(account)
        if caller.reviewed:
            return _key_now(account, caller.namespace_uid, tenures)
        epoch = tenures.of_token(account, caller.issued)
        if epoch is None:
            return tenures.unnamed_key(account)
        if epoch != tenures.current(account):
            raise ForbiddenError(
                f"The token belongs to a namespace {account!r} that was deleted. Request a new token."
            )
        return epoch.key

    def check_directory(self, caller: Caller) -> None:
        """Refuse the Directory of any caller but the operator. Raises ForbiddenError."""
        if not caller.trusted and (caller.reviewed or caller.subject not in self.operators):
            raise ForbiddenError(
                f"{caller.subject} is not the operator. Only the operator may write the Directory."
            )


def _key_now(account: str, uid: str | None, tenures: Tenures) -> str:
    """Return the key of the life that a namespace has now. Raises ForbiddenError for a life that has ended.

    A right in a namespace is of its present life. Until the operator has told of it, the last known life is
    that of its predecessor.
    """
    epoch = tenures.current(account)
    if epoch.uid is not None and epoch.uid != uid:
        raise ForbiddenError(
            f"The namespace {account!r} was created again and is not known yet. Try again later."
        )
    return epoch.key
