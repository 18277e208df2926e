"""How fast one side of a connection may send. Pure: `now` is any clock's seconds."""

from __future__ import annotations

from typing import Final

_SHARE: Final = 4  # who has spent everything waits for a quarter of a second's worth, not for each byte


class Pace:
    """A bucket of bytes that fills by `rate` a second and holds one second's; it is full at first."""

    __slots__ = ("_filled", "_rate", "_tokens")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._filled = 0.0

    def room(self, now: float) -> int:
        """Return how many bytes may be read now."""
        self._tokens = min(self._rate, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return max(0, int(self._tokens))

    def spend(self, size: int) -> float:
        """Take what was read; return for how many seconds nothing more is to be read, 0 for none.

        It may be more than there was room for: a TLS record is read whole. The debt is waited for.
        """
        self._tokens -= size
        if self._tokens >= 1:
            return 0.0
        return (max(1.0, self._rate / _SHARE) - self._tokens) / self._rate
