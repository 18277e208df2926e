"""Memory and descriptors of an idle relay process, which must not grow with the traffic before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from support.relay_process.process import DEADLINE, RelayProcess

# Between a plateau and the end: Python allocates arenas of 1 MiB, so one may be added or freed; measured
# are 0.3 MiB either way. Half a kilobyte for each of the last 6,667 clients of 10,000 was 3.5 MiB.
GROWTH_BYTES = 3 << 19


class Held(NamedTuple):
    """A process's own memory (anonymous, in bytes) and its descriptors.

    Not PSS, which grows by megabytes when other processes with the same libraries end.
    """

    memory: int
    descriptors: int


def held(pid: int) -> Held:
    """Return memory and descriptors of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    anonymous = [line.split()[1] for line in rollup.splitlines() if line.startswith(("Anonymous:", "Swap:"))]
    return Held(sum(map(int, anonymous)) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())))


async def settled(
    relay: RelayProcess, *, descriptors: int, quiet: Callable[[], object] = lambda: True
) -> Held:
    """Return memory and descriptors once the relay has this number of descriptors, and `quiet` is true.

    `descriptors` does not count one for a request to the admin port.
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
    """Compare memory and descriptors after a first part with those at the end."""
    assert end.descriptors == plateau.descriptors
    assert end.memory - plateau.memory < GROWTH_BYTES, (plateau, end)
