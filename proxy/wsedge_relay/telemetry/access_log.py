"""The access log: lines of connections for domains with an `accessLog`. Pure.

A line contains nothing that may be a client's secret: no cookie, and of the headers only the agreed
subprotocol. It has the path and the query only where the configuration says so: browsers cannot add headers
to a WebSocket handshake, so many applications send their token in the query.

Text of a peer is bounded and percent-encoded, so that it neither fills a disk nor looks like another line or
another field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wsedge_relay.telemetry.counters import Ending

# Some clients send a token as a subprotocol, and some servers accept it. No registered name is this long.
LONGEST_SUBPROTOCOL: Final = 40
LONGEST_TEXT: Final = 1024  # bytes of a path or a query
_MILLISECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class AccessFacts:
    """The facts of a connection at the end of its handshake. The bytes are those of the handshake.

    `protocol` is the client's protocol, "http/1.1" or "h2"; `began` is the loop's time at which the relay
    accepted the connection; `origin` is host and port of the origin that answered, if any. `path` and `query`
    are None where they are not logged.
    """

    client: str
    tls: bool
    protocol: str
    began: float
    origin: str | None = None
    subprotocol: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    path: str | None = None
    query: str | None = None


def is_sampled(percent: int, chance: float) -> bool:
    """Return whether a connection gets a line; `chance` is from 0 to below 1."""
    return chance * 100 < percent


def shown_subprotocol(name: bytes | None) -> str | None:
    """Return an agreed subprotocol for the log, or None; a long one is replaced by its length."""
    if name is None:
        return None
    return shown(name) if len(name) <= LONGEST_SUBPROTOCOL else f"({len(name)} characters)"


def shown_target(target: bytes, *, path: bool, query: bool) -> tuple[str | None, str | None]:
    """Return the path and the query of a request's target for the log, each None unless it is logged."""
    sent_path, _, sent_query = target.partition(b"?")
    return shown(sent_path) if path else None, shown(sent_query) if query else None


def shown(text: bytes) -> str:
    """Return a peer's text with other characters than visible ASCII percent-encoded; a long one is cut."""
    start = text[:LONGEST_TEXT]
    encoded = "".join(chr(byte) if 0x21 <= byte <= 0x7E else f"%{byte:02X}" for byte in start)
    return encoded if len(text) <= LONGEST_TEXT else f"{encoded}... ({len(text)} characters)"


def refused_line(access: AccessFacts, *, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the line of a connection that got no tunnel."""
    return _line(access, code=code, now=now, messages=(0, 0)) | {"reason": reason}


def passed_line(access: AccessFacts, *, method: str, code: int, reason: str, now: float) -> dict[str, object]:
    """Return the line of a plain request; code 499: the client disconnected before the answer."""
    return open_request_line(access, method=method, code=code, now=now) | {"reason": reason}


def open_request_line(access: AccessFacts, *, method: str, code: int | None, now: float) -> dict[str, object]:
    """Return a line of a plain request that is under way; code None: no answer has begun."""
    line = _line(access, code=code, now=now, messages=(0, 0))
    for absent in ("subprotocol", "sent_messages", "received_messages"):
        del line[absent]
    return line | {"method": method}


def ended_line(
    access: AccessFacts, *, counts: tuple[int, int, int, int], ending: Ending, now: float
) -> dict[str, object]:
    """Return the line of a tunnel that ended; `counts` is the result of Tunnel.counts()."""
    line = open_line(access, counts=counts, now=now)
    return line | {"ended_by": ending.by, "reason": ending.reason, "close_code": ending.code}


def open_line(access: AccessFacts, *, counts: tuple[int, int, int, int], now: float) -> dict[str, object]:
    """Return a line of an open tunnel; `counts` is the result of Tunnel.counts()."""
    return _line(access, code=101, now=now, messages=counts[2:], passed=counts[:2])


def _line(
    access: AccessFacts,
    *,
    code: int | None,
    now: float,
    messages: tuple[int, int],
    passed: tuple[int, int] = (0, 0),
) -> dict[str, object]:
    line: dict[str, object] = {
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
    if access.path is not None:
        line["path"] = access.path
    if access.query is not None:
        line["query"] = access.query
    return line
