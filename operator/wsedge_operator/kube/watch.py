"""Follow a kind: list it once, then watch it from the list's resource version, for ever.

    unlisted ──list──▶ watching ──stream ends or is silent, no connection──▶ watching, from the last version
        ▲                  │ │
        └───────410────────┘ └──404, 403 for longer than its grace──▶ raised
            the version is too old: what happened since is only in another list

A watch that goes on at the last version misses nothing, deletions included, so an ended stream costs no list.
Bookmarks renew the version of a kind whose objects do not change, and keep its stream from being silent.
An API server that just started refuses every call (403) until its authorizer has read the roles: it refuses
for longer when a right is missing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import structlog

from wsedge_operator.errors import (
    ExpiredError,
    ForbiddenError,
    NamespaceGoneError,
    NotFoundError,
    OperatorError,
)
from wsedge_operator.kube.client import BOOKMARK, Client
from wsedge_operator.kube.kinds import Kind

log = structlog.get_logger()

# Called with the kind, whether the object is deleted, and the object.
Receiver = Callable[[Kind, bool, dict[str, Any]], None]
# Called with the kind whose watch begins again, and why: ended, expired, refused, failed.
Restarted = Callable[[Kind, str], None]
# Lists a kind of a namespace (None: of the cluster); returns the list's resource version.
Lister = Callable[[Kind, str | None], Awaitable[str]]

# The kind or the namespace does not exist, or a right is missing: waiting alone does not mend that.
MISSING: Final = (ForbiddenError, NamespaceGoneError, NotFoundError)

# A Role that was just created may not have reached the authorizer of every API server, and one that just
# started knows no Role.
GRACE_SECONDS: Final = 10.0
# A stream that lasted this long was in order: the next one begins at once.
_GOOD_SECONDS: Final = 10.0
FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


@dataclass
class Grace:
    """Whether refusals (403) in a row have lasted for so many `seconds` that a right is missing."""

    seconds: float = GRACE_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    _since: float | None = None

    def covers(self, error: OperatorError) -> bool:
        """Return whether to repeat a call that failed with an error of MISSING."""
        if not isinstance(error, ForbiddenError):
            return False
        now = self.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since < self.seconds

    def end(self) -> None:
        """Record a call that was not refused."""
        self._since = None


def _untold(_kind: Kind, _why: str) -> None:
    """Count nothing."""


@dataclass
class Follower:
    """Follows a kind of `namespace` (None: of the cluster): `lister` and `receive` get what it finds.

    `restarted` is told of each watch that begins again.
    """

    client: Client
    kind: Kind
    namespace: str | None
    lister: Lister
    receive: Receiver
    grace: Grace = field(default_factory=Grace)
    first_pause: float = FIRST_PAUSE
    restarted: Restarted = _untold
    _version: str | None = None
    _short: int = 0

    async def list(self) -> None:
        """List the kind; raises OperatorError."""
        self._version = await self.lister(self.kind, self.namespace)

    async def run(self) -> NoReturn:
        """Watch the kind from its last version on, for ever; raises one of MISSING."""
        while True:
            begun, why = time.monotonic(), "ended"
            try:
                if self._version is None:
                    await self.list()
                await self._watch()
                self.grace.end()
            except ExpiredError:
                self.grace.end()
                self._version, why = None, "expired"
            except MISSING as error:
                if not self.grace.covers(error):
                    raise
                why = "refused"
                log.info("watch refused", kind=self.kind.kind, namespace=self.namespace, error=str(error))
            except OperatorError as error:
                self.grace.end()
                why = "failed"
                log.info("watch ended", kind=self.kind.kind, namespace=self.namespace, error=str(error))
            self.restarted(self.kind, why)
            await asyncio.sleep(self._pause(time.monotonic() - begun))

    async def _watch(self) -> None:
        """Receive events until the stream ends."""
        version = self._version or ""
        async for event, live in self.client.watch(self.kind, self.namespace, version):
            # Received before its version counts: of two runs of this loop, none may skip an event.
            if event != BOOKMARK:
                self.receive(self.kind, event == "DELETED", live)
            self._version = live["metadata"]["resourceVersion"]

    def _pause(self, lasted: float) -> float:
        """Return the seconds before the next stream: none after a long one, more after each short one."""
        self._short = 0 if lasted >= _GOOD_SECONDS else min(self._short + 1, 10)
        if not self._short:
            return 0.0
        pause = min(_LONGEST_PAUSE, self.first_pause * 2.0 ** (self._short - 1))
        return pause * (0.5 + random.random() / 2)  # noqa: S311 (spreads clients, hides nothing)
