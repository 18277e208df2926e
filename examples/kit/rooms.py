"""Rooms by name, which clients create by entering them: at most so many, whatever names they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Rooms(Generic[T]):
    """At most `most` rooms. The oldest without visitors yields to a new one; others keep what is in them."""

    def __init__(self, make: Callable[[], T], most: int = 100) -> None:
        self._make, self._most = make, most
        self._rooms: dict[str, T] = {}
        self._visitors: dict[str, int] = {}

    @contextmanager
    def entered(self, name: str) -> Iterator[T | None]:
        """Provide the room, or None when all are in use."""
        if name not in self._rooms and len(self._rooms) >= self._most:
            for empty in [each for each, visitors in self._visitors.items() if visitors == 0][:1]:
                del self._rooms[empty], self._visitors[empty]
        if name not in self._rooms and len(self._rooms) >= self._most:
            yield None
            return
        room = self._rooms.setdefault(name, self._make())
        self._visitors[name] = self._visitors.get(name, 0) + 1
        try:
            yield room
        finally:
            self._visitors[name] -= 1
