"""The kinds of an entrance, of APIs that are installed and removed while the operator runs.

    absent ──served──▶ unread ──list──▶ read ──watch──▶ read
      ▲                  │ ▲              │
      │                  ▼ │              │ 403, 404: a right was revoked, the API is being removed
      └──not served──── unusable ◀────────┘

Discovery is asked every ten seconds (`kube.discovery`). Each kind has a task of its own, which follows it
(`kube.watch`): a kind that cannot be read delays no other. Objects of a removed API leave the cache, as they
left the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NoReturn

import structlog

from wsedge_operator.errors import ForbiddenError, NotFoundError, OperatorError, advice
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.discovery import Discovery
from wsedge_operator.kube.kinds import Kind
from wsedge_operator.kube.watch import FIRST_PAUSE, GRACE_SECONDS, MISSING, Follower, Grace, Restarted
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.runtime.intake import Intake
from wsedge_operator.runtime.reading import Scope

log = structlog.get_logger()

DISCOVERY_SECONDS: Final = 10.0
# A right that is missing, or an API whose conversion webhook is down, costs a call per this time.
UNUSABLE_SECONDS: Final = 15.0

# Why a kind cannot be read in a scope; None once it was read.
_State = Problem | None


class OptionalKinds:
    """Lists and watches the optional kinds in `scopes` while they are installed; says which can be used."""

    def __init__(
        self,
        *,
        discovery: Discovery,
        client: Client,
        intake: Intake,
        scopes: tuple[Scope, ...],
        request: Callable[[Scope], None],
        restarted: Restarted,
        retry_seconds: float = FIRST_PAUSE,
        grace_seconds: float = GRACE_SECONDS,
        unusable_seconds: float = UNUSABLE_SECONDS,
    ) -> None:
        """Know nothing yet; `request` is called with a scope whose domains see other kinds.

        `restarted` is told of each watch that begins again.
        """
        self._retry_seconds = retry_seconds
        self._grace_seconds = grace_seconds
        self._unusable_seconds = unusable_seconds
        self._discovery = discovery
        self._client = client
        self._intake = intake
        self._scopes = scopes
        self._request = request
        self._restarted = restarted
        self._states: dict[tuple[Kind, Scope], _State] = {}
        self._tasks: dict[tuple[Kind, Scope], asyncio.Task[None]] = {}
        self._served: frozenset[Kind] = frozenset()
        self._is_known = False
        self._changed = asyncio.Event()
        self._is_due = asyncio.Event()

    def kinds(self, namespace: str) -> dict[str, Kind]:
        """Return the kinds that can be used in a namespace, by name."""
        scope = self._scope(namespace)
        return {
            kind.kind: kind
            for kind in self._served
            if (kind, scope) in self._states and self._states[kind, scope] is None
        }

    def apis(self, namespace: str) -> dict[str, str | Problem]:
        """Return the apiVersion of each installed kind, or why it cannot be used, as a snapshot has it."""
        scope, unread = self._scope(namespace), Problem("", Reason.API_NOT_READABLE, "not read yet")
        return {
            kind.kind: self._states.get((kind, scope), unread) or kind.api_version for kind in self._served
        }

    def discover_soon(self) -> None:
        """Ask for the installed kinds now, not after the rest of the ten seconds."""
        self._is_due.set()

    async def settled(self) -> None:
        """Return when each installed kind was read once, or cannot be."""
        while not self._is_known or any(
            (kind, scope) not in self._states for kind in self._served for scope in self._scopes
        ):
            self._changed.clear()
            await self._changed.wait()

    async def follow(self) -> None:
        """Ask for the installed kinds every ten seconds, and keep a task for each, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._discover(group)
                self._is_due.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DISCOVERY_SECONDS):
                        await self._is_due.wait()

    async def _discover(self, group: asyncio.TaskGroup) -> None:
        try:
            served = await self._discovery.optional_kinds()
        except ForbiddenError as error:
            if not self._is_known or self._served:
                log.warning("discovery forbidden", error=str(error), advice=advice(error))
            served = frozenset()
        except OperatorError as error:
            log.warning("discovery failed", error=str(error), advice=advice(error))
            return
        for kind in self._served - served:
            await self._stop(kind)
        new, self._served = served - self._served, served
        for kind in new:
            log.info("api found", kind=kind.kind, version=kind.api_version)
            for scope in self._scopes:
                name = f"{kind.plural} of {scope or 'all namespaces'}"
                self._tasks[kind, scope] = group.create_task(self._read(kind, scope), name=name)
        self._is_known = True
        self._changed.set()

    async def _stop(self, kind: Kind) -> None:
        log.info("api removed", kind=kind.kind, version=kind.api_version)
        for scope in self._scopes:
            task = self._tasks.pop((kind, scope))
            task.cancel()
            await asyncio.wait({task})
            self._states.pop((kind, scope), None)
        self._intake.forget(kind)
        self._served -= {kind}
        for scope in self._scopes:
            self._request(scope)

    async def _read(self, kind: Kind, scope: Scope) -> NoReturn:
        follower = Follower(
            self._client,
            kind,
            scope,
            self._intake.list_kind,
            self._intake.receive,
            grace=Grace(self._grace_seconds),
            first_pause=self._retry_seconds,
            restarted=self._restarted,
        )
        while True:
            try:
                await follower.list()
            except OperatorError as error:
                self._note(kind, scope, _problem(error))
                self._discover_if_gone(error)
            else:
                self._note(kind, scope, None)
                try:
                    await follower.run()
                except MISSING as error:
                    # The list after the pause says whether the API was removed. Where a right to watch is
                    # missing, it is all that the operator has.
                    self._discover_if_gone(error)
            await asyncio.sleep(self._unusable_seconds)

    def _discover_if_gone(self, error: OperatorError) -> None:
        """Ask for the installed kinds now: a kind that is gone is usually removed."""
        if isinstance(error, NotFoundError):
            self.discover_soon()

    def _note(self, kind: Kind, scope: Scope, state: _State) -> None:
        """Record the state of a kind; one that was read stays usable while it cannot be read for a moment."""
        key = kind, scope
        was_read = key in self._states and self._states[key] is None
        if was_read and state is not None and state.reason == Reason.API_NOT_READABLE:
            return
        if key in self._states and self._states[key] == state:
            return
        self._states[key] = state
        if state is None:
            log.info("api read", kind=kind.kind, served=scope or "*")
        else:
            log.warning("api not usable", kind=kind.kind, served=scope or "*", why=str(state))
        self._changed.set()
        self._request(scope)

    def _scope(self, namespace: str) -> Scope:
        return None if None in self._scopes else namespace


def _problem(error: OperatorError) -> Problem:
    reason = Reason.API_FORBIDDEN if isinstance(error, ForbiddenError) else Reason.API_NOT_READABLE
    return Problem("the API server", reason, str(error))
