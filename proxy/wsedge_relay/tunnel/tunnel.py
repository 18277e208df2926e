"""One open tunnel: two legs, and the state that they share.

A tunnel passes through these phases, in one direction. `tunnels.py` makes every transition.

                    (2)
         ┌───────────────────────────┐
         │                           ▼
        OPEN ──(1)──▶ CLOSING ─(3)▶ FINISHING ──(4)──▶ GONE
         │               │           │                  ▲
         ├──────(6)──────┴▶ RESETTING ──────(7)─────────┤
         └───────────────┴───────────┴───────(5)────────┘

    (1) A leg sent Close, which passed to the other leg; or ended its stream, whose FIN was passed; or broke a
        frame rule, answered no ping or stalled, whereupon the relay sent its own Close to the other leg; or
        the relay sent Close to both legs (drain, maximum age). The deadline is `close_seconds`; it bounds a
        half-closed tunnel too.
    (2) As (1), and both legs are settled already: nothing is left to send to them or to read from them.
    (3) Both legs are settled, or the deadline passed, or a leg sent too much after a Close. The pump sends
        the bytes that it holds, then shuts both sending sides. The deadline is `linger_seconds`.
    (4) Both directions of both sockets have ended, or the deadline passed. The sockets are closed, the last
        bytes are counted, and the tunnel's places at the limiter and at the origin are freed.
    (5) As (4), at once: `Tunnels.abort`, or epoll refused the sockets when the tunnel was opened.
    (6) A leg was reset, or its socket failed, and the other leg has no Close of the relay.
    (7) The other leg has received all bytes before, or failed, or `close_seconds` passed. It is reset; else
        as (4).

While bytes still pass, a deadline is extended by `close_seconds`, at most `_PATIENCE` times in all.
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
RESETTING: Final = 3
GONE: Final = 4

# The most extensions of a closing tunnel's deadline while bytes pass. The tunnel must end, and its last usage
# must be reported, before the kubelet kills the pod AFTER_DRAIN_SECONDS after its drain.
_PATIENCE: Final = (
    int((AFTER_DRAIN_SECONDS - ReportTimes().call - Timeouts().linger_seconds) // Timeouts().close_seconds)
    - 1
)

# Bytes, messages and the text messages among these; of each first the count to the client, then from it.
Counts = tuple[int, int, int, int, int, int]
# The IP addresses and ports of both ends of a connection, the peer's first.
SessionName = tuple[tuple[str, int], tuple[str, int]]
_NOTHING: Final[Counts] = (0, 0, 0, 0, 0, 0)


class Tunnel:
    """Two legs and the state that they share.

    `address` is the client's IP address, `began` the loop's time at the opening; `due` belongs to the
    heartbeat's wheel. `deadline` is the timer of an open tunnel's maximum age, then that of its phase;
    `progress` is the count of bytes at the start of the phase's timer, `patience` the extensions left.
    `session` is the HTTP/2 connection whose stream the client's leg is, if any.
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
        "session",
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
        self.session: SessionName | None = None
        self.counted: Counts = _NOTHING  # the counts that the usage and the metrics already include

    def set_ending(self, by: str, reason: str, code: int) -> None:
        """Store the cause of the tunnel's end, unless one is stored: later ones are its consequences."""
        if self.ending is None:
            self.ending = Ending(by, reason, code)

    def counts(self) -> Counts:
        """Return the present counts of both legs."""
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
        """Add the growth since the last call, up to the counts `new`, to the metrics.

        Return its bytes to the client, bytes from it, messages to it and messages from it.
        """
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
    """Return the side of a leg, "client" or "origin", as metrics and logs name it."""
    return "client" if leg.mask else "origin"


def is_settled(leg: Leg) -> bool:
    """Return whether nothing is left to send to this leg or to read from it."""
    ending = leg.ending
    return leg.dead or leg.eof > 0 or (leg.dropping and (ending.close_sent or ending.finishing or leg.deaf))


def has_ended(leg: Leg) -> bool:
    """Return whether both directions of a leg's socket have ended."""
    return leg.dead or (leg.eof > 0 and leg.ending.shut)


def reset(leg: Leg) -> None:
    """Let the close of a leg's socket reset its connection."""
    if not leg.dead:
        leg.reset_at_close()
