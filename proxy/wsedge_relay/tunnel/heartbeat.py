"""Heartbeat: the checks of silent legs, and the times of these checks. Pure: no clock, no socket.

Both legs of a tunnel are checked four times an interval; so the data path reads no clock. A leg whose byte
count did not change in three checks is pinged, before it has been silent for a whole interval: a proxy on the
way with an idle timeout of that length must not close it. A leg that stays silent for four more checks, one
interval, is dead; that is within two intervals of its last byte. An idle peer that answers is thus pinged
once an interval.

A wheel replaces a timer per tunnel: adding an entry costs an append. Each tunnel starts at a random place of
its interval and is first pinged after one to three quarters of it; tunnels that were opened together would
otherwise be pinged together for ever.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

CHECKS: Final = 4
PING_AFTER: Final = CHECKS - 1  # the check that saw the last byte may be a quarter later than the byte
TICK_SECONDS: Final = 0.25  # the shortest interval, 1 s, has four checks
_FEW: Final = 64  # fewer abandoned places do not pay for a sweep


T = TypeVar("T", bound="WheelEntry")


class Beat(enum.Enum):
    """The action that follows from the check of a leg."""

    NOTHING = 0
    PING = 1
    DEAD = 2


class CheckedLeg(Protocol):
    """The fields of a leg that a check needs."""

    received: int
    mark: int
    quiet: int
    need: int
    out: bytes
    inject: bytes

    @property
    def stopped(self) -> bool:
        """Whether the relay itself paused the reading of this leg."""


class WheelEntry(Protocol):
    """The field of an entry that the wheel needs: the tick at which it is due, 0 for never."""

    due: int


def check_leg(leg: CheckedLeg) -> Beat:
    """Check a leg, a quarter of an interval after its last check; update `mark` and `quiet`.

    Silence does not count while the relay does not read the leg, while a ping waits for a frame boundary, or
    while the leg accepts no bytes: a stalled leg has a deadline of its own. A leg that stopped inside a frame
    (`need`) could not answer a ping, so its silence counts without one; two such legs of one tunnel would
    otherwise keep each other alive.
    """
    waits = leg.inject and not leg.need
    if leg.received != leg.mark or leg.stopped or waits or leg.out:
        leg.mark = leg.received
        leg.quiet = 0
        return Beat.NOTHING
    leg.quiet += 1
    if leg.quiet == PING_AFTER:
        return Beat.PING
    return Beat.DEAD if leg.quiet >= PING_AFTER + CHECKS else Beat.NOTHING


def ticks_per_check(heartbeat_seconds: int) -> int:
    """Return the number of ticks between two checks, at least 1."""
    return max(1, round(heartbeat_seconds / CHECKS / TICK_SECONDS))


class Wheel(Generic[T]):
    """Entries by the tick at which they are due.

    A moved or removed entry abandons its place in a slot. The place is freed at that slot's tick, or by a
    sweep once most places are abandoned: with an interval of minutes, the places of short connections would
    otherwise pile up.
    """

    def __init__(self) -> None:
        self.tick = 0
        self._slots: dict[int, list[T]] = {}
        self._places = 0
        self._abandoned = 0

    def __len__(self) -> int:
        return self._places

    def add(self, entry: T, *, ticks: int) -> None:
        """Make `entry` due `ticks` (at least 1) from now, and at no other time."""
        due = self.tick + max(1, ticks)
        if entry.due == due:
            return
        self.remove(entry)
        slot = self._slots.setdefault(due, [])
        if slot and slot[-1].due == due:
            due = slot[-1].due  # one object for all entries of a slot: an int has 32 bytes
        entry.due = due
        slot.append(entry)
        self._places += 1

    def remove(self, entry: T) -> None:
        """Make `entry` never due."""
        waited = entry.due > self.tick
        entry.due = 0
        if waited:
            self._abandoned += 1
            if self._abandoned > _FEW and 2 * self._abandoned > self._places:
                self._sweep()

    def turn(self, ticks: int) -> Iterator[T]:
        """Advance by so many ticks and yield the entries that became due, in order."""
        for _ in range(ticks):
            self.tick += 1
            slot = self._slots.pop(self.tick, ())
            self._places -= len(slot)
            self._abandoned -= sum(entry.due != self.tick for entry in slot)
            for entry in slot:
                if entry.due == self.tick:
                    entry.due = 0  # an entry that moved away and back has two places here
                    yield entry

    def _sweep(self) -> None:
        swept = {due: [entry for entry in slot if entry.due == due] for due, slot in self._slots.items()}
        self._slots = {due: slot for due, slot in swept.items() if slot}
        self._places = sum(map(len, self._slots.values()))
        self._abandoned = 0
