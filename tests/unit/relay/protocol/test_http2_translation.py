"""Translation of HTTP/2 requests to HTTP/1.1, and of answers back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.relay.heads import ACCEPT, KEY
from support.relay.http2 import Line, connect_lines, get_lines
from support.relay.running import DOMAIN
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol import handshake, http1, http2_translation
from wsedge_relay.protocol.http1 import BadHeadError, Headers, ResponseHead
from wsedge_relay.protocol.http2_translation import TranslatedRequest, answer_lines, refusal_lines


def translate(lines: list[Line]) -> TranslatedRequest:
    """Translate with the domain and key of all these tests."""
    return http2_translation.translate(lines, domain=DOMAIN, key=KEY)


def test_an_extended_connect_is_a_handshake() -> None:
    """The head is a whole handshake with the relay's own key."""
    asked = translate(connect_lines([(b"origin", b"https://a"), (b"cookie", b"a=1; b=2")], path=b"/room?x=1"))
    assert asked == TranslatedRequest(
        b"GET /room?x=1 HTTP/1.1\r\n"
        b"Host: chat.example.com\r\n"
        b"Connection: Upgrade\r\n"
        b"Upgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"sec-websocket-version: 13\r\n"
        b"origin: https://a\r\n"
        b"cookie: a=1; b=2\r\n\r\n",
        tunnel=True,
    )
    handshake.check_upgrade(http1.parse_request(asked.head))


def test_a_request_is_a_request() -> None:
    """The method is unchanged, and there is no upgrade."""
    asked = translate(get_lines([(b"accept", b"*/*")], method=b"HEAD"))
    assert asked.head == b"HEAD / HTTP/1.1\r\nHost: chat.example.com\r\naccept: */*\r\n\r\n"
    assert not asked.tunnel
    assert asked.refused is None


def test_headers_of_http_1_1_alone_are_dropped() -> None:
    """A second host, hop-by-hop headers of HTTP/1.1 and the client's key are dropped."""
    lines = [
        (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        (b"host", b"chat.example.com"),
        (b"upgrade", b"h2c"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
    ]
    assert translate(connect_lines(lines)).head == translate(connect_lines()).head


def test_a_key_of_the_client_gets_its_accept() -> None:
    """Envoy passes the key of a client with HTTP/1.1, which needs the Accept for it; others get none."""
    key = (b"sec-websocket-key", KEY)
    switched = ResponseHead(101, b"", 1, Headers([(b"Sec-WebSocket-Accept", b"of the relay's own key")]))
    for lines, accept in (
        (connect_lines([key]), [(b"sec-websocket-accept", ACCEPT)]),
        (connect_lines(), []),
        (connect_lines([key, key]), []),
    ):
        asked = translate(lines)
        assert answer_lines(switched, tunnel=True, accept=asked.accept) == [(b":status", b"200"), *accept]
    assert translate(get_lines([key])).accept is None
    refusal = ResponseHead(403, b"", 1, Headers([]))
    assert answer_lines(refusal, tunnel=True, accept=ACCEPT) == [(b":status", b"403")]


def test_a_request_may_name_its_host_by_a_header() -> None:
    """RFC 9113 section 8.3.1 allows Host instead of :authority, except for an extended CONNECT."""
    assert b"Host: other" in translate(get_lines([(b"host", b"other")], authority=None)).head
    assert translate(connect_lines([(b"host", b"other")], authority=None)).refused is not None


@pytest.mark.parametrize("scheme", [b"http", b"https", b"HTTP", b"ws", b"wss"])
def test_the_scheme_decides_nothing(scheme: bytes) -> None:
    """A proxy with a listener without TLS sends http; the head is the same."""
    assert translate(connect_lines(scheme=scheme)) == translate(connect_lines())
    assert translate(get_lines(scheme=scheme)) == translate(get_lines())


REFUSED: dict[str, tuple[list[Line], int, str]] = {
    "no :authority": (connect_lines(authority=None), 400, ":authority is missing."),
    "another scheme": (connect_lines(scheme=b"ftp"), 400, ":scheme must be http or https."),
    "no scheme": (connect_lines(scheme=None), 400, ":scheme must be http or https."),
    "a URL as path": (
        connect_lines(path=b"http://other.example.com/"),
        400,
        "The target is no path and query (origin-form).",
    ),
    "no path": (connect_lines(path=None), 400, "The target is no path and query (origin-form)."),
    "another protocol": (
        connect_lines(protocol=b"webtransport"),
        501,
        "Only the :protocol websocket is served here.",
    ),
    "no protocol": (connect_lines(protocol=None), 501, "CONNECT without :protocol is not served here."),
    "an unknown pseudo-header": (
        [(b":what", b"x"), *connect_lines()],
        400,
        "The pseudo-header fields are malformed.",
    ),
    "a pseudo-header twice": (
        [(b":path", b"/"), *connect_lines()],
        400,
        "The pseudo-header fields are malformed.",
    ),
    "a pseudo-header behind a header": (
        [*connect_lines(), (b":status", b"200")],
        400,
        "The pseudo-header fields are malformed.",
    ),
    "a line break in a path": (
        connect_lines(path=b"/ HTTP/1.1\r\nx: y"),
        400,
        "A header has a control byte.",
    ),
    "a line break in a value": (connect_lines([(b"x", b"a\nb")]), 400, "A header has a control byte."),
    "a NUL in a name": (connect_lines([(b"x\0", b"a")]), 400, "A header has a control byte."),
    "a name that is no token": (connect_lines([(b"x y", b"a")]), 400, "The name of a header is no token."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_untranslatable_request_is_refused(case: str) -> None:
    """The refusal has its status, and the head names the connection's domain only."""
    lines, status, text = REFUSED[case]
    asked = translate(lines)
    assert asked.refused is not None
    assert (asked.refused.status, asked.refused.text) == (status, text)
    assert asked.head == b"GET / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n"


VALUES = st.binary(max_size=20)
NAMES = st.one_of(st.sampled_from([b":method", b":path", b":authority", b"x", b"cookie", b"host"]), VALUES)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_no_header_becomes_two(lines: list[Line], good: bool) -> None:
    """With any lines the head has exactly these lines, or the request is refused: no smuggling."""
    asked = translate([*(connect_lines() if good else []), *lines])
    if asked.refused is not None:
        return
    said = [line for line in lines if not line[0].startswith(b":")]
    count = asked.head.count(b"\r\n")
    assert asked.head.endswith(b"\r\n\r\n")
    assert count <= len(said) + 7
    try:
        request = http1.parse_request(asked.head)
    except BadHeadError:
        return
    assert request.headers.all(b"host") != []
    assert {name for name, _ in request.headers.lines} <= {name for name, _ in [*connect_lines(), *said]} | {
        b"Host",
        b"Connection",
        b"Upgrade",
        b"Sec-WebSocket-Key",
    }


ANSWERS: dict[str, tuple[int, bool, bytes]] = {
    "a tunnel is 200": (101, True, b"200"),
    "an old version is 400": (426, True, b"400"),
    "a page is 404": (426, False, b"404"),
    "a drain is 503": (503, True, b"503"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_are_translated_to_http_2(case: str) -> None:
    """The status is translated, names are in lower case; hop-by-hop headers and the Accept are dropped.

    A refusal keeps the length of its body, which a tunnel does not have.
    """
    status, tunnel, expected = ANSWERS[case]
    headers = Headers(
        (
            (b"Connection", b"Upgrade, X-Hop"),
            (b"Upgrade", b"websocket"),
            (b"X-Hop", b"1"),
            (b"Content-Length", b"3"),
            (b"Sec-WebSocket-Accept", b"x"),
            (b"Sec-WebSocket-Protocol", b"chat"),
            (b"Set-Cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
        )
    )
    assert answer_lines(ResponseHead(status, b"", 1, headers), tunnel=tunnel) == [
        (b":status", expected),
        (b"sec-websocket-protocol", b"chat"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        *([] if status == 101 else [(b"content-length", b"3")]),
    ]


def test_a_refusal_has_its_text() -> None:
    """The refusal of a stream that got no HTTP/1.1 answer."""
    refused = HandshakeRefusedError(503, "descriptors", "No room.", headers=[(b"Retry-After", b"5")])
    lines, body = refusal_lines(refused)
    assert lines == [
        (b":status", b"503"),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"retry-after", b"5"),
    ]
    assert body == b"No room.\n"
