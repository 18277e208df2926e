"""When to reconcile a key without an event: one heap of instants against the wall clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Final, Generic, TypeVar

from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.queue import STEP

K = TypeVar("K", bound=Hashable)

# The longest sleep: a timer does not count the time for which the machine is suspended, and does not notice a
# change of its clock.
LONGEST_SLEEP_SECONDS: Final = 60.0


class WakeUps(Generic[K]):
    """At most one instant per key."""

    def __init__(self) -> None:
        self._at: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._latest: datetime | None = None

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: K, instant: datetime | None) -> None:
        """Wake `key` at `instant` (UTC), in place of the instant set before; None: not at all."""
        if self._at.get(key) == instant:
            return
        if instant is None:
            self._at.pop(key, None)
            return
        self._at[key] = instant
        heapq.heappush(self._heap, (instant, next(self._order), key))
        self._changed.set()

    def due(self, now: datetime) -> list[K]:
        """Remove and return the keys whose instant has passed; all keys when the clock was set back.

        Otherwise a pause of a second would become as long as the step. A key that is reconciled too early is
        scheduled again.
        """
        was_set_back = self._latest is not None and now < self._latest - STEP
        self._latest = now
        due: list[K] = []
        if was_set_back:
            due += self._at
            self._at.clear()
            self._heap.clear()
            return due
        while self._heap and (self._is_stale() or self._heap[0][0] <= now):
            instant, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == instant:
                del self._at[key]
                due.append(key)
        return due

    def pause(self, now: datetime) -> float:
        """Return the seconds to sleep before the next `due`."""
        while self._heap and self._is_stale():
            heapq.heappop(self._heap)
        if not self._heap:
            return LONGEST_SLEEP_SECONDS
        return min(LONGEST_SLEEP_SECONDS, max(0.0, (self._heap[0][0] - now).total_seconds()))

    def _is_stale(self) -> bool:
        instant, _, key = self._heap[0]
        return self._at.get(key) != instant

    async def run(self, clock: Clock, wake: Callable[[K], None]) -> None:
        """Call `wake` for each key at its instant, for ever."""
        while True:
            self._changed.clear()
            for key in self.due(clock.now()):
                wake(key)
            await clock.wait(self._changed, self.pause(clock.now()))
