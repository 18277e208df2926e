"""The ledger on a ClickHouse server: `ClickHouseStore` writes and keeps it up, `ClickHouseLedger` reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Final, Protocol

import structlog
from pydantic import ValidationError

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.errors import (
    LedgerDeadlineError,
    LedgerError,
    LedgerUnreadableError,
    LedgerUnwritableError,
)
from wsedge_statistics.ledger.clickhouse import reads, retention, schema, statements, tenancy
from wsedge_statistics.ledger.clickhouse.server import Address, Server
from wsedge_statistics.ledger.clickhouse.state import write_state
from wsedge_statistics.ledger.clickhouse.totals import Totals
from wsedge_statistics.ledger.clickhouse.writes import Batch, Known
from wsedge_statistics.ledger.deletion import BEHIND
from wsedge_statistics.ledger.protocol import LateCounts, Room, SeenKey, StoredStatement
from wsedge_statistics.ledger.upkeep import ROUND_SECONDS, Upkeep
from wsedge_statistics.ledger.writer import QUEUE_LIMIT, Observer, Writer
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Dimension, Selection, SlotSums, Value
from wsedge_statistics.tenure import Tenures

_SIZE: Final = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String}"
_FREE: Final = "SELECT sum(unreserved_space) FROM system.disks WHERE type != 'ObjectStorage'"

log = structlog.get_logger()


class StoreObserver(Observer, Protocol):
    """Receives what the store has to tell as well."""

    def deletions_behind(self, seconds: float) -> None:
        """Deletions are so far behind the clock."""


class ClickHouseStore:
    """What the writer's thread and the thread of upkeep do on a server: the `Store`, and the `Tiers`."""

    def __init__(
        self,
        server: Server,
        *,
        observer: StoreObserver,
        cluster: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        schema.create(server, cluster)
        self._observer = observer
        self._monotonic = monotonic
        self._pruned_at = monotonic()
        self._waits = False
        self._server = server
        self._known = Known(server)
        self._totals = Totals(server, removed=self._known.forget_marks)

    @contextmanager
    def transaction(self) -> Iterator[Batch]:
        """Open a batch, stored at the end. Raises LedgerUnwritableError."""
        batch = Batch(self._server, self._known)
        try:
            yield batch
            batch.flush()
        except (LedgerUnreadableError, LedgerDeadlineError) as error:  # what a write has to know first
            raise LedgerUnwritableError(str(error)) from error

    def probe(self) -> None:
        """Store a number. Raises LedgerUnwritableError."""
        write_state(self._server, "probe", 0)

    def upkeep(self) -> float:
        """Leave the upkeep to its own thread: the server carries it out while reports are stored."""
        return ROUND_SECONDS

    def begin_round(self) -> None:
        """See Tiers."""
        self._totals.begin_round()

    def refresh(self) -> int:
        """See Tiers."""
        return self._totals.refresh()

    def migrate(self) -> int:
        """Move nothing: the tables of a server have had one form so far."""
        return 0

    def prune(self, now: datetime) -> int:
        """See Tiers. What is past its retention is decided by the time of `deletion`, not by `now` alone."""
        at = self._monotonic()
        settled = retention.settle_time(self._server, now, at - self._pruned_at)
        deleted = retention.prune(self._server, settled.trusted)
        self._pruned_at = at
        behind = settled.behind(now)
        self._observer.deletions_behind(behind.total_seconds())
        if behind > BEHIND and not self._waits:
            log.warning("deletion waits", until=settled.trusted.isoformat(), clock=now.isoformat())
        self._waits = behind > BEHIND
        return deleted

    def close(self) -> None:
        """Close nothing: reads use the same connection."""


class ClickHouseLedger:
    """A Ledger on a ClickHouse server.

    Raises LedgerPlaceError, LedgerVersionError, LedgerUnreadableError or LedgerUnwritableError when it cannot
    open it.
    """

    def __init__(
        self,
        address: Address,
        *,
        clock: Callable[[], datetime],
        observer: StoreObserver,
        cluster: str | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self._clock = clock
        self._server = Server(address, replicated=cluster is not None)
        try:
            store = ClickHouseStore(self._server, observer=observer, cluster=cluster)
        except BaseException:
            self._server.close()
            raise
        self._writer = Writer(store, observer, queue_limit=queue_limit)
        self._size = self._free = 0
        try:
            self._measure()
        except BaseException:
            self._writer.close()
            self._server.close()
            raise
        self._ended = threading.Event()
        upkeep = Upkeep(store, clock=clock)
        self._upkeep = threading.Thread(
            target=self._maintain, args=(upkeep,), name="ledger-upkeep", daemon=True
        )
        self._upkeep.start()

    def _maintain(self, upkeep: Upkeep) -> None:
        """Carry out steps until the ledger is closed; after a failure, in the next round."""
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                pause = upkeep.step()
                if pause:
                    self._measure()
            except LedgerError as error:
                log.error("upkeep failed", error=str(error))
                pause = ROUND_SECONDS

    def _measure(self) -> None:
        (((size,),)) = self._server.query(_SIZE, {"database": self._server.database})
        (((free,),)) = self._server.query(_FREE)
        self._size, self._free = int(size), int(free)

    # -- writing ------------------------------------------------------------------------------------

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        """See Ledger."""
        return self._writer.submit(lambda batch: batch.merge(report, self._clock(), keys, room))

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        """See Ledger."""
        return self._writer.submit(
            lambda batch: tenancy.put_directory(batch.server, directory, self._clock())
        )

    def put_statement(self, statement: StoredStatement) -> Future[bool]:
        """See Ledger."""
        return self._writer.submit(lambda batch: statements.put_statement(batch.server, statement))

    # -- reading ------------------------------------------------------------------------------------

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        """See Ledger."""
        return reads.sums(self._server, selection, slots, group_by)

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        """See Ledger."""
        return reads.codes(self._server, selection, slots, group_by)

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        """See Ledger."""
        return reads.values(self._server, selection, group_by)

    def seen(self, account: str | None) -> list[SeenKey]:
        """See Ledger."""
        return reads.seen(self._server, account)

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        """See Ledger."""
        return reads.late(self._server, account, start, end)

    def statements(self, account: str) -> list[StoredStatement]:
        """See Ledger."""
        return statements.statements(self._server, account)

    def directory(self) -> Directory | None:
        """See Ledger."""
        try:
            return tenancy.directory(self._server)
        except ValidationError as error:  # another version of this program wrote it
            log.warning("directory cannot be read", faults=error.error_count())
            return None

    def directory_serial(self) -> int:
        """Return a number that grows with each stored Directory."""
        return tenancy.serial(self._server)

    def tenures(self) -> Tenures:
        """See Ledger."""
        return tenancy.tenures(self._server)

    # -- state --------------------------------------------------------------------------------------

    def size(self) -> int:
        """See Ledger. The size at the last round of upkeep."""
        return self._size

    def free(self) -> int:
        """Return the bytes that the server's disks had left at the last round of upkeep."""
        return self._free

    def backlog(self) -> int:
        """See Ledger."""
        return self._writer.backlog()

    def alive(self) -> bool:
        """See Ledger."""
        return self._writer.alive()

    def writable(self) -> bool:
        """See Ledger."""
        return self._writer.writable()

    def close(self) -> None:
        """See Ledger."""
        self._ended.set()
        self._writer.close()
        self._upkeep.join()
        self._server.close()
