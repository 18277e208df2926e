"""The interface of every ledger, whatever database stores it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import CodeSum, Dimension, Key, Selection, SlotSums, Value
from wsedge_statistics.tenure import Tenures

# Counts that come in so long after the end of their bucket are recorded as late, so that statements can
# tell which counts were not in them. Less than the shortest time after which a statement closes.
LATE_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A key that has counts, with its first and last bucket (UTC seconds)."""

    key: Key
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Room:
    """What an account may have: rows of counts in one bucket and in all stored buckets, and keys."""

    of_bucket: int
    of_account: int
    of_keys: int


@dataclass(frozen=True, slots=True)
class LateCounts:
    """What an account's bytes of one bucket and area grew by, LATE_AFTER the bucket's end or later.

    `received_at` is the start of the bucket in which the counts came in. Both in UTC seconds.
    """

    received_at: int
    account: str
    area: str
    bucket: int
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A closed statement of an account and period, as JSON text. `version` is that of the text's form."""

    account: str
    period: str
    version: int
    closed_at: datetime
    body: str


class Ledger(Protocol):
    """Stores five-minute counts per source, and returns sums over them.

    Reads may be called on any thread. Each sees one state of the ledger, and raises LedgerUnreadableError, or
    LedgerDeadlineError when `budget.current()` is due.
    """

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        """Merge a report by max(); the future is done once the report is on disk.

        `keys` has by account the key under which its rows are stored. The future has the indices of the rows
        for which their account has no `room`; if there is any, nothing was stored.
        Raises LedgerBusyError at once; the future raises LedgerUnwritableError.
        """

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        """Store a Directory unless a newer Directory is stored; the future has the tenures, or None."""

    def tenures(self) -> Tenures:
        """Return the lives of accounts, and the domains that each holds or held."""

    def directory(self) -> Directory | None:
        """Return the stored Directory; None if there is none, or if this program cannot parse it."""

    def sums(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[SlotSums]:
        """Return the sums of each group and slot that has rows, ordered by group and slot.

        Slots are ordered, do not overlap and lie within the selection. The total over a range is
        `series.totals` of the sums, or the same read with one slot.
        """

    def codes(
        self, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
    ) -> list[CodeSum]:
        """Return the HTTP codes of each group and slot that were counted, ordered by group, slot and code."""

    def values(self, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
        """Yield the five-minute values of each group, ordered by group and bucket.

        One state of the ledger is read until the iterator ends or is closed.
        """

    def seen(self, account: str | None) -> list[SeenKey]:
        """Return every key that has counts, of an account or of all accounts."""

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        """Return what an account's buckets within [start, end) grew by late, by bucket, area and time."""

    def put_statement(self, statement: StoredStatement) -> Future[bool]:
        """Store a closed statement; the future has false, and nothing changes, if its period has one."""

    def statements(self, account: str) -> list[StoredStatement]:
        """Return an account's closed statements, by period."""

    def size(self) -> int:
        """Return the bytes on disk."""

    def backlog(self) -> int:
        """Return the number of writes that wait for the next commit."""

    def alive(self) -> bool:
        """Return false once the writer has ended; only a restart of the program starts it again."""

    def writable(self) -> bool:
        """Return false after a failed commit, until a commit or a probe succeeds."""

    def close(self) -> None:
        """Commit all queued writes, then release the files."""
