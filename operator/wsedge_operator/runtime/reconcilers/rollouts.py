"""Reconciles the turns of all domains at the end of a pause."""

from __future__ import annotations

from datetime import datetime

from wsedge_operator.runtime.clock import Clock
from wsedge_operator.runtime.stage import Stage
from wsedge_operator.runtime.triggers import Key


class RolloutsReconciler:
    """Lets rollouts continue when a pause is over; all other turns follow from the keys of domains."""

    def __init__(self, *, stage: Stage, clock: Clock) -> None:
        """Review `stage`."""
        self._stage = stage
        self._clock = clock

    async def reconcile(self, key: Key, failures: int) -> datetime | None:  # noqa: ARG002  there is one key
        """Compute the turns; return the end of the present pause."""
        return self._stage.review(self._clock.now())
