"""The time that decides what is past its retention: more than one clock has to agree on it. Pure.

A clock that jumps ahead must delete nothing that a corrected clock would still answer. So the time of
deletion is the earliest of three:

    the clock now         a clock that is behind deletes nothing
    the newest counts     and IDLE: relays have clocks of their own; without reports nothing is deleted
    the remembered time   which the ledger stores, and which runs at most CATCH_UP times as fast as the
                          monotonic clock of the process

After an outage of ten days the remembered time is right again within a day. A clock that is 400 days ahead
for an hour moves it by ten hours, less than the day by which deletions are late anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

CATCH_UP: Final = 10
IDLE: Final = timedelta(days=2)
BEHIND: Final = timedelta(days=2)  # such a difference to the clock is reported


@dataclass(frozen=True, slots=True)
class DeletionTime:
    """The remembered time, and the time by which deletions are decided."""

    remembered: datetime
    trusted: datetime

    def behind(self, now: datetime) -> timedelta:
        """Return how far deletions are behind the clock."""
        return max(timedelta(), now - self.trusted)


def deletion_time(
    now: datetime, *, newest: datetime | None, remembered: datetime | None, ran: float
) -> DeletionTime:
    """Return the times after the process ran for `ran` seconds since `remembered` was computed.

    `newest` is the start of the newest bucket that has counts. A ledger that remembers no time yet begins
    with its newest counts.
    """
    known = now if newest is None else min(now, newest + IDLE)
    if remembered is None:
        return DeletionTime(known, known)
    allowed = min(now, remembered + timedelta(seconds=CATCH_UP * ran))
    after = max(remembered, allowed)
    return DeletionTime(after, min(after, known))
