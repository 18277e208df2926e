"""A bound for work whose time may grow with the square of its input."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_most_cpu_seconds(seconds: float) -> Iterator[None]:
    """End what runs in it when this process has used so much of a processor, which other processes do not
    change. Give a multiple of what it needs, and an input for which a square would need hours.
    """

    def end(_number: int, _frame: object) -> None:
        raise AssertionError(f"it needs more than {seconds:g} seconds of a processor")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
