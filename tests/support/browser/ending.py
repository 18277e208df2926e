"""The end of a browser: its program and every process that it has started."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import Final

_END_SECONDS: Final = 30


async def end(process: asyncio.subprocess.Process) -> None:
    """Wait some seconds for the browser's end, then kill all its processes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    with suppress(ProcessLookupError):
        async with asyncio.timeout(_END_SECONDS):
            while True:  # children of a child, for which there is no SIGCHLD
                _bury(process.pid)
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.sleep(0.01)


def _bury(group: int) -> None:
    """Reap the group's processes that this process adopted: tests of the devcluster make it a subreaper."""
    with suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
