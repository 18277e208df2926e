"""Turns events into looks at objects, and looks into what the decisions say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from wsedge_operator.desired.names import DESIRED_ANNOTATION
from wsedge_operator.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NamespaceGoneError,
    OperatorError,
    UnreachableError,
    advice,
)
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, EVENT, NAMESPACE, PLAN, WATCHED, Kind
from wsedge_operator.kube.outcome import perform, tell
from wsedge_operator.reconcile.account import decide as account_decision
from wsedge_operator.reconcile.domain import decide as domain_decision
from wsedge_operator.reconcile.outcome import Exact, Note, Outcome, earliest
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache, name_of
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.directory import DirectoryKeeper, find_url
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.queue import Backoff, Contests, WorkQueue
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.triggers import DIRECTORY, Key, keys_of
from wsedge_operator.runtime.wakeups import WakeUps
from wsedge_operator.settings import Settings

log = structlog.get_logger()

# Changes come in bursts, and each Directory is a full one.
DIRECTORY_DELAY: Final = timedelta(milliseconds=300)
STATISTICS_SECONDS: Final = 30.0
NAMESPACE_SECONDS: Final = 10.0
# A refusal is an answer; anything else may pass by itself, and is told when it has failed so often in a row.
FAILURES_BEFORE_TOLD: Final = 4
_FAILURE_LENGTH: Final = 1000


class Controller:
    """The cache, the queue and the workers.

    `receive` may be called before anybody works: a standby's caches fill.
    """

    def __init__(
        self,
        *,
        client: Client,
        cache: Cache,
        gatherer: Gatherer,
        accounts: Accounts,
        keeper: DirectoryKeeper,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        identity: str,
    ) -> None:
        """Take all that talks to the outside."""
        self._client = client
        self._cache = cache
        self._gatherer = gatherer
        self._accounts = accounts
        self._keeper = keeper
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._identity = identity
        self._queue: WorkQueue[Key] = WorkQueue()
        self._wakeups: WakeUps[Key] = WakeUps()
        self._backoff: Backoff[Key] = Backoff()
        self._contests: Contests[Key] = Contests()
        self._untold: set[Key] = set()
        self._leaving: set[str] = set()
        self._directory_asked = False
        # The cache notes what goes during a list: one list at a time.
        self._listing = asyncio.Lock()

    def receive(self, kind: Kind, gone: bool, live: Object) -> None:
        """Take in an object as a watch tells of it."""
        before = self._cache.get(kind, *name_of(live))
        changed = self._cache.remove(kind, live) if gone else self._cache.put(kind, live)
        if changed:
            self._enqueue(kind, live)
            if before is not None:
                # Whom it concerned before: a watch that began anew may have missed that it was replaced.
                self._enqueue(kind, before)

    def _enqueue(self, kind: Kind, live: Object) -> None:
        for key in keys_of(self._cache, kind, live):
            self._ask(key)
        self._metrics.objects.labels(kind.kind).set(self._cache.count(kind))

    def _ask(self, key: Key) -> None:
        if key == DIRECTORY:
            if not self._directory_asked:
                self._directory_asked = True
                self._wakeups.set(key, self._clock.now() + DIRECTORY_DELAY)
        else:
            self._queue.add(key)
            self._metrics.queue.set(len(self._queue))

    async def probe(self, namespace: str | None) -> None:
        """Ask whether a namespace (None: the cluster) can be read; raises OperatorError."""
        await self._client.probe(PLAN, namespace)

    async def list_all(self, namespace: str | None) -> None:
        """List everything of a namespace (None: of the cluster) into the cache; raises OperatorError."""
        async with self._listing:
            self._cache.begin_listing()
            for kind in WATCHED:
                await self._list(kind, namespace)
            if namespace is None:
                await self._list(NAMESPACE, None)
            else:
                if self._settings.namespace not in self._settings.namespaces:
                    # The records lie in the operator's own namespace, which is then not watched.
                    await self._list(CONFIG_MAP, self._settings.namespace)
                await self._look_at(namespace)

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        listed, version = await self._client.list(kind, namespace)
        before = {name_of(live): live for live in self._cache.all(kind, namespace)}
        for _, live in self._cache.take_list(kind, namespace, listed, version):
            self._enqueue(kind, live)
            if (known := before.get(name_of(live))) is not None:
                self._enqueue(kind, known)

    async def _look_at(self, namespace: str) -> None:
        """Ask for a Namespace that is served: without cluster rights it cannot be watched."""
        before = self._cache.get(NAMESPACE, "", namespace)
        live = await self._accounts.look(namespace)
        if (before or {}).get("metadata", {}).get("uid") != (live or {}).get("metadata", {}).get("uid"):
            self._ask(Key("account", namespace))
            self._ask(DIRECTORY)

    async def follow_namespaces(self) -> None:
        """Notice, where they cannot be watched, that namespaces were deleted and made again, for ever."""
        while self._settings.namespaces:
            await asyncio.sleep(NAMESPACE_SECONDS)
            for namespace in self._settings.namespaces:
                try:
                    await self._look_at(namespace)
                except OperatorError as error:
                    log.debug("namespace not read", namespace=namespace, error=str(error))

    async def find_statistics(self) -> None:
        """Learn the address of the statistics; domains are looked at again when it has changed."""
        service = self._settings.statistics_service
        if not service:
            return
        try:
            url = await find_url(self._client, service)
        except OperatorError as error:
            log.warning(
                "address of the statistics not read", service=service, error=str(error), advice=advice(error)
            )
            url = ""
        # A Service that is gone for a moment, in a reinstallation, is no reason to stop reporting to it.
        url = url or self._gatherer.statistics_url or ""
        if url != self._gatherer.statistics_url:
            log.info("statistics", service=service, url=url)
            self._gatherer.statistics_url = url
            for live in self._cache.all(DOMAIN):
                self._enqueue(DOMAIN, live)

    async def follow_statistics(self) -> None:
        """Ask for the address every so often, for ever."""
        while True:
            await asyncio.sleep(STATISTICS_SECONDS)
            await self.find_statistics()

    async def work(self) -> None:
        """Look at what is asked for, with several workers, for ever."""
        self._ask(DIRECTORY)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wakeups.run(self._clock, self._queue.add), name="wake-ups")
            for number in range(self._settings.workers):
                group.create_task(self._worker(), name=f"worker {number}")

    async def _worker(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._look(key)
            finally:
                self._queue.done(key)

    async def _look(self, key: Key) -> None:
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(**_context(key)):
            try:
                await self._reconcile(key)
            except NamespaceGoneError as error:
                self._leave(key, error)
                result = "done"
            except OperatorError as error:
                self._failed(key)
                log.warning("look failed", error=str(error))
                result = "failed"
            except Exception:
                # A defect of ours that one object brings out shall not stop the work for all others.
                self._failed(key)
                log.exception("look failed")
                result = "failed"
            else:
                self._succeeded(key)
                result = "done"
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
        self._metrics.queue.set(len(self._queue))
        self._metrics.failing.set(len(self._backoff))

    def _succeeded(self, key: Key) -> None:
        self._backoff.succeeded(key)
        if key.namespace in self._leaving and not (
            self._cache.has(DOMAIN, key.namespace) or self._cache.has(PLAN, key.namespace)
        ):
            self._leaving.discard(key.namespace)

    def _leave(self, key: Key, error: NamespaceGoneError) -> None:
        """Let be what lies in a namespace that goes: nothing can be written there, and all of it goes too."""
        self._backoff.succeeded(key)
        self._gatherer.failures.pop(key, None)
        self._wakeups.set(key, None)
        if key.namespace not in self._leaving:
            self._leaving.add(key.namespace)
            log.info("namespace goes", namespace=key.namespace, answer=error.message)

    def _failed(self, key: Key) -> None:
        pause = self._backoff.failed(key)
        self._wakeups.set(key, self._clock.now() + timedelta(seconds=pause))

    async def _reconcile(self, key: Key) -> None:
        if key.kind == "directory":
            self._directory_asked = False
            again = await self._keeper.keep(self._gatherer.statistics_url, self._clock.now())
            if not self._directory_asked:
                self._wakeups.set(key, again)
        elif key.kind == "account":
            await self._settle(key)
        else:
            await self._reconcile_domain(key)

    async def _settle(self, key: Key) -> None:
        now = self._clock.now()
        again: datetime | None = None
        lives = await self._accounts.all_lives(key.namespace)
        for note in self._accounts.take_moved():
            # Of whatever namespaces; also those of which nothing else is left that would ask for a look.
            self._ask(Key("account", note.regarding["metadata"]["namespace"]))
            try:
                await self._perform(key, Outcome(notes=(note,)))
            except OperatorError as error:
                log.warning("move of a record not told", note=note.message, error=str(error))
        for snapshot in lives:
            outcome = account_decision.decide(snapshot, now)
            try:
                await self._perform(key, outcome)
            except (ApiError, UnreachableError) as error:
                if isinstance(error, ConflictError):
                    await self._accounts.read_again(snapshot)
                if self._is_to_be_told(key, error):
                    for plan in self._cache.all(PLAN, key.namespace):
                        await self._tell_by_event(plan, _text(error))
                raise
            await self._accounts.keep_copy(snapshot, self._written)
            again = earliest(again, outcome.look_again_at)
        self._wakeups.set(key, again)

    async def _reconcile_domain(self, key: Key) -> None:
        live = self._cache.get(DOMAIN, key.namespace, key.name)
        if live is None:
            self._gatherer.forget(key)
            self._wakeups.set(key, None)
            self._contests.forget(key)
            self._untold.discard(key)
            return
        snapshot = await self._gatherer.domain(key, live, self._clock.now())
        outcome = domain_decision.decide(snapshot, self._clock.now())
        outcome, rests_until = self._without_contested(key, live, outcome)
        try:
            await self._perform(key, outcome)
        except (ApiError, UnreachableError) as error:
            if self._is_to_be_told(key, error):
                await self._tell_failure(key, live, _text(error))
            raise
        self._untold.discard(key)
        told = self._gatherer.failures.pop(key, None) is not None
        pause = self._note_writes(key, live, outcome)
        self._wakeups.set(key, earliest(outcome.look_again_at, rests_until, pause))
        if told or (pause is None and _writes(outcome)):
            # What was written has made an answer of this decision old.
            self._queue.add(key)

    def _without_contested(self, key: Key, live: Object, outcome: Outcome) -> tuple[Outcome, datetime | None]:
        """Return the outcome without writes that rest, and until when they do."""
        writes, now = _writes(outcome), self._clock.now()
        until = self._contests.rests_until(key, writes, _generation(live), now)
        if until is None:
            return outcome, None
        notes = tuple(note for note in outcome.notes if note.reason != Reason.CHANGED_FROM_OUTSIDE)
        return replace(outcome, ask=(), restore=(), costs=(), apply=(), delete=(), notes=notes), until

    def _note_writes(self, key: Key, live: Object, outcome: Outcome) -> datetime | None:
        """Note what was written; return when to look again where somebody undoes it each time."""
        now = self._clock.now()
        repeated, pause = self._contests.note(key, _writes(outcome), _generation(live), now)
        until = self._contests.lasts_until(key, now)
        if until is None:
            self._gatherer.contested.pop(key, None)
        elif repeated:
            log.warning("writes do not last", writes=sorted(repeated), pause=pause)
            kinds = ", ".join(sorted({write.split()[1] for write in repeated}))
            self._gatherer.contested[key] = (
                f"{kinds}: what the operator writes is changed back each time, by another controller or by an"
                " admission webhook; look at the Events and at metadata.managedFields, and stop it"
            )
        return now + timedelta(seconds=pause) if repeated else until

    def _is_to_be_told(self, key: Key, error: ApiError | UnreachableError) -> bool:
        """Tell whether a failure is an answer, or has lasted.

        A conflict over an account's record is its ordinary course: the cache was late.
        """
        if isinstance(error, NamespaceGoneError):
            return False
        is_answer = isinstance(error, InvalidError | ForbiddenError) or (
            isinstance(error, ConflictError) and key.kind == "domain"
        )
        return is_answer or self._backoff.failures(key) + 1 >= FAILURES_BEFORE_TOLD

    async def _tell_failure(self, key: Key, live: Object, text: str) -> None:
        """Write into the status why a write failed; by an Event where the status cannot be written either."""
        if self._gatherer.failures.get(key) == text and key not in self._untold:
            return
        self._gatherer.failures[key] = text
        self._untold.add(key)
        try:
            snapshot = await self._gatherer.domain(key, live, self._clock.now())
            told = domain_decision.decide(snapshot, self._clock.now())
            await self._perform(key, Outcome(status=told.status, notes=told.notes))
        except NamespaceGoneError:
            raise
        except (ApiError, UnreachableError):
            await self._tell_by_event(live, text)
        else:
            self._untold.discard(key)

    async def _tell_by_event(self, regarding: Object, text: str) -> None:
        """Tell by an Event why a write failed, once for as long as the Event is kept; else log and count."""
        note = Note(regarding, "Warning", Reason.APPLY_FAILED, text, f"failed {text}")
        try:
            await tell(self._client, note, self._written, self._clock.now(), self._identity)
        except (ApiError, UnreachableError) as error:
            self._metrics.untold.inc()
            log.error("failure not told", failure=text, error=str(error))

    async def _perform(self, key: Key, outcome: Outcome) -> None:
        def written(kind: Kind, verb: str, live: dict[str, Any]) -> None:
            self._written(kind, verb, live, by=key)

        def admits(exact: Exact, live: Object) -> None:
            self._gatherer.admits(key, exact, live)

        await perform(self._client, outcome, written, admits, self._clock.now(), self._identity)

    def _written(self, kind: Kind, verb: str, live: Object, *, by: Key | None = None) -> None:
        self._metrics.writes.labels(kind.kind, verb).inc()
        # Read what was written, without waiting for the watch to bring it back.
        if live and kind is not EVENT and self._cache.put(kind, live):
            for other in keys_of(self._cache, kind, live):
                if other != by:
                    self._ask(other)


def _writes(outcome: Outcome) -> frozenset[str]:
    """Return each write of an outcome as a text that tells it from others."""
    applied = (
        f"apply {made['kind']} {made['metadata']['annotations'][DESIRED_ANNOTATION]}"
        for made in outcome.apply
    )
    restored = (f"restore {exact.ref.kind} {exact.digest}" for exact in outcome.restore)
    asked = (f"ask {exact.ref.kind} {exact.digest} {exact.version}" for exact in outcome.ask)
    deleted = (f"delete {ref.kind} {ref.uid}" for ref in outcome.delete)
    return frozenset([*applied, *restored, *asked, *deleted])


def _generation(live: Object) -> int:
    return int(live["metadata"].get("generation") or 0)


def _text(error: ApiError | UnreachableError) -> str:
    """Return a failure as it is told; a webhook's answer may be of any length."""
    return str(error)[:_FAILURE_LENGTH]


def _context(key: Key) -> dict[str, str]:
    if key.kind == "domain":
        return {"namespace": key.namespace, "domain": key.name}
    return {"namespace": key.namespace} if key.kind == "account" else {}
