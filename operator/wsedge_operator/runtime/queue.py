"""The work queue, which gives a key to one worker at a time; pauses after failures and contested writes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
CONTEST_WINDOW: Final = timedelta(minutes=10)
# The first repetitions may be due to a late watch, by which the operator does not see its own write yet.
REPEATS_BEFORE_REPORT: Final = 4
# NTP may step a clock back by less than this; such a step prolongs each pause by no more than that.
STEP: Final = timedelta(seconds=1)


class WorkQueue(Generic[K]):
    """Keys in order of arrival, each at most once.

    A key that is added while a worker has it is queued again at `done`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin empty; `monotonic` says how long keys wait."""
        self._monotonic = monotonic
        self._waiting: deque[K] = deque()
        # When each waiting key came.
        self._known: dict[K, float] = {}
        self._busy: set[K] = set()
        self._again: set[K] = set()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Request that `key` is reconciled."""
        if key in self._busy:
            self._again.add(key)
        elif key not in self._known:
            self._known[key] = self._monotonic()
            self._waiting.append(key)
            self._filled.set()

    async def get(self) -> K:
        """Return the next key; no other worker gets it before `done`."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        key = self._waiting.popleft()
        del self._known[key]
        self._busy.add(key)
        return key

    def oldest_seconds(self) -> float:
        """Return how long the first key has waited; 0 when none waits."""
        return self._monotonic() - self._known[self._waiting[0]] if self._waiting else 0.0

    def done(self, key: K) -> None:
        """End the work on `key`; queue it again if it was added meanwhile."""
        self._busy.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)


@dataclass
class _Contest:
    """The recent writes for a key, each with the generation for which it was made; the repetitions."""

    written: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    repeats: int = 0
    last: datetime | None = None
    resumes: datetime | None = None


class Contests(Generic[K]):
    """Writes that another client reverts: the same write again, for the same generation of the same object.

    Each repetition within the window is suspended for longer than the one before, whatever requests the key
    meanwhile. Otherwise a controller that reverts each write at once would cause writes, and the creation and
    deletion of pods, without end.

    A clock that is set back ends all contests, which then begin anew: a pause of a second would become as
    long as the step, and a write that must be repeated would wait for hours.
    """

    def __init__(self, random_unit: Callable[[], float] = random.random) -> None:
        """Begin empty; `random_unit` returns numbers from 0 up to 1, for the jitter."""
        self._random_unit = random_unit
        self._contests: dict[K, _Contest] = {}
        self._latest: datetime | None = None

    def note(
        self, key: K, writes: frozenset[str], generation: int, now: datetime
    ) -> tuple[frozenset[str], float]:
        """Record the writes of a reconciliation; return the repeated ones, and their pause in seconds."""
        self._notice(now)
        contest = self._contests.setdefault(key, _Contest())
        self._forget_old(contest, now)
        repeated = frozenset(
            write for write in writes if contest.written.get(write, (None,))[0] == generation
        )
        contest.written.update(dict.fromkeys(writes, (generation, now)))
        if not contest.written:
            del self._contests[key]
        if not repeated:
            return repeated, 0.0
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(contest.repeats, 30))
        pause *= 0.5 + self._random_unit() / 2
        contest.repeats += 1
        contest.last, contest.resumes = now, now + timedelta(seconds=pause)
        return repeated, pause

    def suspended_until(
        self, key: K, writes: frozenset[str], generation: int, now: datetime
    ) -> datetime | None:
        """Return the instant before which these writes are not repeated; None: they may be made now."""
        self._notice(now)
        contest = self._contests.get(key)
        if contest is None or not writes or contest.resumes is None or now >= contest.resumes:
            return None
        is_all_known = all(contest.written.get(write, (None,))[0] == generation for write in writes)
        return contest.resumes if is_all_known else None

    def reported_until(self, key: K, now: datetime) -> datetime | None:
        """Return until when a contest is reported unless it goes on; None: there is none to report."""
        self._notice(now)
        contest = self._contests.get(key)
        if contest is None or contest.last is None or contest.repeats < REPEATS_BEFORE_REPORT:
            return None
        end = contest.last + CONTEST_WINDOW
        return end if now < end else None

    def forget(self, key: K) -> None:
        """Drop the writes of a key whose object is deleted."""
        self._contests.pop(key, None)

    def _notice(self, now: datetime) -> None:
        if self._latest is not None and now < self._latest - STEP:
            self._contests.clear()
        self._latest = now

    @staticmethod
    def _forget_old(contest: _Contest, now: datetime) -> None:
        begin = now - CONTEST_WINDOW
        contest.written = {write: noted for write, noted in contest.written.items() if noted[1] > begin}
        if contest.last is not None and contest.last <= begin:
            contest.repeats, contest.last, contest.resumes = 0, None, None


class Backoff(Generic[K]):
    """Pauses per key.

    A pause doubles with each failure in a row up to a limit. Jitter spreads the retries of many keys that
    failed together.
    """

    def __init__(self, random_unit: Callable[[], float] = random.random) -> None:
        """Begin empty; `random_unit` returns numbers from 0 up to 1, for the jitter."""
        self._random_unit = random_unit
        self._failures: dict[K, int] = {}

    def failed(self, key: K) -> float:
        """Count a failure; return the seconds to wait before the retry."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 30))
        return pause * (0.5 + self._random_unit() / 2)

    def failures(self, key: K) -> int:
        """Return the number of failures of `key` in a row."""
        return self._failures.get(key, 0)

    def __len__(self) -> int:
        return len(self._failures)

    def succeeded(self, key: K) -> None:
        """Reset the failures of `key`."""
        self._failures.pop(key, None)
