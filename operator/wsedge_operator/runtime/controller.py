"""Turns events into looks at objects, and looks into what the decisions say."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any, Final

import structlog

from wsedge_operator.desired.names import DESIRED_ANNOTATION
from wsedge_operator.errors import ApiError, ConflictError, ForbiddenError, InvalidError, OperatorError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import DOMAIN, EVENT, WATCHED, Kind
from wsedge_operator.kube.perform import perform
from wsedge_operator.reconcile import billing_plan, websocket_domain
from wsedge_operator.reconcile.outcome import Outcome, earliest
from wsedge_operator.runtime.cache import Cache, name_of
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.queue import FIRST_PAUSE_SECONDS, Backoff, Repeats, WorkQueue
from wsedge_operator.runtime.routes import DIRECTORY, Key, keys_of
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.statistics import DirectoryKeeper, find_url
from wsedge_operator.runtime.wakeups import WakeUps
from wsedge_operator.settings import Settings

log = structlog.get_logger()

# Changes come in bursts, and each Directory is a full one.
DIRECTORY_DELAY: Final = timedelta(milliseconds=300)
STATISTICS_SECONDS: Final = 30.0
SECOND_LIST_SECONDS: Final = 30.0
LIST_RETRY_SECONDS: Final = 2.0


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
        self._keeper = keeper
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._identity = identity
        self._queue: WorkQueue[Key] = WorkQueue()
        self._wakeups: WakeUps[Key] = WakeUps()
        self._backoff: Backoff[Key] = Backoff()
        self._repeats: Repeats[Key] = Repeats()
        self._unsettled: Backoff[Key] = Backoff()
        self._directory_asked = False
        self.is_filled = False

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

    async def fill(self) -> None:
        """List everything once; returns when that has succeeded."""
        while True:
            try:
                await self._list_all()
            except OperatorError as error:
                log.warning("listing failed", error=str(error))
                await asyncio.sleep(LIST_RETRY_SECONDS)
            else:
                self.is_filled = True
                return

    async def list_again(self) -> None:
        """List everything every so often, for ever.

        A watch that had to begin anew does not tell what went meanwhile.
        """
        pause = min(SECOND_LIST_SECONDS, self._settings.resync_seconds)
        while True:
            await asyncio.sleep(pause)
            await self.fill()
            pause = self._settings.resync_seconds

    async def _list_all(self) -> None:
        self._cache.begin_listing()
        for namespace in self._settings.namespaces or (None,):
            for kind in WATCHED:
                listed, version = await self._client.list(kind, namespace)
                before = {name_of(live): live for live in self._cache.all(kind, namespace)}
                for _, live in self._cache.take_list(kind, namespace, listed, version):
                    self._enqueue(kind, live)
                    if (known := before.get(name_of(live))) is not None:
                        self._enqueue(kind, known)

    async def find_statistics(self) -> None:
        """Learn the address of the statistics; domains are looked at again when it has changed."""
        service = self._settings.statistics_service
        if not service:
            return
        try:
            url = await find_url(self._client, service)
        except OperatorError as error:
            log.warning("statistics not found", service=service, error=str(error))
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
                self._backoff.succeeded(key)
                result = "done"
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
        self._metrics.queue.set(len(self._queue))

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
        outcome = billing_plan.decide(await self._gatherer.account(key), now)
        await self._perform(key, outcome)
        self._wakeups.set(key, outcome.look_again_at)

    async def _reconcile_domain(self, key: Key) -> None:
        live = self._cache.get(DOMAIN, key.namespace, key.name)
        if live is None:
            self._gatherer.forget(key)
            self._wakeups.set(key, None)
            self._repeats.note(key, frozenset())
            self._unsettled.succeeded(key)
            return
        snapshot = await self._gatherer.domain(key, live, self._clock.now())
        outcome = websocket_domain.decide(snapshot, self._clock.now())
        try:
            await self._perform(key, outcome)
        except (InvalidError, ForbiddenError, ConflictError) as error:
            await self._tell_failure(key, live, error)
            raise
        self._wakeups.set(key, outcome.look_again_at)
        told = self._gatherer.failures.pop(key, None) is not None
        if repeated := self._repeats.note(key, _writes(outcome)):
            # Somebody, an admission webhook say, makes something else of it each time.
            pause = self._unsettled.failed(key)
            if pause > FIRST_PAUSE_SECONDS:  # The first time it may be that the watch is late.
                log.warning("writes do not last", writes=sorted(repeated), pause=pause)
            again = self._clock.now() + timedelta(seconds=pause)
            self._wakeups.set(key, earliest(outcome.look_again_at, again))
            return
        if not outcome.apply and not outcome.delete:
            self._unsettled.succeeded(key)
        if told or outcome.apply or outcome.delete:
            # What was written has made an answer of this decision old.
            self._queue.add(key)

    async def _tell_failure(self, key: Key, live: Object, error: ApiError) -> None:
        """Write into the status why the API server refused a write."""
        if self._gatherer.failures.get(key) == str(error):
            return
        self._gatherer.failures[key] = str(error)
        snapshot = await self._gatherer.domain(key, live, self._clock.now())
        told = websocket_domain.decide(snapshot, self._clock.now())
        await self._perform(key, Outcome(status=told.status, notes=told.notes))

    async def _perform(self, key: Key, outcome: Outcome) -> None:
        def written(kind: Kind, verb: str, live: dict[str, Any]) -> None:
            self._metrics.writes.labels(kind.kind, verb).inc()
            # Read what was written, without waiting for the watch to bring it back.
            if live and kind is not EVENT and self._cache.put(kind, live):
                for other in keys_of(self._cache, kind, live):
                    if other != key:
                        self._ask(other)

        await perform(self._client, outcome, written, self._clock.now(), self._identity)


def _writes(outcome: Outcome) -> frozenset[str]:
    """Return each write of an outcome as a text that tells it from others."""
    applied = (
        f"apply {made['kind']} {made['metadata']['annotations'][DESIRED_ANNOTATION]}"
        for made in outcome.apply
    )
    return frozenset([*applied, *(f"delete {ref.kind} {ref.uid}" for ref in outcome.delete)])


def _context(key: Key) -> dict[str, str]:
    if key.kind == "domain":
        return {"namespace": key.namespace, "domain": key.name}
    return {"namespace": key.namespace} if key.kind == "account" else {}
