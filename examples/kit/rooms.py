"""Rooms by name, which clients create by entering them: at most so many, whatever names they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Rooms(Generic[T]):
    """At most `most` rooms. An empty one ends with its last visitor, one with content when it must yield."""

    def __init__(self, make: Callable[[], T], *, empty: Callable[[T], bool], most: int = 100) -> None:
        self._make, self._empty, self._most = make, empty, most
        self._rooms: dict[str, T] = {}
        self._visitors: dict[str, int] = {}

    @contextmanager
    def entered(self, name: str) -> Iterator[T | None]:
        """Provide the room, or None when there is no place for a new one."""
        if name not in self._rooms and not self._has_place():
            yield None
            return
        room = self._rooms.setdefault(name, self._make())
        self._visitors[name] = self._visitors.get(name, 0) + 1
        try:
            yield room
        finally:
            self._visitors[name] -= 1
            if not self._visitors[name] and self._empty(room):
                del self._rooms[name], self._visitors[name]

    def _has_place(self) -> bool:
        """Let the oldest room without visitors yield if there is no place otherwise.

        Half of the places are for rooms with content: else a client that enters empty rooms, which costs it
        nothing, would erase what is in all others.
        """
        if len(self._rooms) < self._most:
            return True
        kept = [name for name, room in self._rooms.items() if not self._empty(room)]
        unvisited = [name for name in kept if not self._visitors[name]]
        if not unvisited or len(kept) <= self._most // 2:
            return False
        del self._rooms[unvisited[0]], self._visitors[unvisited[0]]
        return True
