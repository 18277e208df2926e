"""Closes spread over time: if all tunnels closed at once, all their clients would reconnect at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
_JITTER: Final = 0.1


def due(count: int, *, elapsed: float, seconds: float) -> int:
    """Return how many of `count` are to be closed by now; the first at once, the last before the end."""
    if elapsed >= seconds:
        return count
    return min(count, int(elapsed / seconds * count) + 1)


def seconds_left(max_age: float, *, lived: float, chance: float) -> float:
    """Return the seconds after which a tunnel of age `lived` is to be closed.

    Its own maximum age is within a tenth of `max_age`, chosen by `chance` (0 to 1). A tunnel that is older
    already, because the limit is new, is closed within a tenth of `max_age` from now.
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
