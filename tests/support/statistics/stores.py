"""Stores behind the ledger's protocol, for tests that every store must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from support.statistics.clickhouse import clickhouse_address
from wsedge_statistics.contract import UsageReport
from wsedge_statistics.ledger.clickhouse import reads as clickhouse_reads
from wsedge_statistics.ledger.clickhouse import retention as clickhouse_retention
from wsedge_statistics.ledger.clickhouse import statements as clickhouse_statements
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.clickhouse.store import ClickHouseStore
from wsedge_statistics.ledger.protocol import LateCounts, Room, StoredStatement
from wsedge_statistics.ledger.sqlite import reads, retention, totals, writes
from wsedge_statistics.ledger.sqlite.connections import open_writer, transaction
from wsedge_statistics.ledger.sqlite.keys import KeyCache
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Dimension, Selection, SlotSums, Value


class StoreUnderTest(Protocol):
    """A store whose upkeep a test carries out."""

    def merge(
        self,
        report: UsageReport,
        now: datetime,
        keys: Mapping[str, str] | None = None,
        room: Room | None = None,
    ) -> tuple[int, ...]: ...
    def refresh(self) -> None:
        """Recompute all totals whose rows changed."""

    def prune(self, now: datetime) -> int:
        """Delete all that is past its retention; return the number of steps."""

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]: ...
    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]: ...
    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]: ...
    def late(self, account: str, start: int, end: int) -> list[LateCounts]: ...
    def put_statement(self, statement: StoredStatement) -> bool: ...
    def statements(self, account: str) -> list[StoredStatement]: ...


# Opens an empty store in a folder.
StoreFactory = Callable[[Path], AbstractContextManager[StoreUnderTest]]


class SqliteUnderTest:
    def __init__(self, folder: Path) -> None:
        self.connection = open_writer(folder / "ledger.sqlite3")
        self.turn = 1
        self.keys, self.marks = KeyCache(), totals.Marks()

    def merge(
        self,
        report: UsageReport,
        now: datetime,
        keys: Mapping[str, str] | None = None,
        room: Room | None = None,
    ) -> tuple[int, ...]:
        with transaction(self.connection):
            moment = writes.Moment(now, self.turn, self.keys, self.marks)
            return writes.merge_report(self.connection, report, moment, keys, room)

    def refresh(self) -> None:
        self.turn += 1
        with transaction(self.connection):
            while totals.refresh(self.connection, turn=self.turn, spent=lambda: False):
                pass
        self.marks.clear()

    def prune(self, now: datetime) -> int:
        steps = 0
        with transaction(self.connection):
            while retention.prune(self.connection, now):
                steps += 1
        self.keys.clear()
        self.marks.clear()
        return steps

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        return reads.sums(self.connection, selection, slots, group_by)

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        return reads.codes(self.connection, selection, slots, group_by)

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        return reads.values(self.connection, selection, group_by)

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        return reads.late(self.connection, account, start, end)

    def put_statement(self, statement: StoredStatement) -> bool:
        return writes.put_statement(self.connection, statement)

    def statements(self, account: str) -> list[StoredStatement]:
        return reads.statements(self.connection, account)

    def close(self) -> None:
        self.connection.close()


@contextmanager
def sqlite_store(folder: Path) -> Iterator[StoreUnderTest]:
    with closing(SqliteUnderTest(folder)) as store:
        yield store


class ClickHouseUnderTest:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.store = ClickHouseStore(server, observer=Metrics().ledger)

    def merge(
        self,
        report: UsageReport,
        now: datetime,
        keys: Mapping[str, str] | None = None,
        room: Room | None = None,
    ) -> tuple[int, ...]:
        with self.store.transaction() as batch:
            return batch.merge(report, now, keys, room)

    def refresh(self) -> None:
        for _ in range(2):  # the first round sees the marks, the second removes them
            self.store.begin_round()
            while self.store.refresh():
                pass

    def prune(self, now: datetime) -> int:
        steps = 0
        while clickhouse_retention.prune(self.server, now):
            steps += 1
        return steps

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        return clickhouse_reads.sums(self.server, selection, slots, group_by)

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        return clickhouse_reads.codes(self.server, selection, slots, group_by)

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        return clickhouse_reads.values(self.server, selection, group_by)

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        return clickhouse_reads.late(self.server, account, start, end)

    def put_statement(self, statement: StoredStatement) -> bool:
        return clickhouse_statements.put_statement(self.server, statement)

    def statements(self, account: str) -> list[StoredStatement]:
        return clickhouse_statements.statements(self.server, account)


@contextmanager
def clickhouse_store(folder: Path) -> Iterator[StoreUnderTest]:
    """A database of its own on a server; the folder stays empty."""
    with clickhouse_address() as address, closing(Server(address)) as server:
        yield ClickHouseUnderTest(server)


STORES: dict[str, StoreFactory] = {"sqlite": sqlite_store, "clickhouse": clickhouse_store}
