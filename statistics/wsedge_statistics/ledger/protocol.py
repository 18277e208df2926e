"""The interface of every ledger, whatever database stores it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.numbers.series import Key, Selection, Series
from wsedge_statistics.tenure import Tenures


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A key that has counts, with its first and last bucket (UTC seconds)."""

    key: Key
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Room:
    """The most rows of counts that an account may have: in one bucket, and in all stored buckets."""

    of_bucket: int
    of_account: int


class Ledger(Protocol):
    """Stores five-minute counts per source, and returns sums over them."""

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

    def read(self, selection: Selection) -> Series:
        """Return the five-minute sums over a selection. Any thread may call it."""

    def seen(self, account: str | None) -> list[SeenKey]:
        """Return every key that has counts, of an account or of all accounts."""

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
