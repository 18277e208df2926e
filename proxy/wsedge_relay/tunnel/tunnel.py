"""One open tunnel: two legs, and the state that they share.

A tunnel passes through these phases, in one direction. `tunnels.py` makes every transition.

                    (2)
         ┌───────────────────────────┐
         │                           ▼
        OPEN ──(1)──▶ CLOSING ─(3)▶ FINISHING ──(4)──▶ GONE
         │               │           │                  ▲
         └───────────────┴───────────┴───────(5)────────┘

    (1) A leg sent Close, broke a frame rule, ended its stream, failed, answered no ping or stalled; or the
        relay sent Close to both legs (drain, maximum age). The other leg is sent a Close. The deadline is
        `close_seconds`.
    (2) As (1), and both legs are settled at once: nothing is left to send to them or to read from them.
    (3) Both legs are settled, or the deadline passed. The pump sends what it holds, then shuts both sending
        sides. The deadline is `linger_seconds`.
    (4) Both directions of both sockets have ended, or the deadline passed. The sockets are closed, the last
        bytes are counted, the places at the limiter and at the origin are free again.
    (5) As (4), without a delay: `Tunnels.abort`, or the pump could not take the tunnel.

While bytes still pass, a deadline is put off by `close_seconds`, `_PATIENCE` times in all.
The flags of one leg are drawn in `pump/leg.py`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from wsedge_relay.contract import AFTER_DRAIN_SECONDS
from wsedge_relay.metering.report import ReportTimes
from wsedge_relay.metering.usage import UsageKey
from wsedge_relay.origin.balance import Target
from wsedge_relay.pump.leg import Leg
from wsedge_relay.site import Site
from wsedge_relay.telemetry.access_log import AccessFacts
from wsedge_relay.telemetry.counters import Ending
from wsedge_relay.timeouts import Timeouts

# Phases, in their order.
OPEN: Final = 0
CLOSING: Final = 1
FINISHING: Final = 2
GONE: Final = 3

# So often the deadline of a closing tunnel is put off while bytes pass: the tunnel must end (within 32 s) and
# its last usage be reported before the kubelet kills the pod.
_PATIENCE: Final = (
    int((AFTER_DRAIN_SECONDS - ReportTimes().call - Timeouts().linger_seconds) // Timeouts().close_seconds)
    - 1
)

# Bytes, messages and texts among these, each to the client, then from it.
Counts = tuple[int, int, int, int, int, int]
_NOTHING: Final[Counts] = (0, 0, 0, 0, 0, 0)


class Tunnel:
    """Two legs and the state that they share.

    `address` is the client's, `began` the loop's time at its opening, `due` belongs to the heartbeat's wheel,
    `deadline` to the age of an open tunnel, then to the next step of a closing one.
    """

    __slots__ = (
        "access",
        "address",
        "began",
        "client",
        "counted",
        "deadline",
        "due",
        "ending",
        "key",
        "number",
        "origin",
        "patience",
        "phase",
        "progress",
        "site",
        "target",
    )

    def __init__(self, number: int, site: Site, key: UsageKey, began: float, address: str) -> None:
        self.number = number
        self.address = address
        self.began = began
        self.site = site
        self.key = key
        self.target: Target
        self.client: Leg
        self.origin: Leg
        self.phase = OPEN
        self.due = 0
        self.progress = 0
        self.patience = _PATIENCE
        self.deadline: asyncio.TimerHandle | None = None
        self.ending: Ending | None = None
        self.access: AccessFacts | None = None
        self.counted: Counts = _NOTHING  # the counts that the usage and the metrics have already

    def set_ending(self, by: str, reason: str, code: int) -> None:
        """Store the reason of the tunnel's end; the first reason counts, later ones are its consequences."""
        if self.ending is None:
            self.ending = Ending(by, reason, code)

    def counts(self) -> Counts:
        """Return bytes, messages and texts among these, each to the client, then from it."""
        client, origin = self.client, self.origin
        return (
            origin.passed,
            client.received,
            origin.messages,
            client.messages,
            origin.texts,
            client.texts,
        )

    def count(self, new: Counts) -> tuple[int, int, int, int]:
        """Add the difference of `new` to the last counts to the metrics; return its bytes and messages."""
        old, self.counted = self.counted, new
        sent, received, sent_messages, received_messages, sent_texts, received_texts = (
            count - before for count, before in zip(new, old, strict=True)
        )
        counters = self.site.counters
        counters.client.texts += received_texts
        counters.client.binaries += received_messages - received_texts
        counters.origin.texts += sent_texts
        counters.origin.binaries += sent_messages - sent_texts
        return sent, received, sent_messages, received_messages


def side_of(leg: Leg) -> str:
    """Return the name of a leg's side."""
    return "client" if leg.mask else "origin"


def is_settled(leg: Leg) -> bool:
    """Return whether nothing is left to send to this leg or to read from it."""
    return leg.dead or leg.eof > 0 or (leg.dropping and (leg.told or leg.finishing or leg.deaf))


def has_ended(leg: Leg) -> bool:
    """Return whether both directions of a leg's socket have ended."""
    return leg.dead or (leg.eof > 0 and leg.shut)


def reset(leg: Leg) -> None:
    """Reset the connection of a leg when its socket is closed."""
    if not leg.dead:
        leg.reset_at_close()
