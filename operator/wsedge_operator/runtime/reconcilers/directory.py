"""Reconciles the Directory."""

from __future__ import annotations

from datetime import datetime

from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.directory import DirectoryKeeper
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.triggers import Key


class DirectoryReconciler:
    """Sends the Directory to the statistics, at the address to which relays report."""

    def __init__(self, *, keeper: DirectoryKeeper, gatherer: Gatherer, clock: Clock) -> None:
        """Send through `keeper`."""
        self._keeper = keeper
        self._gatherer = gatherer
        self._clock = clock

    async def reconcile(self, key: Key, failures: int) -> datetime | None:  # noqa: ARG002  there is one key
        """Send the Directory if it is due; return when it is due next. Raises UnreachableError."""
        return await self._keeper.put_if_due(self._gatherer.statistics_url, self._clock.now())
