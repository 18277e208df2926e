"""Limits of the rate at which one side of a connection sends. Pure: `now` is any clock's seconds."""

from __future__ import annotations

import math
from typing import Final

from wsedge_relay.pump.frames import FIN, TOO_MANY_CONTROLS, TOO_MANY_FRAMES, TOO_MANY_MESSAGES

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


class FrameRates:
    """Token buckets of frames and of messages: a rate is both the refill per second and the capacity.

    Control frames have a bucket of their own, of the size of that of data frames, so that neither uses up the
    other's. None: no limit. The buckets begin full.
    """

    __slots__ = ("_controls", "_data", "_filled", "_frame_rate", "_message_rate", "_messages")

    def __init__(self, frames: int | None, messages: int | None) -> None:
        self._frame_rate = math.inf if frames is None else float(frames)
        self._message_rate = math.inf if messages is None else float(messages)
        self._data = self._controls = self._frame_rate
        self._messages = self._message_rate
        self._filled = math.inf

    def refill(self, now: float) -> None:
        """Add the tokens of the time since the last call."""
        seconds = max(0.0, now - self._filled)
        self._filled = now
        if seconds:
            self._data = min(self._frame_rate, self._data + seconds * self._frame_rate)
            self._controls = min(self._frame_rate, self._controls + seconds * self._frame_rate)
            self._messages = min(self._message_rate, self._messages + seconds * self._message_rate)

    def spend(self, first: int) -> int:
        """Subtract a frame with this first byte; return 0, or the violation (see frames.VIOLATIONS)."""
        if first & 8:
            self._controls -= 1
            return TOO_MANY_CONTROLS if self._controls < 0 else 0
        self._data -= 1
        if self._data < 0:
            return TOO_MANY_FRAMES
        if first & FIN:
            self._messages -= 1
            if self._messages < 0:
                return TOO_MANY_MESSAGES
        return 0
