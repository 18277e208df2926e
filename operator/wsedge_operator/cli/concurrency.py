"""Many calls at a time, with a bound, and what a terminal shows meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TextIO, TypeVar

AT_ONCE: Final = 16  # calls: an API server gives one user tens at a time
_AFTER: Final = 2.0  # seconds
_EVERY: Final = 0.2
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Progress:
    """A line on a terminal about calls that take longer than two seconds; nothing where it is no terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_shown = stream.isatty()
        self._next = clock() + _AFTER
        self._is_there = False

    def note(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` are done."""
        if self._is_shown and self._clock() >= self._next:
            self._next = self._clock() + _EVERY
            self._is_there = True
            self._stream.write(f"\r\x1b[K{done} of {total} {what}")
            self._stream.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._is_there:
            self._is_there = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def each(
    call: Callable[[_Item], _Result], items: Sequence[_Item], progress: Progress, what: str
) -> list[_Result]:
    """Return the results of calls in the order of `items`; the first error ends all.

    A signal does not wait for the calls under way: they end with the proxy that they go through.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        return list(_counted(pool.map(call, items), len(items), progress, what))
    finally:
        progress.clear()
        pool.shutdown(wait=False, cancel_futures=True)


def _counted(results: Iterable[_Result], total: int, progress: Progress, what: str) -> Iterable[_Result]:
    for done, result in enumerate(results, start=1):
        yield result
        progress.note(done, total, what)
