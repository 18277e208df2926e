"""Opening handshakes as clients and origins send them."""

from __future__ import annotations

from support.relay.running import DOMAIN
from wsedge_relay.protocol.handshake import accept_of

# The example of RFC 6455 section 1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(path: str = "/", *lines: str, host: str = DOMAIN) -> bytes:
    """Return a valid handshake with these lines added."""
    return _head(
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        *lines,
    )


def switching(*lines: str, accept: bytes = ACCEPT) -> bytes:
    """Return the valid answer to that handshake with these lines added."""
    return _head(
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept.decode()}",
        *lines,
    )


def accepted(request: bytes, *lines: str, key: bytes | None = None) -> bytes:
    """Return the valid answer to any handshake with these lines added; with another `key` it is invalid."""
    return switching(*lines, accept=accept_of(key) if key else accept_of_request(request))


def accept_of_request(request: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a request's key."""
    (own,) = (line.split()[1] for line in request.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    return accept_of(own)


def _head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
