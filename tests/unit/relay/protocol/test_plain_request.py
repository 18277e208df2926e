"""Plain requests: forwarded parts, replaced parts, refusals."""

from __future__ import annotations

import pytest

from wsedge_relay.contract import PassThrough
from wsedge_relay.errors import BadAnswerError, HandshakeRefusedError
from wsedge_relay.protocol import plain_request
from wsedge_relay.protocol.body import Framing
from wsedge_relay.protocol.forwarded import Networks, was_secure, way_of
from wsedge_relay.protocol.http1 import RequestHead, parse_request, parse_response
from wsedge_relay.protocol.plain_request import Passed

ALL = PassThrough.model_validate({"methods": ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"]})
PEER = "192.0.2.1"
LOOP = (b"CDN-Loop", b"wsedge; id=0123456789abcdef")


def request(first: str = "GET /a?b HTTP/1.1", *lines: str) -> RequestHead:
    return parse_request("\r\n".join([first, "Host: chat", *lines, "", ""]).encode())


def checked(first: str = "GET /a?b HTTP/1.1", *lines: str, rules: PassThrough = ALL) -> Passed:
    return plain_request.check_request(request(first, *lines), rules)


def asked(first: str, *lines: str) -> RequestHead:
    """Return the origin's request, parsed."""
    passed = checked(first, *lines)
    way = way_of(passed.request.headers, PEER, Networks())
    return parse_request(
        plain_request.origin_request(passed, host="origin:81", way=way, secure=False, loop=LOOP)
    )


def test_upgrades_to_websocket_are_detected() -> None:
    """A request for websocket must be a valid handshake; a request for h2c may be ignored."""
    assert plain_request.is_upgrade(request("GET / HTTP/1.1", "Upgrade: WebSocket"))
    assert plain_request.is_upgrade(request("GET / HTTP/1.1", "Upgrade: h2c, websocket/13"))
    assert not plain_request.is_upgrade(request("GET / HTTP/1.1", "Upgrade: h2c"))
    assert not plain_request.is_upgrade(request())


REFUSED = {
    "a method that is not named": (("TRACE / HTTP/1.1",), 405, "method"),
    "a method in lower case": (("get / HTTP/1.1",), 405, "method"),
    "a length beside chunks": (
        ("POST / HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"),
        400,
        "body",
    ),
    "chunks of HTTP/1.0": (("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400, "body"),
    "too long a body": (("POST / HTTP/1.1", "Content-Length: 1048577"), 413, "maxBodyBytes"),
    "another expectation": (("GET / HTTP/1.1", "Expect: 100-continue, more"), 417, "expect"),
}


@pytest.mark.parametrize(("lines", "status", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(lines: tuple[str, ...], status: int, reason: str) -> None:
    """Each refusal has its status, and its reason for the metrics."""
    with pytest.raises(HandshakeRefusedError) as refused:
        checked(*lines)
    assert (refused.value.status, refused.value.reason) == (status, reason)


def test_a_refused_method_names_those_that_pass() -> None:
    """A 405 lists the allowed methods in Allow (RFC 9110 section 15.5.6)."""
    with pytest.raises(HandshakeRefusedError) as refused:
        checked("PUT / HTTP/1.1", rules=PassThrough())
    assert refused.value.headers == ((b"Allow", b"GET, HEAD, POST, OPTIONS, DELETE"),)


REPEATABLE = {
    "a GET": (("GET / HTTP/1.1",), True),
    "a PUT that is empty": (("PUT / HTTP/1.1", "Content-Length: 0"), True),
    "a PUT": (("PUT / HTTP/1.1", "Content-Length: 1"), False),
    "a DELETE with chunks": (("DELETE / HTTP/1.1", "Transfer-Encoding: chunked"), False),
    "a POST": (("POST / HTTP/1.1",), False),
    "a PATCH": (("PATCH / HTTP/1.1",), False),
}


@pytest.mark.parametrize(("lines", "repeatable"), REPEATABLE.values(), ids=REPEATABLE.keys())
def test_requests_that_may_be_repeated(lines: tuple[str, ...], repeatable: bool) -> None:
    """Idempotent requests (RFC 9110 section 9.2.2) without a body, which would be lost."""
    assert checked(*lines).repeatable is repeatable


KEEPS = {
    "HTTP/1.1": (("GET / HTTP/1.1",), True),
    "one that says so": (("GET / HTTP/1.1", "Connection: keep-alive, Close"), False),
    "HTTP/1.0": (("GET / HTTP/1.0", "Connection: keep-alive"), False),
}


@pytest.mark.parametrize(("lines", "keeps"), KEEPS.values(), ids=KEEPS.keys())
def test_connections_that_are_kept(lines: tuple[str, ...], keeps: bool) -> None:
    """Connections of HTTP/1.1 are kept, unless the client sends Connection: close."""
    assert checked(*lines).keeps is keeps


def test_an_expectation_is_the_relays_to_meet() -> None:
    """The relay handles Expect itself; HTTP/1.0 has no Expect."""
    expect = "Expect: 100-Continue"
    assert checked("POST / HTTP/1.1", "Content-Length: 1", expect).expects
    assert not checked("POST / HTTP/1.0", "Content-Length: 1", expect).expects
    assert asked("POST / HTTP/1.1", "Content-Length: 1", expect).headers.all(b"expect") == []


def test_an_origin_is_asked_once_on_a_connection() -> None:
    """Target, end-to-end headers and length pass; hop-by-hop and forged forwarding headers do not."""
    got = asked(
        "POST /a?b HTTP/1.1",
        "Content-Length: 5",
        "Connection: keep-alive, X-Hop, Content-Length",
        "X-Hop: 1",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "TE: trailers",
        "X-Forwarded-For: 192.0.2.66",
        "X-Real-IP: 192.0.2.66",
        "X_Forwarded-For: 192.0.2.66",
        "X_REAL_IP: 192.0.2.66",
        "X-Own: 2",
    )
    assert (got.method, got.target) == (b"POST", b"/a?b")
    names = [name.lower() for name, _ in got.headers.lines]
    assert names == [
        b"host",
        b"connection",
        b"x-own",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
        b"cdn-loop",
        b"content-length",
    ]
    assert got.headers.one(b"host") == b"origin:81"
    assert got.headers.one(b"connection") == b"close"
    assert got.headers.one(b"x-forwarded-for") == PEER.encode()
    assert got.headers.one(b"content-length") == b"5"


def test_chunks_stay_chunks_and_nothing_stays_nothing() -> None:
    """An empty POST keeps the client's Content-Length: 0."""
    assert (
        asked("POST / HTTP/1.1", "Transfer-Encoding: Chunked").headers.one(b"transfer-encoding") == b"chunked"
    )
    assert asked("POST / HTTP/1.1", "Content-Length: 0").headers.one(b"content-length") == b"0"
    bare = asked("GET / HTTP/1.0").headers
    assert bare.all(b"content-length") == bare.all(b"transfer-encoding") == []


def test_a_url_is_sent_on_in_origin_form() -> None:
    """As of an upgrade: path and query go to the origin, the target's host into the forwarding headers."""
    got = asked("POST http://Chat:80/a?b HTTP/1.1", "Content-Length: 0")
    assert (got.method, got.target, got.authority) == (b"POST", b"/a?b", None)
    assert got.headers.all(b"host") == [b"origin:81"]
    assert got.headers.one(b"x-forwarded-host") == b"Chat:80"
    assert asked("OPTIONS http://chat HTTP/1.1").target == b"*"
    assert asked("GET /caf\xe9?\xff HTTP/1.1").target == "/caf\xe9?\xff".encode()


def answer(*lines: str, to: str = "GET / HTTP/1.1", keep: bool = True) -> list[bytes]:
    """Return the header lines for the client of an origin's answer with these lines."""
    passed = checked(to)
    made = plain_request.check_answer(passed, parse_response("\r\n".join([*lines, "", ""]).encode()))
    head = plain_request.client_answer(made, keep=keep, more=[(b"X-More", b"1")])
    return head.removesuffix(b"\r\n\r\n").split(b"\r\n")


def test_an_answer_is_framed_for_its_client() -> None:
    """A length is kept; other bodies are sent in chunks, or to HTTP/1.0 up to the end of the connection."""
    assert answer("HTTP/1.1 200 Fine", "Content-Length: 5", "Connection: x", "X: 1", "Y: 2") == [
        b"HTTP/1.1 200 Fine",
        b"Y: 2",
        b"Content-Length: 5",
        b"X-More: 1",
    ]
    chunks = [b"HTTP/1.1 200 ", b"Transfer-Encoding: chunked", b"X-More: 1"]
    assert answer("HTTP/1.0 200") == chunks
    assert answer("HTTP/1.1 200", "Transfer-Encoding: chunked") == chunks
    old = answer("HTTP/1.1 200", "Transfer-Encoding: chunked", to="GET / HTTP/1.0", keep=False)
    assert old == [b"HTTP/1.1 200 ", b"X-More: 1", b"Connection: close"]


def test_an_answer_without_a_body_keeps_its_length() -> None:
    """An answer to HEAD and a 304 keep the length; a 204 has none (RFC 9110 section 8.6)."""
    head = "HEAD / HTTP/1.1"
    assert b"Content-Length: 5" in answer("HTTP/1.1 200", "Content-Length: 5", to=head)
    assert b"Content-Length: 5" in answer("HTTP/1.1 304", "Content-Length: 5")
    assert b"Content-Length: 5" not in answer("HTTP/1.1 204", "Content-Length: 5")
    assert answer("HTTP/1.1 200", "Transfer-Encoding: chunked", to=head) == [b"HTTP/1.1 200 ", b"X-More: 1"]


def test_a_426_keeps_the_protocols_that_it_requires() -> None:
    """Upgrade passes, and Connection lists it (RFC 9110 sections 7.8 and 15.5.22)."""
    lines = ("HTTP/1.1 426 x", "Content-Length: 0", "Connection: Upgrade", "Upgrade: websocket")
    assert answer(*lines)[1:] == [
        b"Content-Length: 0",
        b"X-More: 1",
        b"Upgrade: websocket",
        b"Connection: upgrade",
    ]
    assert answer(*lines, keep=False)[-1] == b"Connection: close, upgrade"


@pytest.mark.parametrize(
    "lines",
    [
        ("HTTP/1.1 101 x", "Upgrade: websocket", "Connection: Upgrade"),
        ("HTTP/1.1 200 x", "Content-Length: 5", "Transfer-Encoding: chunked"),
        ("HTTP/1.0 200 x", "Transfer-Encoding: chunked"),
    ],
)
def test_a_bad_answer_is_none(lines: tuple[str, ...]) -> None:
    """A 101 to a plain request, and bodies with an ambiguous end, are errors of the origin."""
    with pytest.raises(BadAnswerError):
        answer(*lines)


def test_an_interim_answer_passes_without_its_hop() -> None:
    """Hop-by-hop headers are removed, as from a final answer."""
    head = parse_response(b"HTTP/1.1 103 Hints\r\nLink: a\r\nConnection: x\r\nX: 1\r\n\r\n")
    assert plain_request.interim_answer(head) == b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"


def test_a_framing_is_known_by_the_request() -> None:
    """A request without framing has framing NONE."""
    assert checked().framing is Framing.NONE
    assert checked("HEAD / HTTP/1.1").head_only


def test_clients_that_used_tls() -> None:
    """The client used TLS to the relay, or to a trusted proxy by its header."""
    said = request("GET / HTTP/1.1", "X-Forwarded-Proto: HTTPS").headers
    trusted, stranger = way_of(said, PEER, Networks(["192.0.2.0/24"])), way_of(said, PEER, Networks())
    assert was_secure(said, trusted, secure=False)
    assert not was_secure(said, stranger, secure=False)
    assert was_secure(request().headers, trusted, secure=True)
    plain = request("GET / HTTP/1.1", "X-Forwarded-Proto: http").headers
    assert not was_secure(plain, trusted, secure=True)
