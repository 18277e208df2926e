"""The ledger in one SQLite file: `SqliteStore` writes, on the writer's thread, and `SqliteLedger` reads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import structlog
from pydantic import ValidationError

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.errors import (
    LedgerDamagedError,
    LedgerDeadlineError,
    LedgerPlaceError,
    LedgerUnreadableError,
    LedgerUnwritableError,
)
from wsedge_statistics.ledger import budget
from wsedge_statistics.ledger.deletion import BEHIND, DeletionTime
from wsedge_statistics.ledger.protocol import LateCounts, Room, SeenKey, StoredStatement
from wsedge_statistics.ledger.sqlite import migration, reads, retention, tenancy, totals, writes
from wsedge_statistics.ledger.sqlite.connections import open_reader, open_writer, transaction
from wsedge_statistics.ledger.sqlite.keys import KeyCache
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.schema import NEVER
from wsedge_statistics.ledger.upkeep import Upkeep
from wsedge_statistics.ledger.writer import QUEUE_LIMIT, Observer, Writer
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Dimension, Selection, SlotSums, Value
from wsedge_statistics.tenure import Tenures

PROBE_BYTES: Final = 1 << 20  # the size of a large report: a disk with less space is as good as full

LEAST_FREE: Final = 16 << 20  # bytes: a disk with less is as good as full, whoever filled it
STOP_STEPS: Final = 2000  # of SQLite's machine, about 0.1 ms, between looks at a read's deadline
STEP_SECONDS: Final = 0.05  # the longest time for which reports wait for a step of totals

log = structlog.get_logger()


class StoreObserver(Observer, Protocol):
    """Receives what the store has to tell as well."""

    def deletions_behind(self, seconds: float) -> None:
        """Deletions are so far behind the clock."""


class SqliteStore:
    """The one connection that writes: the `Store` of the writer, and the `Tiers` of the upkeep."""

    def __init__(
        self,
        database: Path,
        *,
        clock: Callable[[], datetime],
        observer: StoreObserver,
        fault: Callable[[], str | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._told: set[str] = set()
        self._keys = KeyCache()
        self._marks = totals.Marks()
        self._monotonic = monotonic
        self._pruned_at = monotonic()
        self._waits = False
        self._connection = open_writer(database)
        self._fault = fault
        self._clock = clock
        self._upkeep = Upkeep(self, clock=clock)
        try:
            with transaction(self._connection):
                (last,) = self._connection.execute(
                    "SELECT max(turn) FROM dirty WHERE turn < ?", (NEVER,)
                ).fetchone()
                self._turn = (last or 0) + 1
                tenancy.begin_tenures(self._connection, _stored_directory(self._connection), clock())
        except sqlite3.Error as error:
            self._connection.close()
            raise LedgerUnwritableError(f"the ledger cannot be read: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction. Raises LedgerUnwritableError, and nothing of it is stored.

        After a commit the files must still be those that the next start opens: else it is gone then.
        """
        done = False
        try:
            with transaction(self._connection):
                yield self._connection
            done = True
            if (fault := self._fault()) is not None:
                raise LedgerUnwritableError(fault)
        except sqlite3.Error as error:
            text = f"the ledger cannot be written: {error}"
            kind = LedgerDamagedError if damaged(error) else LedgerUnwritableError
            raise kind(text, code=error.sqlite_errorname) from error
        finally:
            if not done:
                self._forget()  # what was rolled back

    def probe(self) -> None:
        """Write and delete a blob of PROBE_BYTES. Raises LedgerUnwritableError."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (PROBE_BYTES,))
        with self.transaction() as connection:
            connection.execute("DELETE FROM probe")

    def upkeep(self) -> float:
        """Carry out one step of totals or retention; return the seconds until the next step."""
        return self._upkeep.step()

    def moment(self) -> writes.Moment:
        """Return the time and the turn of upkeep, for a merge."""
        return writes.Moment(self._clock(), self._turn, self._keys, self._marks)

    def begin_round(self) -> None:
        """See Tiers."""
        self._turn += 1

    def refresh(self) -> int:
        """See Tiers."""
        until = time.monotonic() + STEP_SECONDS
        try:
            with self.transaction() as connection:
                done = totals.refresh(connection, turn=self._turn, spent=lambda: time.monotonic() > until)
        except LedgerDamagedError:
            done = self._refresh_first()
        if done:
            self._marks.clear()
        return done

    def _forget(self) -> None:
        self._keys.clear()
        self._marks.clear()

    def _refresh_first(self) -> int:
        """Recompute one total, or set it aside if it is the one that meets damage."""
        try:
            with self.transaction() as connection:
                return totals.refresh(connection, turn=self._turn, spent=lambda: True)
        except LedgerDamagedError as error:
            self._damaged("total cannot be computed", error)
            with self.transaction() as connection:
                totals.set_aside(connection, turn=self._turn)
            return 1

    def migrate(self) -> int:
        """See Tiers."""
        with self.transaction() as connection:
            return migration.step(connection)

    def prune(self, now: datetime) -> int:
        """See Tiers. What is past its retention is decided by the time of `deletion`, not by `now` alone."""
        at = self._monotonic()
        try:
            with self.transaction() as connection:
                settled = retention.settle_time(connection, now, at - self._pruned_at)
                deleted = retention.prune(connection, settled.trusted)
                self._forget()  # what may be deleted
        except LedgerDamagedError as error:
            self._damaged("rows cannot be deleted", error)
            with self.transaction() as connection:
                retention.set_aside(connection)
            return 1
        self._pruned_at = at
        self._tell(settled, now)
        return deleted

    def _tell(self, settled: DeletionTime, now: datetime) -> None:
        behind = settled.behind(now)
        self._observer.deletions_behind(behind.total_seconds())
        waits = behind > BEHIND
        if waits and not self._waits:
            log.warning("deletion waits", until=settled.trusted.isoformat(), clock=now.isoformat())
        self._waits = waits

    def _damaged(self, event: str, error: LedgerDamagedError) -> None:
        """Count damage, and log the first of each kind: a page has rows of hundreds of totals."""
        self._observer.damaged()
        if event not in self._told:
            self._told.add(event)
            log.error(event, error=str(error), code=error.code)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteLedger:
    """A Ledger in one SQLite file. Raises LedgerPlaceError or LedgerVersionError when it cannot open it."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        observer: StoreObserver,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._place = Place(folder)
        self._clock = clock
        try:
            store = SqliteStore(self._place.database, clock=clock, observer=observer, fault=self._place.fault)
            self._place.watch()
        except sqlite3.Error as error:
            self._place.release()
            raise LedgerPlaceError(f"{self._place.database}: {error}") from error
        except BaseException:
            self._place.release()
            raise
        self._store = store
        self._observer = observer
        self._writer = Writer(store, observer, queue_limit=queue_limit)

    # -- writing ------------------------------------------------------------------------------------

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        """See Ledger."""
        return self._writer.submit(
            lambda connection: writes.merge_report(connection, report, self._store.moment(), keys, room)
        )

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        """See Ledger."""
        return self._writer.submit(
            lambda connection: tenancy.put_directory(connection, directory, self._clock())
        )

    def put_statement(self, statement: StoredStatement) -> Future[bool]:
        """See Ledger."""
        return self._writer.submit(lambda connection: writes.put_statement(connection, statement))

    # -- reading ------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if (fault := self._place.fault()) is not None:
            raise LedgerUnreadableError(fault)
        try:
            connection = open_reader(self._place.database)
        except sqlite3.Error as error:
            raise LedgerUnreadableError(f"the ledger cannot be opened: {error}") from error
        stop = budget.current()
        connection.set_progress_handler(stop.due, STOP_STEPS)
        try:
            connection.execute("BEGIN")  # so that all reads of an answer see one state of the ledger
            yield connection
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise LedgerDeadlineError(stop.seconds) from None
            if damaged(error):
                log.error("ledger is damaged", error=str(error), code=error.sqlite_errorname)
                self._observer.damaged()
            raise LedgerUnreadableError(f"the ledger cannot be read: {error}") from error
        finally:
            connection.close()

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.sums(connection, selection, slots, group_by)

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.codes(connection, selection, slots, group_by)

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        """See Ledger."""
        with self._reading() as connection:
            yield from reads.values(connection, selection, group_by)

    def seen(self, account: str | None) -> list[SeenKey]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.seen(connection, account)

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.late(connection, account, start, end)

    def statements(self, account: str) -> list[StoredStatement]:
        """See Ledger."""
        with self._reading() as connection:
            return reads.statements(connection, account)

    def directory(self) -> Directory | None:
        """See Ledger."""
        with self._reading() as connection:
            return _stored_directory(connection)

    def tenures(self) -> Tenures:
        """See Ledger."""
        with self._reading() as connection:
            return tenancy.tenures(connection)

    # -- state --------------------------------------------------------------------------------------

    def size(self) -> int:
        """See Ledger."""
        return self._place.size()

    def backlog(self) -> int:
        """See Ledger."""
        return self._writer.backlog()

    def alive(self) -> bool:
        """See Ledger."""
        return self._writer.alive()

    def writable(self) -> bool:
        """See Ledger."""
        room = self._place.free() >= LEAST_FREE
        return self._writer.writable() and room and self._place.fault() is None

    def close(self) -> None:
        """See Ledger."""
        self._writer.close()
        self._place.release()


def damaged(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file has other bytes than SQLite wrote."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes have more in the upper bits
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _stored_directory(connection: sqlite3.Connection) -> Directory | None:
    try:
        return tenancy.directory(connection)
    except ValidationError as error:  # another version of this program wrote it
        log.warning("directory cannot be read", faults=error.error_count())
        return None
