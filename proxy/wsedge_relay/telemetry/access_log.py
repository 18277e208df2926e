"""The access log: one line per connection at its end, for domains with an `accessLog`. Pure.

A line contains nothing that may be a client's secret: no path, no query, no cookie, and of the headers only
the agreed subprotocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsedge_relay.telemetry.counters import Ending

# Some clients send a token as a subprotocol, and some servers accept it. No registered name is this long.
LONGEST_SUBPROTOCOL: Final = 40
_MILLISECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """The facts of a connection at the end of its handshake. The bytes are those of the handshake.

    `protocol` is the client's protocol, "http/1.1" or "h2"; `began` is the loop's time at which the relay
    accepted the connection; `origin` is host and port of the origin that answered, if any.
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
    """Return an agreed subprotocol for the log, or None; a long one is replaced by its length."""
    if name is None:
        return None
    text = name.decode("latin-1")
    return text if len(text) <= LONGEST_SUBPROTOCOL else f"({len(text)} characters)"


def refused_line(access: AccessFacts, *, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the line of a connection that got no tunnel."""
    return _line(access, code=code, now=now, messages=(0, 0)) | {"reason": reason}


def passed_line(access: AccessFacts, *, method: str, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the line of a plain request; code 499: the client disconnected before the answer."""
    line = _line(access, code=code, now=now, messages=(0, 0))
    for absent in ("subprotocol", "sent_messages", "received_messages"):
        del line[absent]
    return line | {"method": method, "reason": reason}


def ended_line(
    access: AccessFacts, *, counts: tuple[int, int, int, int], ending: Ending, now: float
) -> dict[str, object]:
    """Return the line of a tunnel that ended; `counts` is the result of Tunnel.counts()."""
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
