"""Progress of long steps, as lines on the terminal."""

from __future__ import annotations

import sys
import time


class ProgressPrinter:
    """Writes steps to stderr, with the time since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        """Write one step as one line."""
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)  # noqa: T201
