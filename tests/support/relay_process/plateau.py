"""What a relay process holds, measured when nothing is under way: it must not grow with what it served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.relay_process.process import DEADLINE, RelayProcess

# Between a plateau and the end: Python takes memory in arenas of 1 MiB, so that one may come or go; measured
# are 0.3 MiB either way. Half a kilobyte for each of the last 6,667 clients of 10,000 was 3.5 MiB.
GROWTH_BYTES = 3 << 19


class Held(NamedTuple):
    """Memory of a process's own (anonymous, in bytes) and its descriptors.

    Not PSS: that grows by megabytes when other processes that have the same libraries mapped end.
    """

    memory: int
    descriptors: int


def held(pid: int) -> Held:
    """Return what a process holds now."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    anonymous = [line.split()[1] for line in rollup.splitlines() if line.startswith(("Anonymous:", "Swap:"))]
    return Held(sum(map(int, anonymous)) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())))


async def settled(
    relay: RelayProcess, *, descriptors: int, quiet: Callable[[], object] = lambda: True
) -> Held:
    """Return what the relay holds once it has so many descriptors again, and `quiet` says yes.

    `descriptors` counts none for a question at the admin port.
    """
    try:
        async with asyncio.timeout(DEADLINE):
            while held(relay.pid).descriptors != descriptors or not quiet():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(
            f"{held(relay.pid)}, but it had {descriptors} descriptors, or it is not quiet"
        ) from None
    return held(relay.pid)


def check_flat(plateau: Held, end: Held) -> None:
    """Compare what was held after a first part with the end."""
    assert end.descriptors == plateau.descriptors
    assert end.memory - plateau.memory < GROWTH_BYTES, (plateau, end)
