"""Checks of messages from clients. Everything that a client sends is hostile until it passed one of these."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class RefusedError(Exception):
    """A message of a client was refused, and why; the connection stays open."""


def parse(message: str | bytes) -> dict[str, Any]:
    """Return a JSON object. Raises RefusedError."""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        raise RefusedError("send JSON") from None
    if not isinstance(value, dict):
        raise RefusedError("send a JSON object")
    return value


def text(message: dict[str, Any], name: str, *, longest: int) -> str:
    """Return a string of 1 to `longest` printable characters, spaces at its ends removed."""
    value = message.get(name)
    if not isinstance(value, str):
        raise RefusedError(f"{name} must be a string")
    # Control characters and those that turn the direction of text would let a message disguise another.
    value = "".join(each for each in value if each.isprintable()).strip()
    if not 1 <= len(value) <= longest:
        raise RefusedError(f"{name} must have 1 to {longest} characters")
    return value


def number(message: dict[str, Any], name: str, *, least: float, most: float) -> float:
    """Return a finite number from `least` to `most`."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"{name} must be a number")
    if not least <= value <= most:  # also NaN, which compares with nothing, and 1e999
        raise RefusedError(f"{name} must be {least:g} to {most:g}")
    return float(value)


class Bucket:
    """A token bucket: `per_second` messages, and `burst` at once after a pause."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._tokens, self._at = float(burst), clock()

    def take(self) -> None:
        """Take one token. Raises RefusedError when there is none."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            raise RefusedError("too fast: wait a moment")
        self._tokens -= 1
