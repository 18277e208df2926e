"""Reviews by the API server, remembered for some seconds: the user of a token, and the user's rights.

Refusals are remembered too. What is remembered is bounded, and so is the number of calls at a time: anybody
who reaches the program can invent tokens.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from wsedge_statistics.errors import ForbiddenError, KeysUnavailableError, TokenRefusedError
from wsedge_statistics.identity import users
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.identity.key_secrets import OpenAnswer
from wsedge_statistics.identity.tokens import MAX_TOKEN, is_of_user
from wsedge_statistics.identity.users import User

WHOSE: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
ALLOWED: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
REMEMBERED_SECONDS: Final = 30.0  # bounds how long a right lasts that was taken away
MOST_REMEMBERED: Final = 1000
CALLS: Final = 4
MAX_ANSWER: Final = 1 << 20

log = structlog.get_logger()


class Server(Protocol):
    """The API server."""

    def open(self, path: str, document: Any = None) -> OpenAnswer:
        """Send a GET, or a POST of a document. Raises OSError, ValueError or http.client.HTTPException."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer of the API server: a value, or the error that it means."""

    until: float
    value: Any = None
    error: TokenRefusedError | ForbiddenError | None = None


class Reviews:
    """Asks the API server about tokens and rights."""

    def __init__(
        self, server: Server, *, issuer: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._issuer = issuer
        self._monotonic = monotonic
        self._known: OrderedDict[object, _Known] = OrderedDict()
        self._calls = asyncio.Semaphore(CALLS)

    def concerns(self, token: str) -> bool:
        """Return whether a token is to be reviewed by the API server."""
        return len(token) <= MAX_TOKEN and is_of_user(token, self._issuer)

    async def user(self, token: str) -> User:
        """Return the user of a token. Raises TokenRefusedError or KeysUnavailableError."""

        def review() -> User:
            return users.user_in(self._call(WHOSE, users.token_review(token)))

        found = await self._remembered(hashlib.sha256(token.encode()).digest(), review)
        assert isinstance(found, User)  # noqa: S101  for mypy: different things are remembered
        return found

    async def reader(self, user: User, account: str) -> Caller:
        """Return the user as the reader of an account. Raises ForbiddenError or KeysUnavailableError."""

        def review() -> str:
            refused = ForbiddenError(
                f"{user.name} may not read account {account!r}. It needs the verb {users.VERB} on "
                f"{users.RESOURCE}.{users.GROUP} in the namespace."
            )
            # the same answer for a namespace that does not exist
            if not users.is_namespace(account):
                raise refused
            if not users.is_allowed(self._call(ALLOWED, users.access_review(user, account))):
                raise refused
            try:
                return users.uid_in(self._call(f"/api/v1/namespaces/{account}"))
            except FileNotFoundError:
                raise refused from None

        uid = await self._remembered((user, account), review)
        return Caller(user.name, account, reviewed=True, namespace_uid=uid)

    def _call(self, path: str, document: Any = None) -> Any:
        opened = self._server.open(path, document)
        try:
            return json.loads(opened.answer.read(MAX_ANSWER))
        finally:
            opened.close()

    async def _remembered(self, key: object, review: Callable[[], Any]) -> Any:
        known = self._known.get(key)
        if known is None or known.until < self._monotonic():
            async with self._calls:
                known = await asyncio.to_thread(self._review, review)
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        if known.error is not None:
            raise known.error
        return known.value

    def _review(self, review: Callable[[], Any]) -> _Known:
        until = self._monotonic() + REMEMBERED_SECONDS
        try:
            return _Known(until, review())
        except (TokenRefusedError, ForbiddenError) as error:
            return _Known(until, error=error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            log.warning("review by the API server failed", error=str(error))
            raise KeysUnavailableError(
                "The API server cannot review the token now. Try again later."
            ) from None
