"""List and watch the served namespaces into the cache, each on its own.

    unread ──list──▶ read ──probe, list again──▶ read
                      │ 403, 404: the namespace does not exist, or a right in it is missing
                      ▼
    read ◀──list── missing ──probe──▶ missing

A missing namespace delays no other: it is reported (log, metric, /readyz while all are missing) and listed as
soon as it exists. Objects of a namespace that was read before stay in the cache meanwhile: a right that was
revoked by mistake must not withdraw relays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

import structlog

from wsedge_operator.errors import (
    ForbiddenError,
    NamespaceGoneError,
    NotFoundError,
    OperatorError,
    advice,
)
from wsedge_operator.runtime.metrics import Metrics

log = structlog.get_logger()

# A namespace, or None for the whole cluster.
Scope = str | None

RETRY_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 15.0
# The second list is soon after the first: a watch that had to restart reports no deletion of the time
# between.
SECOND_LIST_SECONDS: Final = 30.0
# A Role that was just created may not have reached the authorizer of every API server.
GRACE_SECONDS: Final = 10.0
_MISSING: Final = (ForbiddenError, NamespaceGoneError, NotFoundError)


class Readings:
    """The state of each scope: None while it is unread, "" after it was read, else why it cannot be read."""

    def __init__(self, scopes: tuple[Scope, ...], metrics: Metrics) -> None:
        """Begin with all of `scopes` unread."""
        self._states: dict[Scope, str | None] = dict.fromkeys(scopes)
        self._changed = asyncio.Event()
        self._metrics = metrics

    @property
    def problem(self) -> str | None:
        """Why the cache is not filled; None when every scope was read or is missing, and one was read."""
        if None not in self._states.values() and "" in self._states.values():
            return None
        missing = sorted(f"{scope or 'all namespaces'}: {why}" for scope, why in self._states.items() if why)
        return "; ".join(["the cluster has not been read yet", *missing])

    async def filled(self) -> None:
        """Return when there is no problem."""
        while self.problem is not None:
            self._changed.clear()
            await self._changed.wait()

    def note(self, scope: Scope, state: str) -> None:
        """Record that a scope was read (""), or why it cannot be read."""
        before, self._states[scope] = self._states[scope], state
        if scope is not None:
            self._metrics.missing.labels(scope).set(1 if state else 0)
        if state and state != before:
            log.warning("namespace not readable", served=scope or "*", why=state)
        elif not state and before:
            log.info("namespace readable again", served=scope or "*")
        self._changed.set()


@dataclass(frozen=True, slots=True)
class Reader:
    """Lists and watches a scope, for ever.

    `watching` is a context in which the scope is watched; it yields a task that fails when the watches do.
    `probe` is a cheap call that needs the same rights as `list_all`; both raise OperatorError.
    """

    readings: Readings
    watching: Callable[[Scope], AbstractAsyncContextManager[asyncio.Task[None]]]
    probe: Callable[[Scope], Awaitable[None]]
    list_all: Callable[[Scope], Awaitable[None]]
    resync_seconds: float
    monotonic: Callable[[], float] = time.monotonic

    async def read(self, scope: Scope) -> None:
        """Read a scope for ever; raises WatchError when its watches end by themselves."""
        while True:
            await self._await_readable(scope)
            try:
                async with self.watching(scope) as watches:
                    await self._keep_read(scope, watches)
            except _MISSING as error:
                self.readings.note(scope, _reason(error))

    async def _await_readable(self, scope: Scope) -> None:
        """Return when the scope can be read: kopf ends the watches of a missing namespace for good."""
        since = self.monotonic()
        while True:
            try:
                await self.probe(scope)
            except _MISSING as error:
                if self.monotonic() - since >= GRACE_SECONDS:
                    self.readings.note(scope, _reason(error))
            except OperatorError as error:
                log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep_read(self, scope: Scope, watches: asyncio.Task[None]) -> None:
        """List the scope, and again after `resync_seconds`.

        In a namespace, return then, so that the watches restart: kopf ends a watch that got 403, while a Role
        was replaced, without an error.
        """
        while not await self._succeeds(self.list_all, scope):
            await _pause(watches, RETRY_SECONDS)
        self.readings.note(scope, "")
        due = self.monotonic() + min(SECOND_LIST_SECONDS, self.resync_seconds)
        ends = self.monotonic() + self.resync_seconds
        while scope is None or self.monotonic() < ends:
            await _pause(watches, min(PROBE_SECONDS, self.resync_seconds))
            is_due = self.monotonic() >= due
            if await self._succeeds(self.list_all if is_due else self.probe, scope) and is_due:
                due = self.monotonic() + self.resync_seconds

    async def _succeeds(self, question: Callable[[Scope], Awaitable[None]], scope: Scope) -> bool:
        """Return whether a call succeeded; a failure is logged, except for _MISSING, which is raised."""
        try:
            await question(scope)
        except _MISSING:
            raise
        except OperatorError as error:
            log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            return False
        return True


async def _pause(watches: asyncio.Task[None], seconds: float) -> None:
    """Wait for `seconds`; raises the error of the watches if they end meanwhile."""
    await asyncio.wait({watches}, timeout=seconds)
    if watches.done():
        watches.result()


def _reason(error: OperatorError) -> str:
    return f"{error}. {advice(error)}"
