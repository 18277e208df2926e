"""List and watch the served namespaces into the cache, each on its own.

    unread ──list──▶ read ──watch, probe──▶ read
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
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn

import structlog

from wsedge_operator.errors import OperatorError, advice
from wsedge_operator.kube.watch import GRACE_SECONDS, MISSING, Follower, Grace
from wsedge_operator.runtime.metrics import Metrics

log = structlog.get_logger()

# A namespace, or None for the whole cluster.
Scope = str | None

RETRY_SECONDS: Final = 2.0
PROBE_SECONDS: Final = 15.0


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

    `followers` are the kinds of a scope, `probe` is a cheap call that needs the right to list one of them,
    `resync` lists what is not watched, and all kinds if it is asked to. All raise OperatorError.
    """

    readings: Readings
    followers: Callable[[Scope], Sequence[Follower]]
    probe: Callable[[Scope], Awaitable[None]]
    list_unwatched: Callable[[Scope], Awaitable[None]]
    resync_seconds: float
    retry_seconds: float = RETRY_SECONDS
    monotonic: Callable[[], float] = time.monotonic

    async def read(self, scope: Scope) -> NoReturn:
        """Read a scope for ever."""
        while True:
            await self._await_readable(scope)
            try:
                await self._follow(scope)
            except* MISSING as missing:
                self.readings.note(scope, _reason(first_leaf(missing)))

    async def _await_readable(self, scope: Scope) -> None:
        """Return when the scope can be read."""
        since = self.monotonic()
        while True:
            try:
                await self.probe(scope)
            except MISSING as error:
                if self.monotonic() - since >= GRACE_SECONDS:
                    self.readings.note(scope, _reason(error))
            except OperatorError as error:
                log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            else:
                return
            await asyncio.sleep(self.retry_seconds)

    async def _follow(self, scope: Scope) -> NoReturn:
        """List all kinds of a scope, one after another, and watch each from its list on.

        A whole list is in memory while it is parsed, so that no two are read at once.
        """
        async with asyncio.TaskGroup() as group:
            followers = self.followers(scope)
            for follower in followers:
                await self._repeat(scope, follower.list)
                group.create_task(follower.run(), name=f"watch of {follower.kind.kind}")
            await self._repeat(scope, lambda: self.list_unwatched(scope))
            self.readings.note(scope, "")
            await self._keep_read(scope, followers)

    async def _keep_read(self, scope: Scope, followers: Sequence[Follower]) -> NoReturn:
        """Probe the scope, whose rights or namespace may end while its watches go on; list it at times."""
        due = self.monotonic() + self.resync_seconds
        while True:
            await asyncio.sleep(min(PROBE_SECONDS, self.resync_seconds))
            await self._probe(scope)
            if self.monotonic() < due:
                continue
            for follower in followers:
                await self._repeat(scope, partial(follower.lister, follower.kind, follower.namespace))
            await self._repeat(scope, lambda: self.list_unwatched(scope))
            due = self.monotonic() + self.resync_seconds

    async def _probe(self, scope: Scope) -> None:
        """Probe a scope that was read: it is missing when it is refused for longer than the grace."""
        grace = Grace(monotonic=self.monotonic)
        while True:
            try:
                await self._succeeds(scope, lambda: self.probe(scope))
            except MISSING as error:
                if not grace.covers(error):
                    raise
            else:
                return
            await asyncio.sleep(self.retry_seconds)

    async def _repeat(self, scope: Scope, question: Callable[[], Awaitable[object]]) -> None:
        while True:
            if await self._succeeds(scope, question):
                return
            await asyncio.sleep(self.retry_seconds)

    async def _succeeds(self, scope: Scope, question: Callable[[], Awaitable[object]]) -> bool:
        """Return whether a call succeeded; a failure is logged, except for MISSING, which is raised."""
        try:
            await question()
        except MISSING:
            raise
        except OperatorError as error:
            log.warning("listing failed", served=scope or "*", error=str(error), advice=advice(error))
            return False
        return True


def first_leaf(group: BaseExceptionGroup[OperatorError]) -> OperatorError:
    """Return the first error of a group, which may have groups in it."""
    first = group.exceptions[0]
    return first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


def _reason(error: OperatorError) -> str:
    return f"{error}. {advice(error)}"
