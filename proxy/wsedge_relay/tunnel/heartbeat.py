"""Heartbeat: which leg has been silent, and when to look again. Pure: no clock, no socket.

Both legs of a tunnel are looked at four times an interval, so the data path needs no clock of its own: a leg
whose byte count has not moved for three looks is pinged, before it has been silent for a whole interval (a
timeout of that length on its way must not fire); when it stays silent for four more, an interval, it is dead:
within two intervals of its last byte. An idle peer that answers is thus pinged once an interval. A wheel
instead of a timer per tunnel: adding costs an append. Tunnels start at random places in their interval, so
that those of one moment are not pinged in one moment ever after: a first ping comes after one to three
quarters.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

LOOKS: Final = 4
PING_AFTER: Final = LOOKS - 1  # the look that saw the last byte may come a quarter later than it
TICK_SECONDS: Final = 0.25  # the shortest interval, 1 s, in four looks
_FEW: Final = 64  # places left that are not worth a look at all


T = TypeVar("T", bound="Turning")


class Beat(enum.Enum):
    """What a look at a leg says is to be done."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class Listened(Protocol):
    """What a look needs of a leg."""

    received: int
    mark: int
    quiet: int
    need: int
    out: bytes
    inject: bytes

    @property
    def stopped(self) -> bool:
        """Whether the relay itself does not read this leg now."""


class Turning(Protocol):
    """What the wheel needs of an entry: the tick it is due at, 0 for never."""

    due: int


def look(leg: Listened) -> Beat:
    """Look at a leg, a quarter of an interval after the last look.

    A leg that the relay does not read, or that the ping could not reach yet, is not blamed for its silence; a
    leg that takes no bytes is a stall, which has its own deadline. One that stands still inside a frame could
    not answer a ping anyway, so that it need not have got one: else two such legs would wait for each other.
    """
    waits = leg.inject and not leg.need
    if leg.received != leg.mark or leg.stopped or waits or leg.out:
        leg.mark = leg.received
        leg.quiet = 0
        return Beat.NOTHING
    leg.quiet += 1
    if leg.quiet == PING_AFTER:
        return Beat.PING
    return Beat.DEAD if leg.quiet >= PING_AFTER + LOOKS else Beat.NOTHING


def ticks_per_look(heartbeat_seconds: int) -> int:
    """Return how many ticks lie between two looks."""
    return max(1, round(heartbeat_seconds / LOOKS / TICK_SECONDS))


class Wheel(Generic[T]):
    """Entries by the tick they are due at.

    An entry that is moved or removed leaves its old place at that place's tick, or as soon as such places are
    the most: with an interval of minutes, clients that come and go would otherwise pile up meanwhile.
    """

    def __init__(self) -> None:
        self.tick = 0
        self._slots: dict[int, list[T]] = {}
        self._places = 0
        self._left = 0  # of these, places that an entry has left

    def __len__(self) -> int:
        return self._places

    def add(self, entry: T, *, ticks: int) -> None:
        """Let `entry` come up `ticks` (at least 1) from now, and at no other time."""
        due = self.tick + max(1, ticks)
        if entry.due == due:
            return
        self.remove(entry)
        entry.due = due
        self._slots.setdefault(due, []).append(entry)
        self._places += 1

    def remove(self, entry: T) -> None:
        """Let `entry` come up no more."""
        waited = entry.due > self.tick
        entry.due = 0
        if waited:
            self._left += 1
            if self._left > _FEW and 2 * self._left > self._places:
                self._sweep()

    def turn(self, ticks: int) -> Iterator[T]:
        """Go on by so many ticks and yield what came up, in order."""
        for _ in range(ticks):
            self.tick += 1
            slot = self._slots.pop(self.tick, ())
            self._places -= len(slot)
            self._left -= sum(entry.due != self.tick for entry in slot)
            for entry in slot:
                if entry.due == self.tick:
                    entry.due = 0  # it may have two places here, moved away and back
                    yield entry

    def _sweep(self) -> None:
        swept = {due: [entry for entry in slot if entry.due == due] for due, slot in self._slots.items()}
        self._slots = {due: slot for due, slot in swept.items() if slot}
        self._places = sum(map(len, self._slots.values()))
        self._left = 0
