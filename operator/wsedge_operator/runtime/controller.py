"""Workers, which give each key of the agenda to the reconciler of its kind.

agenda ──key──▶ reconciler ──instant──▶ agenda          reconciled: again at that instant, or by an event
│ OperatorError, or a defect
├──────▶ agenda, after a pause      doubled with each failure in a row
│ NamespaceGoneError
├──────▶ dropped                    nothing can be written there, and the API server deletes all of it
│ LeaseLostError
└──────▶ raised                     another operator may lead already: the process ends
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from wsedge_operator.errors import LeaseLostError, NamespaceGoneError, OperatorError
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.queue import Backoff
from wsedge_operator.runtime.triggers import Key, has_user_objects

log = structlog.get_logger()


class Reconciler(Protocol):
    """Brings the objects of one kind of key to the desired state."""

    async def reconcile(self, key: Key, failures: int) -> datetime | None:
        """Reconcile `key`; return the instant at which to reconcile it again, or None.

        `failures` is the number of failures in a row before this call. Raises OperatorError, after which the
        key is retried, and NamespaceGoneError, after which it is not.
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
        """Start no worker: a standby only fills its cache, and `work` starts the workers of a leader."""
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
        """The number of keys whose last reconciliation failed."""
        return len(self._backoff)

    async def work(self) -> None:
        """Reconcile the keys of the agenda, with several workers, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._agenda.run(), name="wake-ups")
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"worker {number}")

    async def _worker(self) -> None:
        while True:
            key = await self._agenda.next_key()
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
            except LeaseLostError:
                raise  # the process must end, and writes nothing until then
            except OperatorError as error:
                self._failed(key)
                log.warning("reconcile failed", error=str(error))
                result = "failed"
            except Exception:
                # A defect that one object triggers must not stop the reconciliation of all others.
                self._failed(key)
                log.exception("reconcile failed")
                result = "failed"
            else:
                self._succeeded(key, again)
                self._metrics.succeeded.labels(key.kind).set(self._clock.now().timestamp())
                result = "done"
        self._metrics.reconciles.labels(key.kind, result).inc()
        self._metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
        self._metrics.failing.set(len(self._backoff))

    def _succeeded(self, key: Key, again: datetime | None) -> None:
        self._backoff.succeeded(key)
        self._agenda.schedule(key, again)
        if key.namespace in self._deleted_namespaces and not has_user_objects(self._cache, key.namespace):
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
