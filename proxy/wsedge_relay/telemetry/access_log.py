"""The access log: one line per connection at its end, for domains that ask for it.

A line has nothing that may be a client's secret: no path, no query, no cookie, no header but the agreed
subprotocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsedge_relay.telemetry.counters import Ending

# Some clients pass a token as a subprotocol, and some servers agree to it: no real name is that long.
LONGEST_SUBPROTOCOL: Final = 40
_MILLISECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """The facts of a connection at the end of its handshake. Bytes are the handshake's own.

    `protocol` is the client's, "http/1.1" or "h2"; `began` is the loop's time at which the connection was
    accepted; `origin` is host and port of the origin that answered, if any.
    """

    client: str
    tls: bool
    protocol: str
    began: float
    origin: str | None = None
    subprotocol: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0


def is_sampled(percent: int, chance: float) -> bool:
    """Return whether a connection gets a line; `chance` is from 0 to below 1."""
    return chance * 100 < percent


def shown_subprotocol(name: bytes | None) -> str | None:
    """Return an agreed subprotocol for the log: None without one, only the length of a long one."""
    if name is None:
        return None
    text = name.decode("latin-1")
    return text if len(text) <= LONGEST_SUBPROTOCOL else f"({len(text)} characters)"


def refused_line(access: AccessFacts, *, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the facts of a connection that got no tunnel."""
    return _line(access, code=code, now=now, messages=(0, 0)) | {"reason": reason}


def passed_line(access: AccessFacts, *, method: str, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the facts of a plain request; code 499: the client disconnected before its answer."""
    line = _line(access, code=code, now=now, messages=(0, 0))
    for absent in ("subprotocol", "sent_messages", "received_messages"):
        del line[absent]
    return line | {"method": method, "reason": reason}


def ended_line(
    access: AccessFacts, *, counts: tuple[int, int, int, int], ending: Ending, now: float
) -> dict[str, object]:
    """Return the facts of a tunnel that ended; `counts` as Tunnel.counts() has them."""
    sent, received, *messages = counts
    line = _line(access, code=101, now=now, messages=(messages[0], messages[1]), passed=(sent, received))
    return line | {"ended_by": ending.by, "reason": ending.reason, "close_code": ending.code}


def _line(
    access: AccessFacts, *, code: int, now: float, messages: tuple[int, int], passed: tuple[int, int] = (0, 0)
) -> dict[str, object]:
    return {
        "client": access.client,
        "tls": access.tls,
        "protocol": access.protocol,
        "code": code,
        "origin": access.origin,
        "subprotocol": access.subprotocol,
        "duration_seconds": round(now - access.began, _MILLISECONDS),
        "sent_bytes": access.sent_bytes + passed[0],
        "received_bytes": access.received_bytes + passed[1],
        "sent_messages": messages[0],
        "received_messages": messages[1],
    }
