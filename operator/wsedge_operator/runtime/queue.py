"""The work queue: which objects to look at, each by one worker at a time; and how long to leave one alone."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0


class WorkQueue(Generic[K]):
    """Keys in order of arrival, each at most once.

    A key that comes while it is worked on is given out again after.
    """

    def __init__(self) -> None:
        self._waiting: deque[K] = deque()
        self._known: set[K] = set()
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Ask for a look at `key`."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._known:
            self._known.add(key)
            self._waiting.append(key)
            self._filled.set()

    async def take(self) -> K:
        """Return the next key; nobody else gets it before `done`."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key = self._waiting.popleft()
        self._known.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: K) -> None:
        """Give `key` back."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)


class Repeats(Generic[K]):
    """What the last look at each key wrote, to notice what did not last."""

    def __init__(self) -> None:
        self._written: dict[K, frozenset[str]] = {}

    def note(self, key: K, writes: frozenset[str]) -> frozenset[str]:
        """Note the writes of a look; return those that the look before it had made already."""
        before = self._written.pop(key, frozenset())
        if writes:
            self._written[key] = writes
        return writes & before


class Backoff(Generic[K]):
    """Pauses per key.

    Doubled with each failure in a row up to a limit, with jitter, so that many do not march in step.
    """

    def __init__(self, random_unit: Callable[[], float] = random.random) -> None:
        """Take jitter from `random_unit`, which gives numbers from 0 up to 1."""
        self._random_unit = random_unit
        self._failures: dict[K, int] = {}

    def failed(self, key: K) -> float:
        """Note a failure and return the seconds to wait before the next try."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 30))
        return pause * (0.5 + self._random_unit() / 2)

    def succeeded(self, key: K) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)
