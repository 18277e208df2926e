"""What a relay counts of its own work, per domain: plain integers for the metrics.

Bytes, messages, connections and HTTP codes are counted by `usage`, which also bills them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

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

    def refusals(self) -> dict[str, int]:
        """Return the handshakes that ended in no tunnel, by reason."""
        summed: dict[str, int] = {}
        for (_, reason), times in self.handshakes.items():
            if reason:
                summed[reason] = summed.get(reason, 0) + times
        return summed

    def origin_failed(self, reason: str) -> None:
        """Count one failed attempt at an origin."""
        self.origin_failures[reason] = self.origin_failures.get(reason, 0) + 1


class Family(NamedTuple):
    """One rising metric: its name without prefix and `_total`, what it is, its labels and their values."""

    name: str
    text: str
    labels: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], float]]


def families(domains: Mapping[str, DomainCounters]) -> Iterator[Family]:
    """Return every count as metrics, by domain and, where a leg is meant, by side."""
    legs = [
        ((name, side), leg)
        for name, counters in domains.items()
        for side, leg in (("client", counters.client), ("origin", counters.origin))
    ]
    for name, text, value in _LEG_COUNTS:
        yield Family(name, text, ("domain", "side"), [(labels, value(leg)) for labels, leg in legs])
    yield Family(
        "close_frames",
        "Close frames that came from a side, by code (0: an unknown one).",
        ("domain", "side", "code"),
        [((*at, str(code)), times) for at, leg in legs for code, times in sorted(leg.close_codes.items())],
    )
    yield Family(
        "frame_violations",
        "Broken frame rules, by the side that broke them.",
        ("domain", "side", "rule"),
        [((*at, rule), times) for at, leg in legs for rule, times in sorted(leg.violations.items())],
    )
    yield Family(
        "handshake_refusals",
        "Handshakes that ended in no tunnel, by reason.",
        ("domain", "reason"),
        [
            ((name, reason), times)
            for name, counters in domains.items()
            for reason, times in sorted(counters.refusals().items())
        ],
    )
    yield Family(
        "origin_failures",
        "Failed attempts at origins.",
        ("domain", "reason"),
        [
            ((name, reason), times)
            for name, counters in domains.items()
            for reason, times in sorted(counters.origin_failures.items())
        ],
    )


_LEG_COUNTS: Final[tuple[tuple[str, str, Callable[[LegCounters], float]], ...]] = (
    ("pings", "Heartbeat pings sent.", lambda leg: leg.pings),
    ("pongs", "Heartbeat pings that were answered.", lambda leg: leg.pongs),
    ("rtt_seconds", "Sum of the times those answers took.", lambda leg: leg.rtt_seconds_sum),
    ("dead_legs", "Connections given up for silence.", lambda leg: leg.dead),
    ("stalled_legs", "Connections given up because they took no bytes.", lambda leg: leg.stalled),
    ("broken_legs", "Connections that ended without a Close.", lambda leg: leg.broken),
)
