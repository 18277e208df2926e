"""Which keys to reconcile, and when: at once, at an instant, or after a delay that merges a burst."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.queue import WorkQueue
from wsedge_operator.runtime.triggers import Key
from wsedge_operator.runtime.wakeups import WakeUps


class Agenda:
    """The work queue and the wake-ups of all keys.

    A key of a kind in `delays` is reconciled that long after the first request, so that a burst merges.
    """

    def __init__(self, clock: Clock, metrics: Metrics, delays: Mapping[str, timedelta] | None = None) -> None:
        """Begin empty."""
        self._clock = clock
        self._metrics = metrics
        self._delays = dict(delays or {})
        self._queue: WorkQueue[Key] = WorkQueue()
        metrics.watch_queue(self._queue.oldest_seconds)
        self._wakeups: WakeUps[Key] = WakeUps()
        self._delayed: set[Key] = set()
        self._requested: set[Key] = set()

    def request(self, key: Key) -> None:
        """Request that `key` is reconciled soon."""
        self._requested.add(key)
        delay = self._delays.get(key.kind)
        if delay is None:
            self._queue.add(key)
            self._measure()
        elif key not in self._delayed:
            self._delayed.add(key)
            self._wakeups.set(key, self._clock.now() + delay)

    def take_request(self, key: Key) -> bool:
        """Return whether `key` was requested since the last call, and did not only come to its instant."""
        was_requested = key in self._requested
        self._requested.discard(key)
        return was_requested

    def schedule(self, key: Key, instant: datetime | None) -> None:
        """Reconcile `key` at `instant` (None: at the next request), unless a delayed request is pending."""
        if key not in self._delayed:
            self._wakeups.set(key, instant)

    def postpone(self, key: Key, instant: datetime) -> None:
        """Reconcile `key`, which failed, at `instant`; replaces a delayed request, which may be earlier."""
        self._wakeups.set(key, instant)

    async def next_key(self) -> Key:
        """Return the next key to reconcile; no other worker gets it before `done`."""
        key = await self._queue.get()
        self._delayed.discard(key)
        return key

    def done(self, key: Key) -> None:
        """Mark a key as reconciled or failed, so that a worker may get it again."""
        self._queue.done(key)
        self._measure()

    async def run(self) -> None:
        """Move each key to the queue at its instant, for ever."""
        await self._wakeups.run(self._clock, self._queue.add)

    def _measure(self) -> None:
        self._metrics.queue.set(len(self._queue))
