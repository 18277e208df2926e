"""Reconciles the Directory."""

from __future__ import annotations

from datetime import datetime

from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.directory import DirectoryKeeper
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.triggers import Key


class DirectoryReconciler:
    """Puts the Directory to the statistics, at the address that the gatherer gives the relays too."""

    def __init__(self, *, keeper: DirectoryKeeper, gatherer: Gatherer, clock: Clock) -> None:
        """Put through `keeper`."""
        self._keeper = keeper
        self._gatherer = gatherer
        self._clock = clock

    async def reconcile(self, key: Key, failures: int) -> datetime | None:  # noqa: ARG002  there is one key
        """Put the Directory if it is due; return when it is due next. Raises UnreachableError."""
        return await self._keeper.keep(self._gatherer.statistics_url, self._clock.now())
