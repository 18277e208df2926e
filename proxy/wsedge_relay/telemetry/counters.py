"""Counts of a relay's work per domain: plain integers for the metrics. Pure.

Bytes, messages, connections and HTTP codes are not among them: they are billed, so `metering.usage` counts
them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, NamedTuple

# Other codes are counted as 0: a peer must not create label values, because each is a time series for ever.
KNOWN_CLOSE_CODES: Final = frozenset((*range(1000, 1004), 1005, *range(1007, 1016), 3000, 3003, 3008))

# Upper bounds of buckets of times, in seconds: from a connection on loopback to the longest usual timeout.
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# Upper bounds of buckets of payloads, in bytes: powers of two, and the sizes above which a frame's head is
# longer (125, 65535).
BYTES: Final = (16.0, 64.0, 125.0, 256.0, 1024.0, 4096.0, 16384.0, 65535.0, 262144.0, 1048576.0, 16777216.0)


@dataclass(slots=True)
class Histogram:
    """A histogram: `counts` per bucket of `bounds` and of a last bucket above them; the sum of all values."""

    bounds: tuple[float, ...] = SECONDS
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value. A negative time, after a step of the clock, counts as 0."""
        value = max(0.0, value)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class LegCounters:
    """Counts of one side of a domain's tunnels. `rtt` has the round-trip times of all `pongs`."""

    close_codes: dict[int, int] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)
    pings: int = 0
    pongs: int = 0
    rtt: Histogram = field(default_factory=Histogram)
    dead: int = 0
    stalled: int = 0
    throttled: int = 0
    broken: int = 0  # ended without a Close
    flooded: int = 0
    # Messages by type, as of the last sweep.
    texts: int = 0
    binaries: int = 0
    # Forwarded control frames, by opcode.
    opcodes: list[int] = field(default_factory=lambda: [0] * 16)
    # A sample of the payloads of data frames, see Tunnels.sweep.
    frame_bytes: Histogram = field(default_factory=lambda: Histogram(BYTES))

    def closed_with(self, code: int) -> None:
        """Count a Close frame that came from this side."""
        known = known_code(code)
        self.close_codes[known] = self.close_codes.get(known, 0) + 1

    def violated(self, rule: str) -> None:
        """Count a broken frame rule."""
        self.violations[rule] = self.violations.get(rule, 0) + 1


def known_code(code: int) -> int:
    """Return a close code as a label: 0 for a code that no specification defines."""
    return code if code in KNOWN_CLOSE_CODES else 0


class Ending(NamedTuple):
    """The end of a tunnel: the side that caused it (client, origin, relay), the reason, and the close code.

    Code 1006: the connection ended without a Close frame (RFC 6455 section 7.1.5).
    """

    by: str
    reason: str
    code: int


@dataclass(slots=True)
class DomainCounters:
    """Counts of one domain; they only rise.

    `handshakes` are by (HTTP status, reason of the refusal or ""), `http2_handshakes` are those of them that
    used HTTP/2. `handshake_seconds` is the time from a complete request to its answer, `connect_seconds` the
    time to connect to an origin, TLS included. `origin_failures` are by `OriginError.reason`. `requests` are
    plain requests that were passed, by the HTTP status of the answer, `request_seconds` the time from a
    complete head to the head of the answer, `cuts` unfinished answers, by `AnswerCutError.reason`.
    """

    client: LegCounters = field(default_factory=LegCounters)
    origin: LegCounters = field(default_factory=LegCounters)
    handshakes: dict[tuple[int, str], int] = field(default_factory=dict)
    origin_failures: dict[str, int] = field(default_factory=dict)
    endings: dict[Ending, int] = field(default_factory=dict)
    requests: dict[int, int] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    handshake_seconds: Histogram = field(default_factory=Histogram)
    connect_seconds: Histogram = field(default_factory=Histogram)
    request_seconds: Histogram = field(default_factory=Histogram)
    http2_handshakes: int = 0

    def request(self, status: int, seconds: float) -> None:
        """Count an answered plain request, and the `seconds` until its answer began."""
        self.requests[status] = self.requests.get(status, 0) + 1
        self.request_seconds.observe(seconds)

    def cut(self, reason: str) -> None:
        """Count an answer to a plain request that was not finished."""
        self.cuts[reason] = self.cuts.get(reason, 0) + 1

    def ended(self, ending: Ending) -> None:
        """Count a tunnel that ended."""
        key = ending._replace(code=known_code(ending.code)) if ending.reason == "close" else ending
        self.endings[key] = self.endings.get(key, 0) + 1

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
