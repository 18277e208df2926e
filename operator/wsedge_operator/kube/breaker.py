"""A circuit breaker: how often an API server that fails is called.

    closed ──429, 5xx, no answer──▶ open      one call per pause; each further failure doubles the pause
       ▲                             │
       └────a call of now succeeds───┘

Each key has pauses of its own after a failure, but a thousand keys that fail together would still call a
server that just restarts a thousand times in its first second. While the breaker is open, all calls wait for
their turn, without a deadline: they continue as soon as the server answers, and not after their keys' pauses.

An object for which the API server always answers 500, because a webhook fails, opens the breaker too; the
next call of any other object, a tenth of a second later, closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
# The longest pause that an answer may ask for: an API server asks for a second, a wrong proxy for a day.
LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
# Failures in a row after which the log says so: a webhook's are fewer, between calls that succeed.
_FAILURES_BEFORE_LOG: Final = 4


class Breaker:
    """The state of one API server, as its latest answers show it."""

    def __init__(
        self,
        random_unit: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin closed; `random_unit` returns numbers from 0 up to 1, for the jitter."""
        self._random_unit = random_unit
        self._monotonic = monotonic
        self._failures = 0
        self._epoch = 0
        self._resumes = 0.0
        self._changed = asyncio.Event()

    async def admit(self) -> int:
        """Return when a call may be made; the number is an argument of the call's result."""
        while self._failures:
            pause = self._resumes - self._monotonic()
            if pause <= 0:
                # Not until this call has ended: a call that hangs must not stop all others.
                self._resumes = self._monotonic() + self._pause()
                break
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await changed.wait()
        return self._epoch

    def succeeded(self, admitted: int) -> None:
        """Close, unless the call was admitted before the latest failure: its answer is older than that."""
        if admitted != self._epoch or not self._failures:
            return
        if self._failures >= _FAILURES_BEFORE_LOG:
            log.info("API server answers again", failures=self._failures)
        self._failures = 0
        self._change()

    def failed(self, admitted: int, retry_after: float | None, why: str) -> None:
        """Open, for at least `retry_after` seconds if the answer has that.

        Calls that were under way together count as one failure.
        """
        if admitted == self._epoch:
            self._failures += 1
            self._epoch += 1
            self._resumes = self._monotonic() + self._pause()
            if self._failures == _FAILURES_BEFORE_LOG:
                log.warning("API server fails", error=why)
        if retry_after is not None:
            asked = self._monotonic() + min(LONGEST_RETRY_AFTER_SECONDS, retry_after)
            self._resumes = max(self._resumes, asked)
        self._change()

    def _pause(self) -> float:
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 30))
        return pause * (0.5 + self._random_unit() / 2)

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
