"""Spread closes over time: clients of tunnels that closed at once would also reconnect at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
_JITTER: Final = 0.1


def due(count: int, *, elapsed: float, seconds: float) -> int:
    """Return the number of `count` items that are due `elapsed` seconds after the start.

    The first is due at once, the last before `seconds` have passed.
    """
    if elapsed >= seconds:
        return count
    return min(count, int(elapsed / seconds * count) + 1)


def seconds_left(max_age: float, *, lived: float, chance: float) -> float:
    """Return the seconds from now until the close of a tunnel whose age is `lived` seconds.

    `chance` (0 to 1) chooses the tunnel's own maximum age, within a tenth of `max_age`, so that tunnels that
    were opened together are not closed together. A tunnel that is older already, because the limit is new, is
    closed within a tenth of `max_age` from now.
    """
    jitter = _JITTER * max_age
    left = max_age - jitter + 2 * jitter * chance - lived
    return left if left > 0 else jitter * chance


async def spread(items: Sequence[T], seconds: float, close: Callable[[T], object]) -> None:
    """Close every item, evenly over `seconds`."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    done = 0
    while done < len(items):
        until = due(len(items), elapsed=loop.time() - start, seconds=seconds)
        for item in items[done:until]:
            close(item)
        done = until
        if done < len(items):
            await asyncio.sleep(start + done * seconds / len(items) - loop.time())
