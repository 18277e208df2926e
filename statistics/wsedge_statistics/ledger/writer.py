"""The writer of a ledger, for any store: a queue, commits in groups, and a future for each write.

One thread writes. It collects every write that waits, runs all of them in one transaction of the store, and
completes their futures after the commit: an fsync costs the same for one report as for 256.

    caller ── submit() ──▶ queue ──▶ group ── commit ──▶ futures completed, with a result or an error

                    commit or upkeep failed
          writable ─────────────────────────▶ unwritable ──┐
                   ◀─────────────────────────              │ probe every 3 s
                   commit or probe succeeded   ◀───────────┘

A failed commit stores nothing of its group. Until a commit or a probe succeeds, upkeep is suspended and the
program is not ready; writes are still tried, since a disk that was full may have space again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from wsedge_statistics.errors import LedgerBusyError, LedgerDamagedError, LedgerUnwritableError

GROUP_LIMIT: Final = 256  # writes in one commit: bounds how long the first write of a group waits
QUEUE_LIMIT: Final = 1024
PROBE_SECONDS: Final = 3.0  # between probes of a ledger that cannot be written
DAMAGED_SECONDS: Final = 30.0  # until upkeep is tried again after it met damage that it could not leave out

_T = TypeVar("_T")
Transaction = TypeVar("Transaction")
_Opened_co = TypeVar("_Opened_co", covariant=True)  # a transaction that a store opens
log = structlog.get_logger()


class Observer(Protocol):
    """Receives the writer's commits and failures, for the metrics."""

    def committed(self, *, jobs: int, seconds: float) -> None:
        """A group was committed."""

    def failed(self) -> None:
        """A commit failed; nothing of its group was stored."""

    def damaged(self) -> None:
        """A read or write met a damaged place of the store."""


class Store(Protocol[_Opened_co]):
    """The writing side of a store, called by the writer's thread alone.

    Each method but close() may raise LedgerUnwritableError; then nothing of its transaction is stored.
    """

    def transaction(self) -> AbstractContextManager[_Opened_co]:
        """Open a transaction: committed at the end of the block, rolled back on any error."""

    def probe(self) -> None:
        """Write and delete about as much as a large report needs."""

    def upkeep(self) -> float:
        """Carry out one step of totals or retention; return the seconds until the next step."""

    def close(self) -> None:
        """Close the connection; called once, at the thread's end."""


@dataclass(frozen=True, slots=True)
class Write(Generic[Transaction]):
    """One write: the work within the group's transaction, and the future that its caller awaits."""

    work: Callable[[Transaction], Any]
    done: Future[Any]


class Writer(Generic[Transaction]):
    """The thread that writes to a store."""

    def __init__(
        self, store: Store[Transaction], observer: Observer, *, queue_limit: int = QUEUE_LIMIT
    ) -> None:
        self._store = store
        self._observer = observer
        self._queue: queue.Queue[Write[Transaction] | None] = queue.Queue(queue_limit)
        self._writable = True
        self._next_upkeep = self._next_probe = 0.0
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Transaction], _T]) -> Future[_T]:
        """Queue a write; the future is done after its commit, or raises LedgerUnwritableError.

        Raises LedgerBusyError when the queue is full, LedgerUnwritableError when the thread has ended.
        """
        done: Future[_T] = Future()
        if not self._thread.is_alive():
            raise LedgerUnwritableError("the ledger's writer has ended")
        try:
            self._queue.put_nowait(Write(work, done))
        except queue.Full:
            raise LedgerBusyError("Too many reports wait for a commit. Try again later.") from None
        return done

    def backlog(self) -> int:
        """Return how many writes wait for the next commit."""
        return self._queue.qsize()

    def alive(self) -> bool:
        """Return whether the thread runs; only a restart of the program starts it again."""
        return self._thread.is_alive()

    def writable(self) -> bool:
        """Return false after a failed commit, until a commit or a probe succeeds."""
        return self._writable and self._thread.is_alive()

    def close(self) -> None:
        """Commit all queued writes, then end the thread."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        group: list[Write[Transaction]] = []
        try:
            while True:
                group, last = self._next_group()
                if group:
                    self._commit(group)
                if last:
                    return
                self._maintain()
        except BaseException as error:
            log.exception("ledger writer ended", error=repr(error))
            self._writable = False
            _fail(group, LedgerUnwritableError("the ledger's writer has ended"))
            raise
        finally:
            _fail(self._drain(), LedgerUnwritableError("the ledger is closed"))
            self._store.close()

    def _next_group(self) -> tuple[list[Write[Transaction]], bool]:
        """Wait for a write; return all queued writes (up to GROUP_LIMIT), and whether close() was called."""
        wake = self._next_upkeep if self._writable else self._next_probe
        pause = max(0.0, wake - time.monotonic())
        try:
            first = self._queue.get(timeout=pause)
        except queue.Empty:
            return [], False
        if first is None:
            return [], True
        group, last = [first], False
        while len(group) < GROUP_LIMIT and not last:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                last = True
            else:
                group.append(write)
        return [write for write in group if write.done.set_running_or_notify_cancel()], last

    def _drain(self) -> list[Write[Transaction]]:
        waiting = []
        for _ in range(self._queue.maxsize):
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is not None:
                waiting.append(write)
        return waiting

    def _commit(self, group: list[Write[Transaction]]) -> None:
        began = time.monotonic()
        try:
            with self._store.transaction() as transaction:
                results = [write.work(transaction) for write in group]
        except LedgerDamagedError as error:
            self._damaged(error)
            if len(group) == 1:
                _fail(group, error)
            else:  # those that do not meet the damaged place are carried out
                for write in group:
                    self._commit([write])
            return
        except LedgerUnwritableError as error:
            self._failed(error)
            _fail(group, error)
            return
        self._succeeded()
        self._observer.committed(jobs=len(group), seconds=time.monotonic() - began)
        for write, result in zip(group, results, strict=True):
            write.done.set_result(result)

    def _maintain(self) -> None:
        try:
            if not self._writable:
                if time.monotonic() >= self._next_probe:
                    self._store.probe()
                    self._succeeded()
            elif time.monotonic() >= self._next_upkeep:
                self._next_upkeep = time.monotonic() + self._store.upkeep()
        except LedgerDamagedError as error:
            self._damaged(error)
            self._next_upkeep = self._next_probe = time.monotonic() + DAMAGED_SECONDS
        except LedgerUnwritableError as error:
            self._failed(error)

    def _damaged(self, error: LedgerDamagedError) -> None:
        self._observer.damaged()
        log.error("ledger is damaged", error=str(error), code=error.code)

    def _failed(self, error: LedgerUnwritableError) -> None:
        self._observer.failed()
        if self._writable:
            log.error("ledger cannot be written", error=str(error), code=error.code)
        self._writable = False
        self._next_probe = time.monotonic() + PROBE_SECONDS

    def _succeeded(self) -> None:
        before, self._writable = self._writable, True
        if not before:  # logged after the change, so that a reader of the line finds the ledger writable
            log.info("ledger can be written again")


def _fail(group: list[Write[Any]], error: LedgerUnwritableError) -> None:
    for write in group:
        if not write.done.done():
            write.done.set_exception(error)
