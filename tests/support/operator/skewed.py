"""The operator with a clock that is ahead of the machine's by the seconds in a file: `python -m … FILE`.

Dates (midnights of plans) pass when the file changes. Only the operator's own decisions see this clock: the
Lease, deadlines of calls and the API server have the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wsedge_operator.main import main

_LOOK_SECONDS: Final = 0.1


class SkewedClock:
    """A clock ahead of the machine's. A wait ends when the difference changes, as it does after a suspend."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def _ahead(self) -> float:
        return float(self._file.read_text() or 0)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead())

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        before, loop = self._ahead(), asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._ahead() == before and (left := end - loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await event.wait()
                    return


if __name__ == "__main__":
    main([], clock=SkewedClock(Path(sys.argv[1])))
