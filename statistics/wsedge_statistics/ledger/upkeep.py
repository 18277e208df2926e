"""The schedule of a ledger's upkeep, for any store: rollups first, then retention.

Each step is short, since reports wait for it: a chunk of rollups, or one deletion. Steps follow each other
without a pause until nothing is left, then once per ROLLUP_SECONDS. Deletion runs once per PRUNE_SECONDS: it
reads the oldest row of each tier, and what is due changes with the day only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

from wsedge_statistics.errors import LedgerDamagedError
from wsedge_statistics.numbers.series import DAY, HOUR

ROLLUP_SECONDS: Final = 30.0
PRUNE_SECONDS: Final = 3600.0
# Rollups in one transaction: a chunk needs about 0.1 s on one core.
HOUR_CHUNK: Final = 100
DAY_CHUNK: Final = 25

log = structlog.get_logger()


class Tiers(Protocol):
    """The tiers of a store. Each method is one transaction and may raise LedgerUnwritableError."""

    def roll_hours(self, *, limit: int) -> int:
        """Recompute up to `limit` dirty hours; return how many. Raises LedgerDamagedError."""

    def roll_days(self, *, before: int, limit: int) -> int:
        """Recompute up to `limit` dirty days that began before `before`; return how many.

        Raises LedgerDamagedError.
        """

    def prune(self, now: datetime) -> int:
        """Delete one step of the rows past their retention; return how many."""


class Upkeep:
    """Decides on the steps of upkeep. `clock` decides what is due, `monotonic` how often it runs."""

    def __init__(
        self,
        tiers: Tiers,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tiers = tiers
        self._clock = clock
        self._monotonic = monotonic
        self._pruned = 0
        self._next_prune = 0.0

    def step(self) -> float:
        """Carry out one step; return the seconds until the next step, 0 while more is due.

        A damaged rollup postpones the remaining rollups and retention: rows must not be deleted before their
        rollup. Raises LedgerUnwritableError.
        """
        try:
            if self._roll():
                return 0.0
        except LedgerDamagedError as error:
            log.error("rollup cannot be read", error=str(error))
            return ROLLUP_SECONDS
        return 0.0 if self._prune() else ROLLUP_SECONDS

    def _roll(self) -> int:
        """Recompute a chunk of rollups; return how many."""
        # Days that ended at least an hour ago: their late reports have arrived, so most are rolled once only.
        ended_days = int(self._clock().timestamp()) - DAY - HOUR
        hours = self._tiers.roll_hours(limit=HOUR_CHUNK)
        return hours + self._tiers.roll_days(before=ended_days, limit=DAY_CHUNK)

    def _prune(self) -> int:
        """Delete one step, unless the last deletion ended within PRUNE_SECONDS; return the number of rows."""
        if self._monotonic() < self._next_prune:
            return 0
        rows = self._tiers.prune(self._clock())
        self._pruned += rows
        if rows:
            return rows
        if self._pruned:
            log.info("ledger pruned", rows=self._pruned)
        self._pruned = 0
        self._next_prune = self._monotonic() + PRUNE_SECONDS
        return 0
