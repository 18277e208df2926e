"""The opening handshake through an intermediary: headers that pass, headers that are replaced, refusals."""

from __future__ import annotations

import pytest

from support.relay.heads import ACCEPT, KEY
from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol import handshake, http1
from wsedge_relay.protocol.forwarded import Way
from wsedge_relay.protocol.handshake import Upgrade
from wsedge_relay.protocol.http1 import parse_request, parse_response

LOOP = (b"CDN-Loop", b"wsedge; id=0123456789abcdef")


def upgrade(*lines: str) -> Upgrade:
    """Return a checked upgrade with these lines added."""
    base = [
        "GET /room?id=1 HTTP/1.1",
        "Host: Chat.Example.com:8080",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY.decode()}",
    ]
    request = parse_request("\r\n".join([*base, *lines, "", ""]).encode())
    assert handshake.host_of(request) == "chat.example.com"
    return handshake.check_upgrade(request)


def answer(*lines: str) -> http1.ResponseHead:
    """Return a proper 101 with these lines added."""
    base = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: WEBSOCKET",
        "connection: upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT.decode()}",
    ]
    return parse_response("\r\n".join([*base, *lines, "", ""]).encode())


def asked(one: Upgrade, *, client: str = "192.0.2.1", secure: bool = False) -> http1.RequestHead:
    """Return the request that the origin gets."""
    way = Way(client, client)
    return parse_request(handshake.origin_request(one, host="origin:81", way=way, secure=secure, loop=LOOP))


def test_the_accept_is_that_of_the_rfc() -> None:
    """The example of RFC 6455 section 1.3."""
    assert handshake.accept_of(KEY) == ACCEPT


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("A.example", "a.example"),
        ("a.example.", "a.example"),
        ("a.example:443", "a.example"),
        ("[::1]:80", "[::1]"),
        ("10.0.0.1", "10.0.0.1"),
        ("a.example:", "a.example"),
        ("[::1]:", "[::1]"),
        ("", None),
        (":80", None),
        ("a:8:0", None),
        ("a:000080", None),
        ("a b", None),
        ("a@b", None),
        ("a:99999", None),
        ("a,b", None),
    ],
)
def test_hosts(value: str, host: str | None) -> None:
    """A Host is a name or address with an optional port, and nothing else."""
    request = parse_request(f"GET / HTTP/1.1\r\nHost: {value}\r\n\r\n".encode())
    if host is None:
        with pytest.raises(HandshakeRefusedError) as refused:
            handshake.host_of(request)
        assert refused.value.status == 400
    else:
        assert handshake.host_of(request) == host


def test_the_origin_gets_the_request_with_its_hop_made_anew() -> None:
    """Hop-by-hop headers and the client's forwarding headers are removed."""
    request = asked(
        upgrade(
            "Cookie: a=b",
            "Origin: https://x",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Keep-Alive: 5",
            "TE: trailers",
            "Proxy-Authorization: secret",
            "X-Forwarded-For: 6.6.6.6",
            "X-Real-IP: 6.6.6.6",
            "Forwarded: for=6.6.6.6",
            "X_Forwarded_For: 6.6.6.6",
            "x-real_ip: 6.6.6.6",
        )
    )
    assert (request.method, request.target) == (b"GET", b"/room?id=1")
    assert list(request.headers.lines) == [
        (b"Host", b"origin:81"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", KEY),
        (b"Cookie", b"a=b"),
        (b"Origin", b"https://x"),
        (b"Sec-WebSocket-Protocol", b"chat, superchat"),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"Chat.Example.com:8080"),
        (b"Forwarded", b'for=192.0.2.1;host="Chat.Example.com:8080";proto=http'),
        LOOP,
    ]


def test_an_ipv6_client_is_quoted_in_forwarded() -> None:
    """RFC 7239 section 6 requires brackets and quotes."""
    headers = asked(upgrade(), client="2001:db8::1", secure=True).headers
    assert headers.one(b"forwarded") == b'for="[2001:db8::1]";host="Chat.Example.com:8080";proto=https'
    assert headers.one(b"x-forwarded-for") == b"2001:db8::1"


def test_connection_cannot_strip_what_the_handshake_needs() -> None:
    """Headers that Connection lists are removed, except those that the handshake needs."""
    request = http1.parse_request(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, cookie, x-hop, sec-websocket-protocol\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
        b"Cookie: a\r\nX-Hop: b\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
    headers = asked(handshake.check_upgrade(request)).headers
    assert headers.one(b"cookie") == b"a"
    assert headers.one(b"sec-websocket-protocol") == b"chat"
    assert headers.one(b"x-hop") is None


def test_only_extensions_that_the_walk_knows_are_offered_on() -> None:
    """permessage-deflate is forwarded as it was sent; other extensions could change the meaning of frames."""
    one = upgrade(
        "Sec-WebSocket-Extensions: x-mux, permessage-deflate; client_max_window_bits, permessage-deflate"
    )
    assert asked(one).headers.all(b"sec-websocket-extensions") == [
        b"permessage-deflate; client_max_window_bits, permessage-deflate"
    ]


EXTENSIONS: dict[str, tuple[str, str, bool | None]] = {
    "none for none": ("", "", False),
    "none for an offer": ("permessage-deflate", "", False),
    "the offer": ("permessage-deflate", "permessage-deflate", True),
    "takeover given up": ("permessage-deflate", "permessage-deflate; server_no_context_takeover", True),
    "a server window": ("permessage-deflate", "permessage-deflate; server_max_window_bits=10", True),
    "a client window that was offered": (
        "permessage-deflate; client_max_window_bits",
        'permessage-deflate; client_max_window_bits="12"',
        True,
    ),
    "the second offer": (
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "permessage-deflate; server_max_window_bits=15",
        True,
    ),
    "a client window that was not offered": (
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits=12",
        None,
    ),
    "a window larger than offered": (
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=11",
        None,
    ),
    "a window of 16 bits": ("permessage-deflate", "permessage-deflate; server_max_window_bits=16", None),
    "a takeover with a value": (
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover=1",
        None,
    ),
    "a takeover that was refused": (
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate",
        None,
    ),
    "an unknown parameter": ("permessage-deflate", "permessage-deflate; level=9", None),
    "a parameter twice": (
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        None,
    ),
    "two extensions": ("permessage-deflate", "permessage-deflate, permessage-deflate", None),
    "another extension": ("permessage-deflate", "x-mux", None),
    "one that was not offered": ("", "permessage-deflate", None),
    "a malformed one": ("permessage-deflate", "permessage deflate", None),
}


@pytest.mark.parametrize("case", EXTENSIONS)
def test_extensions_answer_an_offer(case: str) -> None:
    """A 101 may accept an offer, and nothing that was not offered (RFC 7692 section 7.1)."""
    offered, answered, deflate = EXTENSIONS[case]
    one = upgrade(*[f"Sec-WebSocket-Extensions: {offered}"] * bool(offered))
    head = answer(*[f"Sec-WebSocket-Extensions: {answered}"] * bool(answered))
    if deflate is None:
        with pytest.raises(BadAnswerError):
            handshake.check_answer(one, head)
    else:
        assert handshake.check_answer(one, head).deflate is deflate


@pytest.mark.parametrize(
    "line",
    [
        f"Sec-WebSocket-Accept: {ACCEPT.decode()}",
        "Content-Length: 3",
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Protocol: SPDY/3.1",
        "Sec-WebSocket-Protocol: mqtt, chat",
        "Sec-WebSocket-Protocol: MQTT",
    ],
)
def test_a_101_with_a_line_too_many_is_no_101(line: str) -> None:
    """A second proof, a body, and subprotocols that were not offered are errors of the origin."""
    with pytest.raises(BadAnswerError):
        handshake.check_answer(upgrade("Sec-WebSocket-Protocol: mqtt"), answer(line))


ODD_101 = {
    "chunks": ("Transfer-Encoding: chunked",),
    "an unknown coding, twice": ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
    "a length of nothing": ("Content-Length: 00",),
    "Upgrade twice": ("Upgrade: websocket",),
    "Upgrade as a list": ("Upgrade: h2c, websocket,",),
    "Connection twice": ("Connection: keep-alive",),
    "no subprotocol, said aloud": ("Sec-WebSocket-Protocol:",),
    "no extension, said aloud": ("Sec-WebSocket-Extensions: ",),
}


@pytest.mark.parametrize("lines", ODD_101.values(), ids=ODD_101.keys())
def test_a_101_may_look_odd(lines: tuple[str, ...]) -> None:
    """A 101 has no body and ends with its head; the client gets one Upgrade and no framing."""
    one = upgrade("Sec-WebSocket-Protocol: chat")
    accepted = handshake.check_answer(one, answer(*lines))
    assert not accepted.deflate
    got = parse_response(handshake.client_answer(accepted)).headers
    assert (got.one(b"upgrade"), got.one(b"connection")) == (b"websocket", b"Upgrade")
    assert not got.all(b"transfer-encoding")
    assert not got.all(b"content-length")
    for name in (b"sec-websocket-protocol", b"sec-websocket-extensions"):
        assert got.all(name) == [b""] * any(line.lower().startswith(name.decode()) for line in lines)


def test_the_client_gets_the_origins_101() -> None:
    """Accept, subprotocol and cookies are forwarded; hop-by-hop headers are replaced."""
    one = upgrade("Sec-WebSocket-Protocol: chat")
    accepted = handshake.check_answer(
        one, answer("Sec-WebSocket-Protocol: chat", "Set-Cookie: a=b", "Keep-Alive: 5")
    )
    assert handshake.client_answer(accepted) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n"
        b"Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\n\r\n"
    )


def test_a_refusal_to_head_has_no_body() -> None:
    """The answer to HEAD is the head alone (RFC 9110 section 9.3.2)."""
    refused = HandshakeRefusedError(405, "method", "Only GET.", headers=[(b"Allow", b"GET")])
    whole = handshake.refusal(refused)
    assert whole.endswith(b"\r\nContent-Length: 10\r\nConnection: close\r\nAllow: GET\r\n\r\nOnly GET.\n")
    assert handshake.refusal(refused, head_only=True) == whole.removesuffix(b"Only GET.\n")


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY.decode()}",
)
REFUSED: dict[str, tuple[str, tuple[str, ...], tuple[int, str], tuple[tuple[bytes, bytes], ...]]] = {
    "HTTP/1.0, which has no upgrade": ("GET / HTTP/1.0", UPGRADE, (505, "head"), ()),
    "another method than GET": ("POST / HTTP/1.1", UPGRADE, (405, "method"), ((b"Allow", b"GET"),)),
    "a body with a length": ("GET / HTTP/1.1", ("Content-Length: 3", *UPGRADE), (400, "body"), ()),
    "a body in chunks": ("GET / HTTP/1.1", ("Transfer-Encoding: chunked", *UPGRADE), (400, "body"), ()),
    "no Upgrade": (
        "GET / HTTP/1.1",
        UPGRADE[:1] + UPGRADE[2:],
        (426, "upgrade"),
        ((b"Upgrade", b"websocket"),),
    ),
    "no Connection": ("GET / HTTP/1.1", UPGRADE[1:], (426, "upgrade"), ((b"Upgrade", b"websocket"),)),
    "another version": (
        "GET / HTTP/1.1",
        (*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]),
        (426, "version"),
        ((b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")),
    ),
    "no key": ("GET / HTTP/1.1", UPGRADE[:3], (400, "key"), ()),
    "a key of 15 bytes": (
        "GET / HTTP/1.1",
        (*UPGRADE[:3], "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
        (400, "key"),
        (),
    ),
    "two versions": (
        "GET / HTTP/1.1",
        (*UPGRADE, "Sec-WebSocket-Version: 8"),
        (426, "version"),
        ((b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")),
    ),
    "no version": (
        "GET / HTTP/1.1",
        (*UPGRADE[:2], UPGRADE[3]),
        (426, "version"),
        ((b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")),
    ),
    "a length with a sign": ("GET / HTTP/1.1", ("Content-Length: +0", *UPGRADE), (400, "body"), ()),
    "a length of too many digits": (
        "GET / HTTP/1.1",
        ("Content-Length: " + "0" * 19, *UPGRADE),
        (400, "body"),
        (),
    ),
    "an empty length": ("GET / HTTP/1.1", ("Content-Length:", *UPGRADE), (400, "body"), ()),
    "an empty coding": ("GET / HTTP/1.1", ("Transfer-Encoding:", *UPGRADE), (400, "body"), ()),
    "an Upgrade whose name only begins so": (
        "GET / HTTP/1.1",
        (UPGRADE[0], "Upgrade: websocket2, xwebsocket", *UPGRADE[2:]),
        (426, "upgrade"),
        ((b"Upgrade", b"websocket"),),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_handshake_is_refused_with_its_status(case: str) -> None:
    """A 405 lists the allowed methods, a 426 the required protocol (RFC 9110 sections 15.5.6 and 15.5.22)."""
    first, lines, (status, reason), headers = REFUSED[case]
    request = parse_request("\r\n".join([first, "Host: a", *lines, "", ""]).encode())
    with pytest.raises(HandshakeRefusedError) as refused:
        handshake.check_upgrade(request)
    assert (refused.value.status, refused.value.reason) == (status, reason)
    assert refused.value.headers == headers


ONCE = ("Host: a", "Content-Length: 0", "Transfer-Encoding: chunked", UPGRADE[3])


@pytest.mark.parametrize("line", ONCE)
def test_a_repeated_header_of_the_handshake_is_refused(line: str) -> None:
    """Two parsers could use different lines; other headers may be repeated."""
    first = "GET / HTTP/1.1"
    host = () if line == "Host: a" else ("Host: a",)
    request = parse_request("\r\n".join([first, *host, line, line, "", ""]).encode())
    with pytest.raises(HandshakeRefusedError, match="is given 2 times") as refused:
        handshake.host_of(request)
    assert refused.value.status == 400
    twice = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\nCookie: b\r\n\r\n")
    assert handshake.host_of(twice) == "a"


LISTS = {
    "Connection on two lines": ("Connection: keep-alive", *UPGRADE),
    "Connection on two lines, in the other order": (*UPGRADE, "Connection: keep-alive"),
    "Connection twice": (*UPGRADE, "Connection: upgrade"),
    "Upgrade with another protocol": (UPGRADE[0], "Upgrade: h2c, websocket", *UPGRADE[2:]),
    "Upgrade with an empty member": (UPGRADE[0], "Upgrade: websocket,", *UPGRADE[2:]),
    "Upgrade on two lines": ("Upgrade: h2c", *UPGRADE),
    "Upgrade twice": ("Upgrade: WebSocket", *UPGRADE),
    "the version twice": (*UPGRADE, "Sec-WebSocket-Version: 13"),
    "no length, written in two digits": ("Content-Length: 00", *UPGRADE),
    "no length, written in many digits": ("Content-Length: " + "0" * 18, *UPGRADE),
}


@pytest.mark.parametrize("lines", LISTS.values(), ids=LISTS.keys())
def test_lines_of_a_list_are_one_list(lines: tuple[str, ...]) -> None:
    """RFC 9110 section 5.3: the origin gets one Connection, one Upgrade, one version, no other protocol."""
    request = parse_request("\r\n".join(["GET / HTTP/1.1", "Host: a", *lines, "", ""]).encode())
    handshake.host_of(request)
    headers = asked(handshake.check_upgrade(request)).headers
    assert (headers.one(b"connection"), headers.one(b"upgrade")) == (b"Upgrade", b"websocket")
    assert headers.one(b"sec-websocket-version") == b"13"
    assert headers.one(b"content-length") is None


SUBPROTOCOLS = {
    "with a slash and a plus": ("SPDY/3.1+portforward.k8s.io",),
    "with a colon": ("ogmios.v1:compact",),
    "a padded token": ("base64url.bearer.authorization.k8s.io.aGVsbG8=", "v4.channel.k8s.io"),
    "twice": ("mqtt, mqtt",),
    "in quotes, with bytes above ASCII": ('"\xe9 x"',),
    "with empty members": (",chat,, superchat,",),
    "none": ("",),
}


@pytest.mark.parametrize("values", SUBPROTOCOLS.values(), ids=SUBPROTOCOLS.keys())
def test_subprotocols_pass_byte_for_byte(values: tuple[str, ...]) -> None:
    """To the origin as they came, on their lines; and each member may be its answer."""
    lines = [f"Sec-WebSocket-Protocol: {value}" for value in values]
    request = parse_request(
        "\r\n".join(["GET / HTTP/1.1", "Host: a", *UPGRADE, *lines, "", ""]).encode("latin-1")
    )
    one = handshake.check_upgrade(request)
    assert asked(one).headers.all(b"sec-websocket-protocol") == [value.encode("latin-1") for value in values]
    for name in one.protocols:
        said = parse_response(
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: "
            + ACCEPT
            + b"\r\nSec-WebSocket-Protocol: "
            + name
            + b"\r\n\r\n"
        )
        assert name in handshake.client_answer(handshake.check_answer(one, said))


def test_an_origin_may_repeat_all_that_was_offered() -> None:
    """Some servers return the whole list; the client decides what that means."""
    accepted = handshake.check_answer(
        upgrade("Sec-WebSocket-Protocol: a, b"), answer("Sec-WebSocket-Protocol: a, b")
    )
    assert b"\r\nSec-WebSocket-Protocol: a, b\r\n" in handshake.client_answer(accepted)


OFFERS = {
    "a malformed one of another extension": ("x-y; a;=, permessage-deflate", [b"permessage-deflate"]),
    "a malformed one behind": ("permessage-deflate, a b", [b"permessage-deflate"]),
    "a malformed one of the same extension": (
        "permessage-deflate; server_max_window_bits=, permessage-deflate; client_max_window_bits",
        [b"permessage-deflate; client_max_window_bits"],
    ),
    "a parameter twice": ("permessage-deflate; a; a", []),
    "no token": ("a b", []),
    "a well-formed one within quotes": ('x; a="b, permessage-deflate, c"', []),
    "one behind quotes": ('x; a="b,\\"", permessage-deflate', [b"permessage-deflate"]),
    "one behind quotes that stay open": ('x; a="b, permessage-deflate', []),
    "quotes that end in an escape": ('permessage-deflate, x; a="b\\', [b"permessage-deflate"]),
    "a number in quotes": (
        'permessage-deflate; server_max_window_bits="10"',
        [b'permessage-deflate; server_max_window_bits="10"'],
    ),
    "another extension whose name begins so": ("permessage-deflate2, permessage-deflate-x", []),
    "capitals": (
        "Permessage-Deflate;client_no_context_takeover",
        [b"Permessage-Deflate;client_no_context_takeover"],
    ),
    "commas alone": ("," * 4000, []),
    "nothing": ("", []),
}


@pytest.mark.parametrize(("value", "kept"), OFFERS.values(), ids=OFFERS.keys())
def test_a_malformed_offer_is_left_out(value: str, kept: list[bytes]) -> None:
    """A server declines an offer that it cannot read; the others stay, as they were written."""
    headers = asked(upgrade(f"Sec-WebSocket-Extensions: {value}")).headers
    assert headers.all(b"sec-websocket-extensions") == [b", ".join(kept)] * bool(kept)


URLS = {
    "a name": (
        ("GET http://Chat.Example.com/room?id=1 HTTP/1.1", "Host: other"),
        "chat.example.com",
        b"/room?id=1",
    ),
    "ws": (("GET ws://a:81/x HTTP/1.1", "Host: a:81"), "a", b"/x"),
    "wss in capitals": (("GET WSS://[::1]:443 HTTP/1.1", "Host: a"), "[::1]", b"/"),
    "a query without a path": (("GET https://a?b=http://c/d HTTP/1.1", "Host:"), "a", b"/?b=http://c/d"),
    "a port that is empty": (("GET http://a.: HTTP/1.1", "Host: a"), "a", b"/"),
    "HTTP/1.0 without Host": (("GET http://a/ HTTP/1.0",), "a", b"/"),
    "userinfo": (("GET http://a@b/ HTTP/1.1", "Host: b"), None, b""),
    "a port too large": (("GET http://a:65536/ HTTP/1.1", "Host: a"), None, b""),
    "a backslash": (("GET http://a\\b/ HTTP/1.1", "Host: a"), None, b""),
    "bytes above ASCII": (("GET http://\xe9/ HTTP/1.1", "Host: a"), None, b""),
    "no Host in HTTP/1.1": (("GET http://a/ HTTP/1.1",), None, b""),
    "a malformed Host": (("GET http://a/ HTTP/1.1", "Host: a b"), None, b""),
    "two Hosts": (("GET http://a/ HTTP/1.1", "Host: a", "Host: a"), None, b""),
}


@pytest.mark.parametrize(("lines", "host", "target"), URLS.values(), ids=URLS.keys())
def test_a_url_as_target_names_the_host(lines: tuple[str, ...], host: str | None, target: bytes) -> None:
    """RFC 9112 section 3.2.2: Host is ignored, but a request without a proper one stays malformed."""
    request = parse_request("\r\n".join([*lines, "", ""]).encode("latin-1"))
    if host is None:
        with pytest.raises(HandshakeRefusedError) as refused:
            handshake.host_of(request)
        assert (refused.value.status, refused.value.reason) == (400, "head")
    else:
        assert (handshake.host_of(request), request.target) == (host, target)


def test_a_url_is_sent_on_in_origin_form() -> None:
    """The origin gets path and query, and of the host what the target said."""
    request = parse_request(
        "\r\n".join(["GET ws://Chat.Example.com:80/a?b HTTP/1.1", "Host: other", *UPGRADE, "", ""]).encode()
    )
    got = asked(handshake.check_upgrade(request))
    assert (got.target, got.authority) == (b"/a?b", None)
    assert got.headers.all(b"host") == [b"origin:81"]
    assert got.headers.one(b"x-forwarded-host") == b"Chat.Example.com:80"
    assert b'host="Chat.Example.com:80"' in (got.headers.one(b"forwarded") or b"")


@pytest.mark.parametrize(
    ("head", "close", "expected"),
    [
        (b"HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", True,
         [(b"Upgrade", b"websocket, h2c"), (b"Connection", b"close, upgrade")]),
        (b"HTTP/1.1 426 x\r\nupgrade: a\r\nupgrade: b\r\n\r\n", False,
         [(b"Upgrade", b"a"), (b"Upgrade", b"b"), (b"Connection", b"upgrade")]),
        (b"HTTP/1.1 426 x\r\n\r\n", True, [(b"Connection", b"close")]),
        (b"HTTP/1.1 200 x\r\nUpgrade: h2c\r\n\r\n", True, [(b"Connection", b"close")]),
        (b"HTTP/1.1 200 x\r\nUpgrade: h2c\r\n\r\n", False, []),
    ],
)  # fmt: skip
def test_a_426_keeps_the_protocols_that_it_requires(
    head: bytes, close: bool, expected: list[tuple[bytes, bytes]]
) -> None:
    """RFC 9110 section 15.5.22; other answers only offer what the relay would not forward."""
    assert handshake.connection_headers(parse_response(head), close=close) == expected


BROKEN_101: dict[str, tuple[str, tuple[str, ...]]] = {
    "HTTP/1.0": ("HTTP/1.0 101 x", ("Upgrade: websocket", "Connection: upgrade")),
    "without Upgrade": ("HTTP/1.1 101 x", ("Connection: upgrade",)),
    "with another Upgrade": ("HTTP/1.1 101 x", ("Upgrade: h2c", "Connection: upgrade")),
    "without Connection": ("HTTP/1.1 101 x", ("Upgrade: websocket",)),
    "without Sec-WebSocket-Accept": ("HTTP/1.1 101 x", ("Upgrade: websocket", "Connection: upgrade")),
    "with the Accept of another key": (
        "HTTP/1.1 101 x",
        ("Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ),
}


@pytest.mark.parametrize("case", BROKEN_101)
def test_a_101_that_proves_no_upgrade_is_an_error_of_the_origin(case: str) -> None:
    """RFC 6455 section 4.1 makes the client fail the connection; the relay does that for it."""
    first, lines = BROKEN_101[case]
    head = parse_response("\r\n".join([first, *lines, "", ""]).encode())
    with pytest.raises(BadAnswerError):
        handshake.check_answer(upgrade(), head)


def test_an_offered_subprotocol_is_accepted() -> None:
    """Of several offers the origin selects one."""
    one = upgrade("Sec-WebSocket-Protocol: chat, superchat")
    assert one.protocols == (b"chat", b"superchat")
    assert not handshake.check_answer(one, answer("Sec-WebSocket-Protocol: superchat")).deflate


def test_a_426_keeps_upgrade_in_connection() -> None:
    """RFC 9110 section 7.8: a sender of Upgrade lists it in Connection."""
    refused = HandshakeRefusedError(426, "upgrade", "x", headers=[(b"Upgrade", b"websocket")])
    assert b"\r\nConnection: close, upgrade\r\n" in handshake.refusal(refused)


HOSTS = {
    "a name": ("chat.example.com", "chat.example.com"),
    "an IPv4 address": ("192.0.2.7", "192.0.2.7"),
    "an IPv6 address": ("[2001:0db8:0::7]", "2001:db8::7"),
}


@pytest.mark.parametrize(("host", "domain"), HOSTS.values(), ids=HOSTS)
def test_a_host_names_a_domain(host: str, domain: str) -> None:
    """IPv6 addresses are compared in one form, since clients write them in several."""
    assert handshake.domain_of(host) == domain
    assert handshake.domain_of(handshake.host_naming(domain)) == domain


@pytest.mark.parametrize("host", ["[1::2::3]", "[192.0.2.7]", "[a]"])
def test_brackets_hold_an_ipv6_address_only(host: str) -> None:
    """RFC 3986 section 3.2.2."""
    with pytest.raises(HandshakeRefusedError, match="Host is missing or malformed"):
        handshake.domain_of(host)


def test_a_domain_of_every_name_is_named_by_a_name_that_nobody_has() -> None:
    """Such a Host reaches no other domain."""
    assert handshake.host_naming("*") == "any.invalid"
