"""What every ledger can do, whatever keeps it."""

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
    """A key that was counted, with its first and last bucket (UTC seconds)."""

    key: Key
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many rows of counts an account may have: in one bucket, and in all that is kept by bucket."""

    of_bucket: int
    of_account: int


class Ledger(Protocol):
    """Keeps five-minute counts per source and answers sums over them."""

    def commit(
        self, report: UsageReport, keys: Mapping[str, str] | None = None, room: Room | None = None
    ) -> Future[tuple[int, ...]]:
        """Merge a report by max(); the future is done once it is on disk.

        `keys` has by account what its rows are stored under. The future gives the rows that their account has
        no `room` for; when there are any, nothing was stored.
        Raises LedgerBusyError at once; the future raises LedgerUnwritableError.
        """

    def put_directory(self, directory: Directory) -> Future[Tenures | None]:
        """Keep a Directory unless a newer one is kept; the future gives who holds what if it was taken."""

    def tenures(self) -> Tenures:
        """Who holds what, and held it."""

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
