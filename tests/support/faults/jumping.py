"""An event loop whose time jumps over waits: minutes of timers within a moment, and always the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    """A selector that does not wait: it advances the loop's time by the wait."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


def run_jumping(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for timers alone, on a loop whose `time()` jumps."""
    selector = _Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()
