"""How fast the ledger grows, and when its disk is full at this rate. Pure.

The size is noted at most once per NOTE_SECONDS, at scrapes, and the rate is that over the last day at most.
Files of a database shrink and grow within minutes, so nothing is said about less than SHORTEST seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

NOTE_SECONDS: Final = 600.0
SHORTEST: Final = 3600.0
_DAY: Final = 86_400.0


class Growth:
    """Sizes of the ledger over the last day. Times are of a monotonic clock."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque(maxlen=int(_DAY / NOTE_SECONDS) + 1)

    def note(self, size: int, *, now: float) -> None:
        """Note the size in bytes."""
        if not self._noted or now - self._noted[-1][0] >= NOTE_SECONDS:
            self._noted.append((now, size))
        while now - self._noted[0][0] > _DAY:
            self._noted.popleft()

    def per_day(self) -> float:
        """Return the bytes by which the ledger grows in a day; NaN while too little time has passed."""
        if not self._noted:
            return math.nan
        (began, first), (ended, last) = self._noted[0], self._noted[-1]
        if ended - began < SHORTEST:
            return math.nan
        return (last - first) / (ended - began) * _DAY

    def days_until(self, free: int) -> float:
        """Return the days until `free` bytes are used; infinite while the ledger does not grow, or NaN."""
        rate = self.per_day()
        return math.inf if rate <= 0 else free / rate
