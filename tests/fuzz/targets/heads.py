"""Heads of requests and answers: the relay and h11 read the same from the relay's output.

h11 is stricter than the relay where nothing depends on it, so it reads the same head in another spelling:
without the empty lines before a request, with bytes above ASCII in a target encoded, without the framing
headers of a 101. For targets in absolute-form the standard library is the second reader.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import quote_from_bytes, urlsplit

import h11

from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol import handshake, http1
from wsedge_relay.protocol.forwarded import Networks, way_of
from wsedge_relay.protocol.handshake import Upgrade
from wsedge_relay.protocol.http1 import BadHeadError, Header, Headers, RequestHead, ResponseHead

PEER = "10.0.0.1"
PROXIES = Networks(["10.0.0.0/8"])
LOOP = (b"CDN-Loop", b"wsedge; id=0123456789abcdef")
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
# Fields of one hop: a proxy that forwarded them would send them for another hop.
HOP = {b"connection", b"upgrade", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"content-length"}

_OFFERS = (
    b"",
    b"permessage-deflate",
    b"permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
    b"permessage-deflate; server_max_window_bits=9, permessage-deflate; client_max_window_bits",
)


def request(data: bytes) -> None:
    """Read `data` as a request: the first byte selects the kind of client, the rest are its bytes."""
    flags, stream = data[0] if data else 0, behind_empty_lines(data[1:])
    head = head_of(stream)
    if not head:
        return
    try:
        asked = http1.parse_request(head)
        first = b"%b %b HTTP/1.%d" % (asked.method, asked.target, asked.minor)
        again = http1.parse_request(http1.build_head(first, asked.headers.lines))
        assert (again.method, again.target, again.minor) == (asked.method, asked.target, asked.minor)
        assert again.headers.lines == asked.headers.lines
        _alike_in_a_long_head(http1.parse_request, head, asked.headers)
        name = handshake.domain_of(handshake.host_of(asked))
        assert name == name.lower()
        upgrade = handshake.check_upgrade(asked)
    except BadHeadError as error:
        _refused(HandshakeRefusedError(error.status, "head", error.text))
    except HandshakeRefusedError as error:
        _refused(error)
    else:
        target = head.split(b" ", 2)[1]
        check_target(target, asked)
        assert read_by_h11(head) == (asked.method, encoded(target), _lower(asked.headers.lines))
        _forwarded(upgrade, trusted=bool(flags & 1), secure=bool(flags & 2))


def answer(data: bytes) -> None:
    """Read `data` as an origin's answer: the first byte selects the request, the rest is the answer."""
    flags, stream = data[0] if data else 0, data[1:]
    upgrade = _asked(flags)
    head = head_of(stream)
    if not head:
        return
    try:
        said = http1.parse_response(head)
    except BadHeadError as error:
        _refused(HandshakeRefusedError(error.status, "head", error.text))
        return
    again = http1.build_head(http1.status_line(said.status, said.reason), said.headers.lines)
    assert http1.parse_response(again).headers.lines == said.headers.lines
    _alike_in_a_long_head(http1.parse_response, head, said.headers)
    if said.status == 101:
        _switched(upgrade, said, head)
    else:
        passed = handshake.passed_headers(said.headers)
        told = http1.build_head(http1.status_line(said.status, said.reason), passed)
        _one_reading(told, http1.parse_response(told).headers.lines, passed)
        assert not HOP & {name.lower() for name, _ in passed}


def behind_empty_lines(stream: bytes) -> bytes:
    """Return a stream of requests from its first request on, or b"" if too many empty lines come before."""
    lines = 0
    while stream[2 * lines : 2 * lines + 2] == b"\r\n":
        lines += 1
    for cut in range(2 * lines + 2):
        few = cut // 2 <= http1.MAX_EMPTY_LINES
        assert http1.is_empty_lines(stream[: min(cut, 2 * lines)]) is few
    try:
        end = http1.empty_lines_end(stream)
    except BadHeadError as error:
        _refused(HandshakeRefusedError(error.status, "head", error.text))
        assert lines > http1.MAX_EMPTY_LINES
        return b""
    assert end == 2 * lines
    return stream[end:]


def encoded(target: bytes) -> bytes:
    """Return a target with its bytes above ASCII percent-encoded."""
    return b"".join(
        quote_from_bytes(bytes([byte])).encode() if byte > 0x7F else bytes([byte]) for byte in target
    )


def check_target(target: bytes, asked: RequestHead) -> None:
    """Assert that a target is in origin-form, or that the standard library reads the same URL."""
    if target == asked.target:
        assert asked.authority is None
        assert target.startswith(b"/") or (asked.method, target) == (b"OPTIONS", b"*")
        return
    url = urlsplit(target.decode("latin-1"))
    assert url.scheme in ("http", "https", "ws", "wss")
    assert asked.authority == url.netloc.encode("latin-1")
    host = handshake.host_of(asked).removeprefix("[").removesuffix("]")
    assert host == (url.hostname or "").removesuffix(".")
    assert url.username is None
    whole = url.path + "?" * (b"?" in target) + url.query
    if not url.path:
        whole = "*" if asked.method == b"OPTIONS" and b"?" not in target else "/" + whole
    assert asked.target == whole.encode("latin-1")


def head_of(stream: bytes) -> bytes:
    """Return the head at the begin of `stream`, b"" for none; it is the same for all cuts of the stream."""
    try:
        end = http1.head_end(stream)
    except BadHeadError:
        with suppress(BadHeadError):  # an invalid beginning stays refused whatever follows
            assert http1.head_end(stream + b"\r\n\r\n") < 0
        return b""
    assert 0 <= end <= http1.MAX_HEAD_BYTES
    seen = 0
    for cut in (len(stream) // 3, len(stream) // 2, end - 1, end - 2, end, len(stream)):
        if cut < seen:
            continue
        found = http1.head_end(stream[:cut], seen=seen)
        assert found == (end if end and cut >= end else 0)
        seen = cut
        if found:
            break
    return stream[:end]


def _alike_in_a_long_head(
    parse: Callable[[bytes], RequestHead | ResponseHead], head: bytes, headers: Headers
) -> None:
    """Assert the same result for a head longer than most, which the relay reads line by line."""
    if len(headers.lines) > http1.MAX_HEADERS - 2:
        return
    padding = (b"X-Padding: " + b"x" * (http1.MAX_LINE_BYTES // 2) + b"\r\n") * 2
    try:
        lines = parse(head[:-2] + padding + b"\r\n").headers.lines
    except BadHeadError as error:
        raise AssertionError(f"read in two ways: {error.text}") from error
    assert list(lines[:-2]) == list(headers.lines)


def for_h11(stream: bytes) -> bytes:
    """Return a stream that begins with a request, with its target encoded."""
    method, space, rest = stream.partition(b" ")
    target, *others = rest.partition(b" ")
    return method + space + encoded(target) + b"".join(others)


def read_by_h11(head: bytes) -> tuple[bytes, bytes, list[Header]]:
    """Return method, encoded target and headers by another strict parser, which must find no body."""
    other = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    other.receive_data(for_h11(head))
    try:
        event = other.next_event()
        assert isinstance(event, h11.Request), event
        end = other.next_event()
        assert isinstance(end, h11.EndOfMessage), end
    except h11.RemoteProtocolError as error:
        raise AssertionError(f"h11 refuses what the relay takes: {error}") from error
    assert other.trailing_data == (b"", False)
    return event.method, event.target, _lower(event.headers.raw_items())


def _forwarded(upgrade: Upgrade, *, trusted: bool, secure: bool) -> None:
    """Check the request that the relay sends to an origin for a client."""
    asked = upgrade.request
    if len(asked.headers.lines) > http1.MAX_HEADERS - 8:
        return  # with the relay's own lines they exceed its own limit for reading
    way = way_of(asked.headers, PEER if trusted else "192.0.2.1", PROXIES)
    assert str(ip_address(way.client)) == way.client
    told = handshake.origin_request(upgrade, host="origin:81", way=way, secure=secure, loop=LOOP)
    again = http1.parse_request(told)
    _one_reading(told, again.headers.lines, again.headers.lines)
    assert (again.method, again.target) == (b"GET", asked.target)
    assert read_by_h11(told) == (b"GET", encoded(asked.target), _lower(again.headers.lines))
    assert again.headers.all(b"sec-websocket-protocol") == asked.headers.all(b"sec-websocket-protocol")
    handshake.host_of(again)
    checked = handshake.check_upgrade(again)
    assert (checked.key, checked.protocols, checked.offers) == (
        upgrade.key,
        upgrade.protocols,
        upgrade.offers,
    )
    assert checked.host == b"origin:81"
    for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"):
        assert again.headers.one(name)
    assert not again.headers.all(b"x-real-ip")
    names = {name.lower() for name, _ in again.headers.lines}
    assert not names & (HOP - {b"connection", b"upgrade"})
    for kept in (b"origin", b"cookie", b"authorization"):
        assert again.headers.all(kept) == asked.headers.all(kept)
    if not trusted:
        assert again.headers.one(b"x-forwarded-for") == b"192.0.2.1"
        assert again.headers.one(b"x-forwarded-proto") == (b"https" if secure else b"http")


def _switched(upgrade: Upgrade, said: ResponseHead, head: bytes) -> None:
    """Check the answer to a client after an origin's 101."""
    try:
        accepted = handshake.check_answer(upgrade, said)
    except BadAnswerError:
        return
    assert accepted.deflate <= bool(upgrade.offers)
    told = handshake.client_answer(accepted)
    again = http1.parse_response(told)
    _one_reading(told, again.headers.lines, again.headers.lines)
    assert again.headers.one(b"sec-websocket-accept") == handshake.accept_of(upgrade.key)
    assert set(again.headers.members(b"sec-websocket-protocol")) <= set(upgrade.protocols)
    assert not again.headers.all(b"content-length")
    assert not again.headers.all(b"transfer-encoding")
    assert handshake.check_answer(upgrade, again).deflate is accepted.deflate
    framing = (b"content-length", b"transfer-encoding")  # of no meaning in a 101
    unframed = [line for name, line in said.headers.items() if name not in framing]
    for answer in (http1.build_head(head.partition(b"\r\n")[0], unframed), told):
        other = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        lines = [(b"Host", b"a"), (b"Connection", b"upgrade"), (b"Upgrade", b"websocket")]
        other.send(h11.Request(method=b"GET", target=b"/", headers=lines))
        other.send(h11.EndOfMessage())
        other.receive_data(answer)
        event = other.next_event()
        assert isinstance(event, h11.InformationalResponse), event
        assert event.status_code == 101
        assert _lower(event.headers.raw_items()) == _lower(http1.parse_response(answer).headers.lines)
        assert other.their_state is h11.SWITCHED_PROTOCOL


def _asked(flags: int) -> Upgrade:
    lines = [
        (b"Host", b"a"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY),
    ]
    if flags & 1:
        lines.append((b"Sec-WebSocket-Protocol", b"chat, superchat"))
    if offer := _OFFERS[flags >> 1 & 3]:
        lines.append((b"Sec-WebSocket-Extensions", offer))
    return handshake.check_upgrade(RequestHead(b"GET", b"/", http1.Headers(tuple(lines))))


def _refused(refused: HandshakeRefusedError) -> None:
    """Assert that a refusal is one answer, with nothing of the request that could begin another one."""
    assert 400 <= refused.status <= 599
    told = handshake.refusal(refused)
    end = http1.head_end(told)
    lines = http1.parse_response(told[:end]).headers
    assert lines.one(b"content-length") == b"%d" % len(told[end:])
    assert b"close" in lines.members(b"connection")
    assert handshake.refusal(refused, head_only=True) == told[:end]


def _one_reading(head: bytes, lines: tuple[Header, ...], wanted: object) -> None:
    """Assert that the output has as many lines as intended, and that no value ends a line."""
    assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n") == len(lines) + 2
    assert head.endswith(b"\r\n\r\n")
    assert b"\0" not in head
    assert list(lines) == list(wanted)  # type: ignore[call-overload]


def _lower(lines: object) -> list[Header]:
    return [(bytes(name).lower(), bytes(value)) for name, value in lines]  # type: ignore[attr-defined]
