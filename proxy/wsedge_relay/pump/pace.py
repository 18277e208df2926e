"""A limit of the rate at which one side of a connection is read. Pure: `now` is any clock's seconds."""

from __future__ import annotations

from typing import Final

_SHARE: Final = 4  # an empty bucket is refilled by a quarter of a second's bytes before the next read


class Pace:
    """A token bucket of bytes: `rate` is both its refill per second and its capacity. It begins full."""

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
        """Subtract the bytes of a read; return the seconds until the next read is allowed, 0 for at once.

        `size` may exceed the room, because a TLS record is read whole. The wait then covers the debt.
        """
        self._tokens -= size
        if self._tokens >= 1:
            return 0.0
        return (max(1.0, self._rate / _SHARE) - self._tokens) / self._rate
