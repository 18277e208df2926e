"""Workers that take keys from the agenda and give each to the reconciler of its kind.

agenda ──key──▶ reconciler ──instant──▶ agenda          reconciled: again at that instant, or by an event
│ OperatorError, or a defect
├──────▶ agenda, after a pause      doubled with each failure in a row
│ NamespaceGoneError
└──────▶ dropped                    nothing can be written there; all of it is deleted
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from wsedge_operator.errors import NamespaceGoneError, OperatorError
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.queue import Backoff
from wsedge_operator.runtime.triggers import Key, is_occupied

log = structlog.get_logger()


class Reconciler(Protocol):
    """Brings the objects of one kind of key to the desired state."""

    async def reconcile(self, key: Key, failures: int) -> datetime | None:
        """Reconcile `key`, which failed `failures` times in a row; return when to do so again (None: never).

        Raises OperatorError, after which the key is reconciled again; not after NamespaceGoneError.
        """
        ...


class Controller:
    """The workers; `reconcilers` by kind of key."""

    def __init__(
        self,
        *,
        reconcilers: Mapping[str, Reconciler],
        agenda: Agenda,
        cache: Cache,
        clock: Clock,
        metrics: Metrics,
        workers: int,
    ) -> None:
        """Start no worker yet: the cache of a standby fills meanwhile."""
        self._reconcilers = reconcilers
        self._agenda = agenda
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._workers = workers
        self._backoff: Backoff[Key] = Backoff()
        self._deleted_namespaces: set[str] = set()

    @property
    def failing(self) -> int:
        """How many keys failed when they were reconciled last."""
        return len(self._backoff)

    async def work(self) -> None:
        """Reconcile what the agenda has, with several workers, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._agenda.run(), name="wake-ups")
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"worker {number}")

    async def _worker(self) -> None:
        while True:
            key = await self._agenda.take()
            try:
                await self._reconcile_key(key)
            finally:
                self._agenda.done(key)

    async def _reconcile_key(self, key: Key) -> None:
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(**key.log_context):
            try:
                again = await self._reconcilers[key.kind].reconcile(key, self._backoff.failures(key))
            except NamespaceGoneError as error:
                self._drop(key, error)
                result = "done"
            except OperatorError as error:
                self._failed(key)
                log.warning("reconcile failed", error=str(error))
                result = "failed"
            except Exception:
                # A defect of ours that one object brings out must not stop the work for all others.
                self._failed(key)
                log.exception("reconcile failed")
                result = "failed"
            else:
                self._succeeded(key, again)
                result = "done"
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
        self._metrics.failing.set(len(self._backoff))

    def _succeeded(self, key: Key, again: datetime | None) -> None:
        self._backoff.succeeded(key)
        self._agenda.schedule(key, again)
        if key.namespace in self._deleted_namespaces and not is_occupied(self._cache, key.namespace):
            self._deleted_namespaces.discard(key.namespace)

    def _drop(self, key: Key, error: NamespaceGoneError) -> None:
        self._backoff.succeeded(key)
        self._agenda.schedule(key, None)
        if key.namespace not in self._deleted_namespaces:
            self._deleted_namespaces.add(key.namespace)
            log.info("namespace is being deleted", namespace=key.namespace, answer=error.message)

    def _failed(self, key: Key) -> None:
        pause = self._backoff.failed(key)
        self._agenda.postpone(key, self._clock.now() + timedelta(seconds=pause))
