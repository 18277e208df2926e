"""A thread that learns of the Directories which other processes store in the same ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from wsedge_statistics.contract import Directory
from wsedge_statistics.errors import LedgerError
from wsedge_statistics.tenure import Tenures

FOLLOW_SECONDS: Final = 5.0

Changed = Callable[[Directory | None, Tenures], None]
log = structlog.get_logger()


class Followed(Protocol):
    """A ledger that several processes share."""

    def directory_serial(self) -> int:
        """Return a number that grows with each stored Directory."""

    def directory(self) -> Directory | None:
        """See Ledger."""

    def tenures(self) -> Tenures:
        """See Ledger."""


@contextmanager
def following(ledger: Followed, changed: Changed, *, seconds: float = FOLLOW_SECONDS) -> Iterator[None]:
    """Call `changed` on a thread for each new Directory, also for that of the start, until the block ends."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_follow, args=(ledger, changed, ended, seconds), name="directory", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(ledger: Followed, changed: Changed, ended: threading.Event, seconds: float) -> None:
    known: int | None = None
    while not ended.wait(seconds):
        try:
            serial = ledger.directory_serial()
            if serial != known:
                changed(ledger.directory(), ledger.tenures())
                known = serial
        except LedgerError as error:
            log.warning("directory cannot be read", error=str(error))
