"""Budgets of reads: a deadline, an end when nobody waits any more, and turns that accounts share.

A face of the program sets the `Stop` of a request (`begin`); it reaches the thread that reads by the context.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

READ_SECONDS: Final = 10.0
MOST_READS: Final = 4  # at once; further reads wait
READS_OF_ACCOUNT: Final = 2  # of these, so that an account's heavy questions leave turns to others


class Stop:
    """Ends the reads of one request. Any thread may ask and cancel."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._cancelled = False

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return 0.0 if self._cancelled else max(0.0, self._until - self._monotonic())

    def cancel(self) -> None:
        """End the reads: nobody waits for their answers."""
        self._cancelled = True

    def due(self) -> bool:
        """Return whether reads have to end."""
        return not self.left()


_CURRENT: Final[ContextVar[Stop | None]] = ContextVar("stop", default=None)


@contextmanager
def begin(stop: Stop) -> Iterator[None]:
    """Let reads within the block end with `stop`."""
    token = _CURRENT.set(stop)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Stop:
    """Return the Stop of the request under way; a new one of READ_SECONDS outside of requests."""
    return _CURRENT.get() or Stop(READ_SECONDS)


@dataclass(slots=True)
class _Share:
    turns: asyncio.Semaphore
    users: int = 0


@dataclass
class Turns:
    """At most `most` reads at once, and at most `each` of one account."""

    most: int = MOST_READS
    each: int = READS_OF_ACCOUNT
    _all: asyncio.Semaphore = field(init=False)
    _shares: dict[str | None, _Share] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._all = asyncio.Semaphore(self.most)

    @asynccontextmanager
    async def of(self, account: str | None) -> AsyncIterator[None]:
        """Wait for a turn of an account (None: all accounts), and keep it for the block."""
        share = self._shares.setdefault(account, _Share(asyncio.Semaphore(self.each)))
        share.users += 1
        try:
            async with share.turns, self._all:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[account]
