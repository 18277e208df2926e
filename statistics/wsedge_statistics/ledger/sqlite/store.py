"""The SQLite ledger: one writer thread that commits in groups, and read-only connections for readers."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.errors import (
    LedgerBusyError,
    LedgerDamagedError,
    LedgerPlaceError,
    LedgerUnwritableError,
)
from wsedge_statistics.ledger.protocol import Room, SeenKey
from wsedge_statistics.ledger.sqlite import reads, writes
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.schema import open_reader, open_writer
from wsedge_statistics.numbers.series import DAY, HOUR, Selection, Series
from wsedge_statistics.tenure import Tenures

GROUP_LIMIT: Final = 256  # reports in one commit: bounds how long the first of them waits
ROLLUP_SECONDS: Final = 30.0
# rollups in one transaction: a chunk takes about 0.1 s on one core, which reports wait for
HOUR_CHUNK: Final = 100
DAY_CHUNK: Final = 25
PRUNE_SECONDS: Final = 3600.0
PROBE_SECONDS: Final = 3.0  # how often a ledger that could not be written is tried again
PROBE_BYTES: Final = 1 << 20  # room for a large report: a disk with less is as good as full

T = TypeVar("T")
log = structlog.get_logger()


class Observer(Protocol):
    """Told by the writer thread what it did, for the metrics."""

    def committed(self, *, jobs: int, seconds: float) -> None:
        """A group was committed."""

    def failed(self) -> None:
        """A commit failed; nothing of its group was stored."""


@dataclass(frozen=True, slots=True)
class Job:
    """One write: the work within the group's transaction, and who waits for the commit."""

    work: Callable[[sqlite3.Connection], Any]
    done: Future[Any]


class SqliteLedger:
    """A Ledger in one SQLite file. Raises LedgerPlaceError or LedgerVersionError when it cannot open it."""

    def __init__(
        self, folder: Path, *, clock: Callable[[], datetime], observer: Observer, queue_limit: int = 1024
    ) -> None:
        self._place = Place(folder)
        self._clock = clock
        self._observer = observer
        self._queue: queue.Queue[Job | None] = queue.Queue(queue_limit)
        self._writable = True
        self._pruned = 0
        self._next_rollup = self._next_prune = self._next_probe = 0.0
        try:
            self._connection = open_writer(self._place.database)
            self._begin()
        except sqlite3.Error as error:
            self._place.release()
            raise LedgerPlaceError(f"{self._place.database}: {error}") from error
        except BaseException:
            self._place.release()
            raise
        self._thread = threading.Thread(target=self._write, name="ledger-writer", daemon=True)
        self._thread.start()

    def _begin(self) -> None:
        try:
            with transaction(self._connection):
                writes.begin_tenures(self._connection, _kept(self._connection), self._clock())
        except sqlite3.Error as error:
            self._connection.close()
            raise LedgerUnwritableError(f"the ledger cannot be read: {error}") from error

    # -- writing ------------------------------------------------------------------------------------

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        """See Ledger."""
        return self._submit(lambda connection: writes.merge_report(connection, report, keys, room))

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        """See Ledger."""
        return self._submit(lambda connection: writes.put_directory(connection, directory, self._clock()))

    def _submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        if not self._thread.is_alive():
            raise LedgerUnwritableError("the ledger's writer has ended")
        try:
            self._queue.put_nowait(Job(work, done))
        except queue.Full:
            raise LedgerBusyError("too many reports wait for a commit") from None
        return done

    def _write(self) -> None:
        group: list[Job] = []
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
            self._fail(group, LedgerUnwritableError("the ledger's writer has ended"))
            raise
        finally:
            self._fail(self._drain(self._queue.maxsize), LedgerUnwritableError("the ledger is closed"))
            self._connection.close()

    def _next_group(self) -> tuple[list[Job], bool]:
        """Wait for a write; return all that wait (up to a limit) and whether the ledger is being closed."""
        wake = self._next_rollup if self._writable else self._next_probe
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
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                last = True
            else:
                group.append(job)
        return [job for job in group if job.done.set_running_or_notify_cancel()], last

    def _drain(self, limit: int) -> list[Job]:
        waiting = []
        for _ in range(limit):
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                waiting.append(job)
        return waiting

    @staticmethod
    def _fail(group: list[Job], error: Exception) -> None:
        for job in group:
            if not job.done.done():
                job.done.set_exception(error)

    def _commit(self, group: list[Job]) -> None:
        began = time.monotonic()
        try:
            with transaction(self._connection):
                answers = [job.work(self._connection) for job in group]
        except sqlite3.Error as error:
            self._broken(error)
            self._fail(group, LedgerUnwritableError(f"the ledger cannot be written: {error}"))
            return
        self._healthy()
        self._observer.committed(jobs=len(group), seconds=time.monotonic() - began)
        for job, answer in zip(group, answers, strict=True):
            job.done.set_result(answer)

    def _broken(self, error: sqlite3.Error) -> None:
        self._observer.failed()
        if self._writable:
            log.error("ledger cannot be written", error=str(error), code=error.sqlite_errorname)
        self._writable = False
        self._next_probe = time.monotonic() + PROBE_SECONDS

    def _healthy(self) -> None:
        was, self._writable = self._writable, True
        if not was:  # said when it holds: who reads it may ask at once
            log.info("ledger can be written again")

    # -- upkeep: rollups, retention, and trying again after a failure --------------------------------

    def _maintain(self) -> None:
        try:
            if not self._writable:
                if time.monotonic() >= self._next_probe:
                    self._probe()
            elif time.monotonic() >= self._next_rollup and not self._roll():
                self._next_rollup = time.monotonic() + ROLLUP_SECONDS
                self._prune()
        except sqlite3.Error as error:
            self._broken(error)
        except LedgerDamagedError as error:
            log.error("rollup cannot be read", error=str(error))
            self._next_rollup = time.monotonic() + ROLLUP_SECONDS

    def _probe(self) -> None:
        with transaction(self._connection):
            self._connection.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (PROBE_BYTES,))
        with transaction(self._connection):
            self._connection.execute("DELETE FROM probe")
        self._healthy()

    def _roll(self) -> int:
        """Bring a chunk of rollups up to date, between groups of reports; returns how many there were."""
        ended_days = int(self._clock().timestamp()) - DAY - HOUR
        with transaction(self._connection):
            done = writes.roll_hours(self._connection, limit=HOUR_CHUNK)
        with transaction(self._connection):
            return done + writes.roll_days(self._connection, before=ended_days, limit=DAY_CHUNK)

    def _prune(self) -> None:
        if time.monotonic() < self._next_prune:
            return
        with transaction(self._connection):
            rows = writes.prune(self._connection, self._clock())
        self._pruned += rows
        if rows:
            self._next_rollup = 0.0  # the next step at once, after the reports that wait
            return
        if self._pruned:
            log.info("ledger pruned", rows=self._pruned)
        self._pruned = 0
        self._next_prune = time.monotonic() + PRUNE_SECONDS

    # -- reading ------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = open_reader(self._place.database)
        except sqlite3.Error as error:
            raise LedgerUnwritableError(f"the ledger cannot be opened: {error}") from error
        try:
            connection.execute("BEGIN")  # one moment of the ledger for all of an answer
            yield connection
        except sqlite3.Error as error:
            raise LedgerUnwritableError(f"the ledger cannot be read: {error}") from error
        finally:
            connection.close()

    def read(self, selection: Selection) -> Series:
        """See Ledger."""
        with self._reading() as connection:
            return reads.read(connection, selection)

    def seen(self, account: str | None) -> list[SeenKey]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.seen(connection, account)

    def directory(self) -> Directory | None:
        """See Ledger."""
        with self._reading() as connection:
            return _kept(connection)

    def tenures(self) -> Tenures:
        """See Ledger."""
        with self._reading() as connection:
            return reads.tenures(connection)

    # -- state --------------------------------------------------------------------------------------

    def size(self) -> int:
        """See Ledger."""
        return self._place.size()

    def backlog(self) -> int:
        """See Ledger."""
        return self._queue.qsize()

    def alive(self) -> bool:
        """See Ledger."""
        return self._thread.is_alive()

    def writable(self) -> bool:
        """See Ledger."""
        return self._writable and self._thread.is_alive()

    def close(self) -> None:
        """See Ledger."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._place.release()


def _kept(connection: sqlite3.Connection) -> Directory | None:
    try:
        return reads.directory(connection)
    except ValidationError as error:  # of another version of this program
        log.warning("directory cannot be read, awaiting the next one", faults=error.error_count())
        return None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed at the end, rolled back on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
