"""Translation of HTTP/2 requests to HTTP/1.1, and of answers back (RFC 8441 and RFC 9113 section 8). Pure.

The code that serves an HTTP/1.1 connection also serves the streams of HTTP/2, so that every rule for a
handshake applies to both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol.handshake import accept_of, host_naming, passed_headers
from wsedge_relay.protocol.http1 import Header, ResponseHead, build_head, is_token

_BREAKS: Final = re.compile(rb"[\0\r\n]")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_SCHEMES: Final = frozenset((b"http", b"https", b"ws", b"wss"))
# Replaced: HTTP/2 has no use for the key (RFC 8441 section 5) and does not allow the others.
_REPLACED: Final = frozenset(
    (b"host", b"connection", b"upgrade", b"sec-websocket-key", b"transfer-encoding", b"proxy-connection")
)


@dataclass(frozen=True, slots=True)
class TranslatedRequest:
    """The request of a stream.

    `head` is the request in HTTP/1.1, `tunnel` says that the request is an extended CONNECT. `refused` is the
    refusal of a request that cannot be translated; `head` then only names the domain. `accept` is the
    Sec-WebSocket-Accept for a client that sent a key of its own.
    """

    head: bytes
    tunnel: bool
    refused: HandshakeRefusedError | None = None
    accept: bytes | None = None


def translate(lines: Sequence[Header], *, domain: str, key: bytes) -> TranslatedRequest:
    """Translate the header lines of a stream; a malformed request is returned with `refused`, not raised.

    `domain` is the connection's domain, `key` a fresh Sec-WebSocket-Key, which HTTP/1.1 origins require.
    """
    tunnel = any(name == b":protocol" for name, _ in lines)
    try:
        return TranslatedRequest(_head(lines, key), tunnel, accept=_accept(lines) if tunnel else None)
    except HandshakeRefusedError as refused:
        head = build_head(b"GET / HTTP/1.1", [(b"Host", host_naming(domain).encode())])
        return TranslatedRequest(head, tunnel, refused)


def answer_lines(head: ResponseHead, *, tunnel: bool, accept: bytes | None = None) -> list[Header]:
    """Return the HTTP/2 header lines of an answer with the HTTP/1.1 form `head`.

    A 101 becomes 200 (RFC 8441 section 5), with `accept` if there is one. HTTP/2 has no Upgrade, so a 426
    becomes 400, or 404 for a request that is no CONNECT.
    """
    status = head.status
    if status == 101:
        status = 200
    elif status == 426:
        status = 400 if tunnel else 404
    lines: list[Header] = [(b":status", b"%d" % status)]
    for name, value in passed_headers(head.headers):
        lower = name.lower()
        if lower != b"sec-websocket-accept":
            lines.append((lower, value))
    if head.status == 101:
        lines += [] if accept is None else [(b"sec-websocket-accept", accept)]
    else:  # the relay itself wrote the line, so it is the length of the body
        lines += [(b"content-length", value) for value in head.headers.all(b"content-length")]
    return lines


def refusal_lines(refused: HandshakeRefusedError) -> tuple[list[Header], bytes]:
    """Return the header lines and the body of a refusal of a stream itself, without an HTTP/1.1 answer."""
    lines = [(b":status", b"%d" % refused.status), (b"content-type", b"text/plain; charset=utf-8")]
    lines += [(name.lower(), value) for name, value in refused.headers]
    return lines, f"{refused.text}\n".encode()


def _accept(lines: Sequence[Header]) -> bytes | None:
    """Return the Sec-WebSocket-Accept for the key in these lines, if there is exactly one.

    HTTP/2 has no use for either (RFC 8441 section 5), but Envoy passes the key of its own client, which
    speaks HTTP/1.1, and leaves the answer to the server.
    """
    keys = [value for name, value in lines if name == b"sec-websocket-key"]
    return accept_of(keys[0]) if len(keys) == 1 else None


def _head(lines: Sequence[Header], key: bytes) -> bytes:
    pseudo: dict[bytes, bytes] = {}
    headers: list[Header] = []
    for name, value in lines:
        if _BREAKS.search(name) or _BREAKS.search(value):
            raise _malformed("A header has a control byte.")
        if name.startswith(b":"):
            if name not in _PSEUDO or name in pseudo or headers:
                raise _malformed("The pseudo-header fields are malformed.")
            pseudo[name] = value
        elif not is_token(name):
            raise _malformed("The name of a header is no token.")
        else:
            headers.append((name, value))
    method = pseudo.get(b":method", b"")
    host = pseudo.get(b":authority")
    own: list[Header] = []
    if method == b"CONNECT":
        _check_connect(pseudo)
        method = b"GET"
        own = [
            (b"Connection", b"Upgrade"),
            (b"Upgrade", b"websocket"),
            (b"Sec-WebSocket-Key", key),
        ]
    elif host is None:
        host = dict(headers).get(b"host")
    if host is None:
        raise _malformed(":authority is missing.")
    # A proxy without TLS towards its own clients sends http over a connection with TLS. The scheme decides
    # nothing: origins learn from the connection whether the client used TLS.
    if pseudo.get(b":scheme", b"").lower() not in _SCHEMES:
        raise _malformed(":scheme must be http or https.")
    path = pseudo.get(b":path", b"")
    if path != b"*" and not path.startswith(b"/"):  # a URL would name a second host (RFC 9113 section 8.3.1)
        raise _malformed("The target is no path and query (origin-form).")
    kept = [line for line in headers if line[0] not in _REPLACED]
    first = method + b" " + path + b" HTTP/1.1"
    return build_head(first, [(b"Host", host), *own, *kept])


def _check_connect(pseudo: dict[bytes, bytes]) -> None:
    """Refuse a CONNECT for any other protocol than WebSocket by 501, the status of RFC 9220 section 3."""
    protocol = pseudo.get(b":protocol")
    if protocol is None:
        raise HandshakeRefusedError(501, "method", "CONNECT without :protocol is not served here.")
    if protocol != b"websocket":
        raise HandshakeRefusedError(501, "protocol", "Only the :protocol websocket is served here.")


def _malformed(text: str) -> HandshakeRefusedError:
    return HandshakeRefusedError(400, "head", text)
