"""The opening handshake (RFC 6455 section 4), checked and forwarded by an intermediary. Pure.

The functions take parsed heads and return heads, or raise a refusal. The client's key and offers are
forwarded to the origin; hop-by-hop headers are built anew for the next hop.
"""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wsedge_relay.contract import ANY_DOMAIN
from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol.forwarded import Way, forwarding_headers, says_way
from wsedge_relay.protocol.http1 import (
    BadHeadError,
    Header,
    Headers,
    RequestHead,
    ResponseHead,
    build_head,
    is_token,
    status_line,
)

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE: Final = b"permessage-deflate"
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_UPGRADE: Final = (b"upgrade",)
_UPGRADE_ALONE: Final = ([b"Upgrade"], [b"upgrade"])
_BITS: Final = re.compile(rb"8|9|1[0-5]")
# A port may be empty (RFC 3986 section 3.2.3). No userinfo: parsers differ on which side of "@" is the host.
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~\-]+)(?::([0-9]{0,5}))?")
_ZERO: Final = re.compile(rb"0{1,18}")  # as many digits as `body` accepts of any length
# A member of a list whose quoted strings may have commas; a quote that is not closed goes to the end.
_QUOTED_MEMBER: Final = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.)*+(?:"|\\?+\Z))++')

# Two parsers could choose different lines of these headers if they are repeated: request smuggling. Lines of
# any other header are one list (RFC 9110 section 5.3), or concern only the client and the origin.
_ONCE: Final = (b"host", b"sec-websocket-key", b"content-length", b"transfer-encoding")
# Hop-by-hop headers (RFC 9110 section 7.6.1).
_HOP: Final = frozenset(
    (
        b"connection",
        b"upgrade",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"content-length",
        b"expect",
        b"http2-settings",
    )
)
_HANDSHAKE: Final = frozenset(
    (b"host", b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions")
)
# A client's "Connection: cookie" must not remove headers that the handshake needs, or the CDN-Loop mark.
_KEPT: Final = frozenset((b"host", b"origin", b"cookie", b"authorization", b"cdn-loop"))


class Upgrade(NamedTuple):
    """A valid request for a tunnel."""

    request: RequestHead
    host: bytes
    key: bytes
    protocols: tuple[bytes, ...]
    offers: tuple[bytes, ...]  # of permessage-deflate, as the client wrote them


class Accepted(NamedTuple):
    """The origin's checked 101; `deflate` says whether permessage-deflate was agreed on."""

    answer: ResponseHead
    deflate: bool


def host_of(request: RequestHead) -> str:
    """Return the host name of a request, in lower case, without port and final dot.

    A target in absolute-form names the host; the Host header then only has to be well-formed, and present in
    HTTP/1.1 (RFC 9112 section 3.2). Raises HandshakeRefusedError (400) for a missing or malformed host, and
    for a repeated header of _ONCE.
    """
    headers = request.headers
    if headers.repeated:
        for name in _ONCE:
            _once(headers, name)
    value = headers.one(b"host")
    if request.authority is None:
        return _host_name(value)
    if value or (value is None and request.minor):
        _host_name(value)
    return _host_name(request.authority)


def authority_of(request: RequestHead) -> bytes:
    """Return host and port of a request that passed `host_of`, as the client wrote them."""
    return request.authority or request.headers.one(b"host") or b""


def domain_of(host: str) -> str:
    """Return the result of `host_of` as a domain's name: an IPv6 address in its usual form, without brackets.

    Raises HandshakeRefusedError (400) for brackets around anything else.
    """
    if not host.startswith("["):
        return host
    try:
        return str(ipaddress.IPv6Address(host[1:-1]))
    except ValueError as error:
        raise HandshakeRefusedError(400, "head", "Host is missing or malformed.") from error


def host_naming(domain: str) -> str:
    """Return a Host header whose domain by `domain_of` is `domain`, or a name of no domain for ANY_DOMAIN."""
    if domain == ANY_DOMAIN:
        return "any.invalid"  # never a real name (RFC 6761 section 6.4)
    return f"[{domain}]" if ":" in domain else domain


def check_upgrade(request: RequestHead) -> Upgrade:
    """Check a request that passed `host_of` against RFC 6455 section 4.2.1; raises HandshakeRefusedError."""
    headers = request.headers
    if not request.minor:
        raise HandshakeRefusedError(505, "head", "The version is not HTTP/1.1.")
    if request.method != b"GET":
        raise HandshakeRefusedError(
            405, "method", "Only GET opens a WebSocket.", headers=[(b"Allow", b"GET")]
        )
    # Servers differ on whether a body comes before the frames, so a client could hide a request in it.
    if _has_body(headers):
        raise HandshakeRefusedError(400, "body", "A WebSocket handshake has no body.")
    if not _asks_for_websocket(headers):
        raise HandshakeRefusedError(
            426,
            "upgrade",
            "Only WebSocket connections are served here.",
            headers=[(b"Upgrade", b"websocket")],
        )
    # Frames of another version could have another form than the pump parses.
    if set(headers.members(b"sec-websocket-version")) != {b"13"}:
        raise HandshakeRefusedError(
            426,
            "version",
            "Sec-WebSocket-Version must be 13.",
            headers=[(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")],
        )
    # The key proves that the answer is no stored one (RFC 6455 section 10.3): a short key could be repeated.
    key = headers.one(b"sec-websocket-key") or b""
    if not _KEY.fullmatch(key):
        raise HandshakeRefusedError(400, "key", "Sec-WebSocket-Key must be 16 bytes in base64.")
    # Any text may be a subprotocol, although RFC 6455 requires different tokens: only the ends compare it.
    protocols = tuple(headers.members(b"sec-websocket-protocol"))
    return Upgrade(request, authority_of(request), key, protocols, _deflate_offers(headers))


def origin_request(
    upgrade: Upgrade, *, host: str, way: Way, secure: bool, loop: Header, real_ip: bool = False
) -> bytes:
    """Return the head of the same upgrade request for the origin.

    `host` is the origin's Host header, `way` has the hops of the request, `secure` says whether the peer used
    TLS, `loop` is the CDN-Loop line of the domain's relays, `real_ip` adds X-Real-IP.
    """
    asked = upgrade.request.headers
    parts = [
        b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
        % (upgrade.request.target, host.encode(), upgrade.key)
    ]
    if upgrade.offers:
        parts.append(b"Sec-WebSocket-Extensions: %b\r\n" % b", ".join(upgrade.offers))
    dropped = dropped_headers(asked)
    parts += [
        b"%b: %b\r\n" % line
        for name, line in asked.items()
        if name not in dropped and name not in _HANDSHAKE and not says_way(name)
    ]
    parts += [
        b"%b: %b\r\n" % line
        for line in forwarding_headers(asked, way, host=upgrade.host, secure=secure, real_ip=real_ip)
    ]
    parts.append(b"%b: %b\r\n\r\n" % loop)
    return b"".join(parts)


def check_answer(upgrade: Upgrade, answer: ResponseHead) -> Accepted:
    """Check the origin's 101 against the request (RFC 6455 section 4.1); raises BadAnswerError.

    Some servers add their usual Transfer-Encoding. It has no meaning: a 101 ends with its head (RFC 9112
    section 6.3), and the client does not get the header.
    """
    headers = answer.headers
    try:
        if answer.minor != 1:
            raise BadAnswerError("101 is not of HTTP/1.1")
        if not _names_websocket(headers):
            raise BadAnswerError("101 without Upgrade: websocket")
        if not _is_of_upgrade(headers):
            raise BadAnswerError("101 without Connection: Upgrade")
        if headers.one(b"sec-websocket-accept") != accept_of(upgrade.key):
            raise BadAnswerError("101 with a wrong Sec-WebSocket-Accept")
        if _has_length(headers):  # its bytes would be read as frames
            raise BadAnswerError("101 with a body")
        # A set: an origin may return thousands of names that a client offered.
        answered = headers.members(b"sec-websocket-protocol")
        if answered and not set(upgrade.protocols).issuperset(answered):
            raise BadAnswerError("101 with a subprotocol that was not offered")
    except BadHeadError as error:
        raise BadAnswerError(f"101: {error.text}") from error
    return Accepted(answer, _deflate_agreed(upgrade, headers.members(b"sec-websocket-extensions")))


def client_answer(accepted: Accepted, *, more: Iterable[Header] = ()) -> bytes:
    """Return the client's 101: the origin's answer, with new hop-by-hop headers and the lines of `more`."""
    lines = [b"%b: %b\r\n" % line for line in (*passed_headers(accepted.answer.headers), *more)]
    return b"".join([_SWITCHING, *lines, b"\r\n"])


def dropped_headers(headers: Headers) -> frozenset[bytes]:
    """Return the names (lower case) of hop-by-hop headers: _HOP, and those that Connection lists."""
    options = _options(headers)
    if options is _UPGRADE:
        return _HOP
    return _HOP.union(
        name for name in options if name not in _KEPT and not name.startswith(b"sec-websocket-")
    )


def passed_headers(headers: Headers) -> list[Header]:
    """Return the lines of an origin's answer that are forwarded to the client."""
    dropped = dropped_headers(headers)
    return [line for name, line in headers.items() if name not in dropped]


def connection_headers(head: ResponseHead, *, close: bool) -> list[Header]:
    """Return Connection and Upgrade for the client of an origin's answer; `close` ends the connection.

    A 426 names in Upgrade the protocols that the request needs (RFC 9110 section 15.5.22). In other answers
    an origin only offers its own protocols, such as h2c, which the relay does not forward.
    """
    upgrades = [(b"Upgrade", value) for value in head.headers.all(b"upgrade")] if head.status == 426 else []
    options = [b"close"] * close + [b"upgrade"] * bool(upgrades)
    return [*upgrades, (b"Connection", b", ".join(options))] if options else []


def refusal(refused: HandshakeRefusedError, *, head_only: bool = False) -> bytes:
    """Return the whole answer to a refused client; the relay closes the connection after it."""
    body = f"{refused.text}\n".encode()
    options = b"close, upgrade" if any(name == b"Upgrade" for name, _ in refused.headers) else b"close"
    headers = [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", options),
        *refused.headers,
    ]
    return build_head(status_line(refused.status), headers) + (b"" if head_only else body)


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def _once(headers: Headers, name: bytes) -> None:
    try:
        headers.one(name)
    except BadHeadError as error:
        raise HandshakeRefusedError(400, "head", f"{error.text}.") from error


def _lower(values: Iterable[bytes]) -> list[bytes]:
    return [value.lower() for value in values]


def _host_name(value: bytes | None) -> str:
    """Return the host of `host[:port]` in lower case, without final dot; raises HandshakeRefusedError."""
    match = _HOST.fullmatch(value) if value else None
    if match is None or (match[2] and int(match[2]) > 65535):
        raise HandshakeRefusedError(400, "head", "Host is missing or malformed.")
    return match[1].decode().lower().removesuffix(".")


def _has_body(headers: Headers) -> bool:
    return bool(headers.all(b"transfer-encoding")) or _has_length(headers)


def _has_length(headers: Headers) -> bool:
    length = headers.one(b"content-length")
    return length is not None and not _ZERO.fullmatch(length)


def _asks_for_websocket(headers: Headers) -> bool:
    return _names_websocket(headers) and _is_of_upgrade(headers)


def _names_websocket(headers: Headers) -> bool:
    return b"websocket" in _lower(headers.members(b"upgrade"))


def _is_of_upgrade(headers: Headers) -> bool:
    return b"upgrade" in _options(headers)


def _options(headers: Headers) -> Sequence[bytes]:
    """Return the members of Connection in lower case."""
    values = headers.all(b"connection")
    return _UPGRADE if values in _UPGRADE_ALONE else _lower(headers.members(b"connection"))


def _extension(offer: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Parse `name; key=value; flag`; raises ValueError where it breaks RFC 6455 section 9.1."""
    name, *rest = (part.strip(b" \t") for part in offer.split(b";"))
    parameters: dict[bytes, bytes] = {}
    for part in rest:
        key, equals, value = (piece.strip(b" \t") for piece in part.partition(b"="))
        if len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = value[1:-1]
        if not is_token(key) or key in parameters or (equals and not is_token(value)):
            raise ValueError("malformed extension parameter")
        parameters[key] = value
    if not is_token(name):
        raise ValueError("malformed extension")
    return name.lower(), parameters


def _deflate_offers(headers: Headers) -> tuple[bytes, ...]:
    """Return the offers of permessage-deflate, as the client wrote them.

    Extensions change the meaning of frames, so only the one that the pump can parse is passed on. A malformed
    offer is left out, as a server declines it.
    """
    lines = headers.all(b"sec-websocket-extensions")
    if not lines:
        return ()
    text = b",".join(lines)
    offers = text.split(b",") if b'"' not in text else _QUOTED_MEMBER.findall(text)
    return tuple([offer for offer in [part.strip(b" \t") for part in offers] if _is_deflate(offer)])


def _is_deflate(offer: bytes) -> bool:
    if offer[: len(_DEFLATE)].lower() != _DEFLATE:  # thousands of empty offers must not cost an error each
        return False
    try:
        return _extension(offer)[0] == _DEFLATE
    except ValueError:
        return False


def _deflate_agreed(upgrade: Upgrade, answered: Sequence[bytes]) -> bool:
    """Return whether a 101 accepts permessage-deflate (RFC 7692); raises BadAnswerError.

    An answer has at most one extension, which must be permessage-deflate and match an offer.
    """
    if not answered:
        return False
    if len(answered) > 1 or not upgrade.offers:
        raise BadAnswerError("101 with an extension that was not offered")
    try:
        name, parameters = _extension(answered[0])
    except ValueError as error:
        raise BadAnswerError("101 with malformed Sec-WebSocket-Extensions") from error
    if name != _DEFLATE:
        raise BadAnswerError("101 with an extension that was not offered")
    offers = [_extension(offer)[1] for offer in upgrade.offers]
    if not any(_answers(parameters, offer) for offer in offers):
        raise BadAnswerError("101 with permessage-deflate parameters that were not offered")
    return True


def _offered_bits(value: bytes | None) -> int:
    """Return the window bits that an offer allows: without a valid value the largest, 15."""
    return int(value) if value and _BITS.fullmatch(value) else 15


def _answers(parameters: dict[bytes, bytes], offer: dict[bytes, bytes]) -> bool:
    """Return whether `parameters` may answer `offer` (RFC 7692 section 7.1)."""
    for key, value in parameters.items():
        if key in (b"server_no_context_takeover", b"client_no_context_takeover"):
            if value:
                return False
        elif key == b"server_max_window_bits":
            if not _BITS.fullmatch(value) or int(value) > _offered_bits(offer.get(key)):
                return False
        elif key == b"client_max_window_bits":
            if key not in offer or not _BITS.fullmatch(value) or int(value) > _offered_bits(offer[key]):
                return False
        else:
            return False
    return b"server_no_context_takeover" not in offer or b"server_no_context_takeover" in parameters
