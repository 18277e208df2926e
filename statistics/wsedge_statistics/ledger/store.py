"""What every ledger can do, whatever keeps it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.rollup import Key, Selection, Series


@dataclass(frozen=True, slots=True)
class SeenKey:
    """A key that was counted, with its first and last bucket (UTC seconds)."""

    key: Key
    first: int
    last: int


class Ledger(Protocol):
    """Keeps five-minute counts per source and answers sums over them."""

    def commit(self, report: UsageReport) -> Future[None]:
        """Merge a report by max(); the future is done once it is on disk.

        Raises LedgerBusyError at once; the future raises LedgerUnwritableError.
        """

    def put_directory(self, directory: Directory) -> Future[bool]:
        """Keep a Directory unless a newer one is kept; the future says whether it was taken."""

    def directory(self) -> Directory | None:
        """The Directory that is kept; None also when this program cannot read it."""

    def read(self, selection: Selection) -> Series:
        """The five-minute sums over everything that is selected. May be called from any thread."""

    def seen(self, account: str | None) -> list[SeenKey]:
        """Every key that was ever counted (and is still kept) for an account, or for all."""

    def size(self) -> int:
        """Bytes on disk."""

    def backlog(self) -> int:
        """Writes that wait for the next commit."""

    def alive(self) -> bool:
        """False once the writer has ended, which only a restart mends."""

    def writable(self) -> bool:
        """False after a failed commit, until one succeeds again."""

    def close(self) -> None:
        """Commit what is queued, then let go of the files."""
