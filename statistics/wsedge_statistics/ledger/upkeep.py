"""The schedule of a ledger's upkeep, for any store: totals, then a migration, then retention.

Each step is short, since reports wait for it: some totals, a bucket, or one deletion. Steps follow each other
without a pause until nothing is left, then once per ROUND_SECONDS: a total is recomputed at most once in a
round, however often its rows change. Deletion runs once per PRUNE_SECONDS: what is due changes with the day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

import structlog

ROUND_SECONDS: Final = 30.0
PRUNE_SECONDS: Final = 3600.0

log = structlog.get_logger()


class Tiers(Protocol):
    """The totals of a store. Each method is one transaction and may raise LedgerUnwritableError."""

    def begin_round(self) -> None:
        """Begin a round: totals that become dirty from now on are left for the next round."""

    def refresh(self) -> int:
        """Recompute some of the round's dirty totals; return how many."""

    def migrate(self) -> int:
        """Move one step of an older form of the ledger; return 0 when nothing is left of it."""

    def prune(self, now: datetime) -> int:
        """Delete one step of what is past its retention; return how much."""


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
        self._began: float | None = None
        self._pruned = 0
        self._next_prune = 0.0

    def step(self) -> float:
        """Carry out one step; return the seconds until the next step, 0 while more is due.

        Raises LedgerUnwritableError.
        """
        if self._began is None:
            self._tiers.begin_round()
            self._began = self._monotonic()
        if self._tiers.refresh() or self._tiers.migrate() or self._prune():
            return 0.0
        # a round that took longer is followed by the next at once
        rest = max(0.0, self._began + ROUND_SECONDS - self._monotonic())
        self._began = None
        return rest

    def _prune(self) -> int:
        """Delete one step, unless the last deletion ended within PRUNE_SECONDS; return how much."""
        if self._monotonic() < self._next_prune:
            return 0
        deleted = self._tiers.prune(self._clock())
        self._pruned += deleted
        if deleted:
            return deleted
        if self._pruned:
            log.info("ledger pruned", deleted=self._pruned)
        self._pruned = 0
        self._next_prune = self._monotonic() + PRUNE_SECONDS
        return 0
