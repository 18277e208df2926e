"""The operator with a clock that is ahead of the machine's by the seconds in a file: `python -m … FILE`.

The file is read at SIGUSR1, so that dates (midnights of plans) pass. Only the operator's own decisions see
this clock: the Lease, deadlines of calls and the API server have the machine's.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import support.operator.as_installed  # noqa: F401
from wsedge_operator.main import main


class SkewedClock:
    """A clock ahead of the machine's. A wait ends when the difference changes, as it does after a suspend."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta(0)
        self._moved: asyncio.Event | None = None

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        if self._moved is None:
            self._moved = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._move)
        waits = {asyncio.ensure_future(each.wait()) for each in (event, self._moved)}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        self._moved.clear()

    def _move(self) -> None:
        self._ahead = timedelta(seconds=float(self._file.read_text()))
        if self._moved is not None:
            self._moved.set()


if __name__ == "__main__":
    main([], clock=SkewedClock(Path(sys.argv[1])))
