"""What a relay counts of its own work, per domain: plain integers for the metrics.

Bytes, messages, connections and HTTP codes are counted by `usage`, which also bills them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Side = Literal["client", "origin"]

# Every other code is counted as 0, so that a peer cannot make up label values.
KNOWN_CLOSE_CODES: Final = frozenset((*range(1000, 1004), 1005, *range(1007, 1016), 3000, 3003, 3008))


@dataclass(slots=True)
class LegCounters:
    """Counts of one side of a domain's tunnels. `rtt_seconds_sum` is over all `pongs`."""

    close_codes: dict[int, int] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)
    pings: int = 0
    pongs: int = 0
    rtt_seconds_sum: float = 0.0
    dead: int = 0
    stalled: int = 0
    broken: int = 0  # ended without a Close

    def closed_with(self, code: int) -> None:
        """Count a Close frame that came from this side."""
        known = code if code in KNOWN_CLOSE_CODES else 0
        self.close_codes[known] = self.close_codes.get(known, 0) + 1

    def violated(self, rule: str) -> None:
        """Count a broken frame rule."""
        self.violations[rule] = self.violations.get(rule, 0) + 1


@dataclass(slots=True)
class DomainCounters:
    """Counts of one domain; they only rise.

    `handshakes` is by (HTTP status, reason of refusal or ""), `origin_failures` by `OriginFailed.reason`.
    """

    client: LegCounters = field(default_factory=LegCounters)
    origin: LegCounters = field(default_factory=LegCounters)
    handshakes: dict[tuple[int, str], int] = field(default_factory=dict)
    origin_failures: dict[str, int] = field(default_factory=dict)

    def handshake(self, status: int, reason: str) -> None:
        """Count an answered handshake."""
        key = (status if 100 <= status <= 599 else 500, reason)
        self.handshakes[key] = self.handshakes.get(key, 0) + 1

    def origin_failed(self, reason: str) -> None:
        """Count one failed attempt at an origin."""
        self.origin_failures[reason] = self.origin_failures.get(reason, 0) + 1
