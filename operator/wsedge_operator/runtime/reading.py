"""Reads the namespaces that are served into the cache, and keeps reading each of them.

    unread ──list──▶ read ──probe, list again──▶ read
                      │ 403, 404: there is no such namespace, or no right in it
                      ▼
    read ◀──list── missing ──probe──▶ missing

A namespace that is missing holds up no other: it is told (log, metric, /readyz while none is there) and read
as soon as it is there. What the cache has of a namespace that was read before stays there meanwhile: a right
that was taken away by mistake must withdraw nothing.
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

# A namespace, or None for all of the cluster.
Scope = str | None

RETRY_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 15.0
# A list soon after the first one, since a watch that had to begin anew does not tell what went meanwhile.
SECOND_LIST_SECONDS: Final = 30.0
# A Role that was granted a moment ago may not be known to every API server yet.
GRACE_SECONDS: Final = 10.0
_MISSING: Final = (ForbiddenError, NamespaceGoneError, NotFoundError)


class Readings:
    """What was read of each scope: None while it is unread, "" once it was, else why it cannot be."""

    def __init__(self, scopes: tuple[Scope, ...], metrics: Metrics) -> None:
        """Begin with all of `scopes` unread."""
        self._states: dict[Scope, str | None] = dict.fromkeys(scopes)
        self._changed = asyncio.Event()
        self._metrics = metrics

    @property
    def problem(self) -> str | None:
        """Why the cluster has not been read; None when all that is there was read, and something is there."""
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
        """Note that a scope was read (""), or why it cannot be."""
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
    """Keeps a scope read. `watching` is a block in which it is watched, and gives a task that fails with it.

    `probe` and `list_all` raise OperatorError; `probe` is a cheap question with the same rights.
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
                    await self._keep(scope, watches)
            except _MISSING as error:
                self.readings.note(scope, _why(error))

    async def _await_readable(self, scope: Scope) -> None:
        """Return when the scope can be read: watches of one that is missing would end and not come back."""
        since = self.monotonic()
        while True:
            try:
                await self.probe(scope)
            except _MISSING as error:
                if self.monotonic() - since >= GRACE_SECONDS:
                    self.readings.note(scope, _why(error))
            except OperatorError as error:
                log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _keep(self, scope: Scope, watches: asyncio.Task[None]) -> None:
        """List, and list again every so often.

        Of a namespace alone the watches are begun anew with each list: one that was answered with 403 while
        a Role was replaced has ended without a word.
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
        """Ask; False when the API server did not answer well. Raises one of _MISSING as it is."""
        try:
            await question(scope)
        except _MISSING:
            raise
        except OperatorError as error:
            log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            return False
        return True


async def _pause(watches: asyncio.Task[None], seconds: float) -> None:
    """Wait; raises what ended the watches when they end meanwhile."""
    await asyncio.wait({watches}, timeout=seconds)
    if watches.done():
        watches.result()


def _why(error: OperatorError) -> str:
    return f"{error}. {advice(error)}"
