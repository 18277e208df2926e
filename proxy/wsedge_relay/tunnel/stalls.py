"""Legs that accept no bytes: since when, and which of them are to be given up. Pure: no clock, no socket."""

from __future__ import annotations

from collections.abc import Collection

from wsedge_relay.pump.leg import Leg


class Stalls:
    """The legs for which bytes wait, with the count of bytes at which each stands, and since when."""

    def __init__(self) -> None:
        self._stands: dict[Leg, tuple[int, float]] = {}

    def due(self, backed: Collection[Leg], now: float) -> list[Leg]:
        """Return the legs that accepted no byte for their domain's `stallSeconds`, each once.

        `backed` are all legs for which bytes wait.
        """
        for leg in [leg for leg in self._stands if leg not in backed]:
            del self._stands[leg]
        due = []
        for leg in backed:
            passed, since = self._stands.get(leg, (-1, now))
            if passed != leg.peer.passed:
                self._stands[leg] = (leg.peer.passed, now)
            elif now - since >= leg.tunnel.site.domain.limits.stallSeconds:
                del self._stands[leg]
                due.append(leg)
        return due

    def forget(self, leg: Leg) -> None:
        """Forget a leg that has ended."""
        self._stands.pop(leg, None)
