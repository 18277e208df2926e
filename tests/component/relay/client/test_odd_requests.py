"""Requests that look odd and harm nobody pass; what two parsers could read differently reaches no origin."""

from __future__ import annotations

import asyncio
from typing import Any

from support.relay.heads import upgrade
from support.relay.http2 import Line, connect_lines, http2_client
from support.relay.http2_relay import http2
from support.relay.noting import GREETING, noting_origin, switched
from support.relay.plain import PASS, answer, raw
from support.relay.running import DEADLINE, DOMAIN, QUICK, on_pump_loop, raw_origin, running


def changed(old: str, new: str) -> bytes:
    """Return a handshake with a part replaced."""
    return upgrade().replace(old.encode(), new.encode("latin-1"))


# A handshake, and the lines that the origin gets.
HANDSHAKES: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "a subprotocol with a slash": (
        upgrade("/", "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io"),
        (b"Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io",),
    ),
    "a subprotocol with a colon": (
        upgrade("/", "Sec-WebSocket-Protocol: ogmios.v1:compact"),
        (b"Sec-WebSocket-Protocol: ogmios.v1:compact",),
    ),
    "a padded token as subprotocol": (
        upgrade("/", "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YQ==, v4.channel.k8s.io"),
        (b"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.YQ==, v4.channel.k8s.io",),
    ),
    "a subprotocol twice": (
        upgrade("/", "Sec-WebSocket-Protocol: mqtt, mqtt"),
        (b"Sec-WebSocket-Protocol: mqtt, mqtt",),
    ),
    "subprotocols on two lines": (
        upgrade("/", "Sec-WebSocket-Protocol: a", "sec-websocket-protocol: b,"),
        (b"Sec-WebSocket-Protocol: a", b"sec-websocket-protocol: b,"),
    ),
    "Connection on two lines": (
        upgrade("/", "Connection: keep-alive"),
        (b"Connection: Upgrade", b"Upgrade: websocket"),
    ),
    "Connection on two lines, of which one is of this hop": (
        upgrade("/", "Connection: X-Hop", "X-Hop: 1"),
        (b"Connection: Upgrade",),
    ),
    "Upgrade as a list": (
        changed("Upgrade: websocket", "Upgrade: h2c, websocket"),
        (b"Connection: Upgrade", b"Upgrade: websocket"),
    ),
    "Upgrade with a comma behind": (
        changed("Upgrade: websocket", "Upgrade: websocket,"),
        (b"Upgrade: websocket",),
    ),
    "Upgrade on two lines": (upgrade("/", "Upgrade: h2c"), (b"Upgrade: websocket",)),
    "the version twice": (upgrade("/", "Sec-WebSocket-Version: 13"), (b"Sec-WebSocket-Version: 13",)),
    "two Origins": (
        upgrade("/", "Origin: https://a.example", "Origin: https://b.example"),
        (b"Origin: https://a.example", b"Origin: https://b.example"),
    ),
    "a URL": (
        changed("GET / ", f"GET http://{DOMAIN}/chat?a=b "),
        (b"GET /chat?a=b HTTP/1.1", b"X-Forwarded-Host: " + DOMAIN.encode()),
    ),
    "a URL of ws, with a port and without a path": (
        changed("GET / ", f"GET ws://{DOMAIN}:80 "),
        (b"GET / HTTP/1.1", b"X-Forwarded-Host: " + DOMAIN.encode() + b":80"),
    ),
    "a URL of wss, whatever Host says": (
        changed("GET / ", f"GET WSS://{DOMAIN.upper()}/ ").replace(b"Host: chat.", b"Host: other."),
        (b"GET / HTTP/1.1", b"X-Forwarded-Host: " + DOMAIN.upper().encode(), b"X-Forwarded-Proto: http"),
    ),
    "empty lines": (b"\r\n" * 8 + upgrade(), (b"GET / HTTP/1.1",)),
    "bytes above ASCII in the target": (
        upgrade("/caf\xc3\xa9?\xff"),
        (b"GET /caf\xc3\xa9?\xff HTTP/1.1",),
    ),
    "a Host whose port is empty": (
        upgrade("/", host=f"{DOMAIN}:"),
        (b"X-Forwarded-Host: " + DOMAIN.encode() + b":",),
    ),
    "a length of 00": (upgrade("/", "Content-Length: 00"), (b"Upgrade: websocket",)),
    "a malformed extension beside another": (
        upgrade("/", "Sec-WebSocket-Extensions: x-y; =, permessage-deflate; client_max_window_bits"),
        (b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",),
    ),
    "marks of other CDNs": (
        upgrade("/", "CDN-Loop: cloudflare; subreqs=1", "Cdn-Loop: Fastly, x"),
        (b"CDN-Loop: cloudflare; subreqs=1", b"Cdn-Loop: Fastly, x"),
    ),
}
# Lines that no origin gets: the hop, framing, offers that the relay cannot follow.
NEVER = (
    b"Content-Length:",
    b"X-Hop:",
    b"x-y",
    b"h2c",
    b"Connection: keep-alive",
    b"http://",
    b"Host: other.",
)


@on_pump_loop
async def test_odd_handshakes_open_a_tunnel() -> None:
    """The origin gets what the client wrote, with one hop of the relay's own."""
    heads: list[bytes] = []
    async with noting_origin(heads) as port, running(port) as relay:
        for case, (request, wanted) in HANDSHAKES.items():
            got = await switched(relay, request)
            assert got.startswith(b"HTTP/1.1 101 "), (case, got)
            lines = heads.pop().split(b"\r\n")
            assert [line for line in wanted if line not in lines] == [], (case, lines)
            assert not [line for line in lines for never in NEVER if never in line], (case, lines)
            assert sum(line.lower().startswith((b"connection:", b"host:")) for line in lines) == 2, case
        await relay.until_idle()
        assert relay.counters.refusals() == {}


@on_pump_loop
async def test_the_host_of_a_url_is_the_one_that_is_preserved() -> None:
    """With `originRequest.host: preserve` the origin gets the target's host and port, not those of Host."""
    heads: list[bytes] = []
    url = f"http://{DOMAIN}:81/x"
    rules: dict[str, Any] = {"originRequest": {"host": "preserve"}, **PASS}
    async with noting_origin(heads) as port, running(port, **rules) as relay:
        request = changed("GET / ", f"GET {url} ").replace(b"Host: chat.", b"Host: other.")
        assert (await switched(relay, request)).startswith(b"HTTP/1.1 101 ")
        request = raw(f"GET {url} HTTP/1.1", "Connection: close").replace(b"Host: chat.", b"Host: other.")
        assert (await relay.exchange(request)).startswith(b"HTTP/1.1 200 ")
        await relay.until_idle()
    for head in heads:
        lines = head.split(b"\r\n")
        assert lines[0] == b"GET /x HTTP/1.1"
        assert [line for line in lines if line.startswith(b"Host:")] == [f"Host: {DOMAIN}:81".encode()]
    assert len(heads) == 2


@on_pump_loop
async def test_any_offered_subprotocol_may_be_agreed_on() -> None:
    """The client gets the origin's choice as the origin wrote it."""
    for name in ("SPDY/3.1+portforward.k8s.io", "a b", "ogmios.v1:compact", "YQ=="):
        heads: list[bytes] = []
        line = f"Sec-WebSocket-Protocol: {name}"
        async with noting_origin(heads, line) as port, running(port) as relay:
            got = await switched(relay, upgrade("/", f"Sec-WebSocket-Protocol: x,{name}"))
            assert f"\r\n{line}\r\n".encode() in got
            await relay.until_idle()


STREAMS: dict[str, tuple[list[Line], tuple[bytes, ...]]] = {
    "a subprotocol that is no token": (
        connect_lines([(b"sec-websocket-protocol", b"SPDY/3.1+portforward.k8s.io, x, x")]),
        (b"sec-websocket-protocol: SPDY/3.1+portforward.k8s.io, x, x",),
    ),
    "the scheme http": (
        connect_lines(scheme=b"http"),
        (b"X-Forwarded-Proto: https",),
    ),
    "an authority whose port is empty": (
        connect_lines(authority=DOMAIN.encode() + b":"),
        (b"X-Forwarded-Host: " + DOMAIN.encode() + b":",),
    ),
    "bytes above ASCII in the path": (
        connect_lines(path=b"/caf\xc3\xa9?\xff"),
        (b"GET /caf\xc3\xa9?\xff HTTP/1.1",),
    ),
    "a length of 00": (connect_lines([(b"content-length", b"00")]), (b"Upgrade: websocket",)),
    "a malformed extension beside another": (
        connect_lines([(b"sec-websocket-extensions", b"x-y; =, permessage-deflate")]),
        (b"Sec-WebSocket-Extensions: permessage-deflate",),
    ),
    "the version twice": (
        connect_lines([(b"sec-websocket-version", b"13"), (b"sec-websocket-version", b"13")]),
        (b"Sec-WebSocket-Version: 13",),
    ),
    "marks of other CDNs": (
        connect_lines([(b"cdn-loop", b"cloudflare; subreqs=1")]),
        (b"cdn-loop: cloudflare; subreqs=1",),
    ),
}


@on_pump_loop
async def test_odd_streams_open_a_tunnel() -> None:
    """The rules of HTTP/1.1 hold for streams of HTTP/2; the scheme says nothing about the client."""
    heads: list[bytes] = []
    async with noting_origin(heads) as port, http2(port) as relay, http2_client(relay) as client:
        for case, (sent, wanted) in STREAMS.items():
            number = client.request(sent)
            await client.until(lambda number=number: client.streams[number].headers)  # type: ignore[misc]
            assert client.streams[number].status == 200, (case, client.streams[number])
            assert await client.hear(number, len(GREETING)) == GREETING
            lines = heads.pop().split(b"\r\n")
            assert [line for line in wanted if line not in lines] == [], (case, lines)
            assert not [line for line in lines for never in NEVER if never.lower() in line.lower()], case


PLAIN: dict[str, tuple[bytes, tuple[bytes, ...]]] = {
    "a URL": (
        raw(f"GET http://{DOMAIN}/a?b HTTP/1.1", "Connection: close"),
        (b"GET /a?b HTTP/1.1", b"X-Forwarded-Host: " + DOMAIN.encode()),
    ),
    "a URL, whatever Host says": (
        raw(f"GET http://{DOMAIN}:80 HTTP/1.1", "Connection: close").replace(b"Host: chat.", b"Host: other."),
        (b"GET / HTTP/1.1", b"X-Forwarded-Host: " + DOMAIN.encode() + b":80"),
    ),
    "a URL in HTTP/1.0": (f"GET http://{DOMAIN}/ HTTP/1.0\r\n\r\n".encode(), (b"GET / HTTP/1.1",)),
    "OPTIONS for the whole server": (
        raw("OPTIONS * HTTP/1.1", "Connection: close"),
        (b"OPTIONS * HTTP/1.1",),
    ),
    "OPTIONS for a URL without a path": (
        raw(f"OPTIONS http://{DOMAIN} HTTP/1.1", "Connection: close"),
        (b"OPTIONS * HTTP/1.1",),
    ),
    "empty lines": (b"\r\n" * 8 + raw("GET / HTTP/1.1", "Connection: close"), (b"GET / HTTP/1.1",)),
    "bytes above ASCII in the target": (
        raw("GET /caf\xc3\xa9?\xff HTTP/1.1", "Connection: close"),
        (b"GET /caf\xc3\xa9?\xff HTTP/1.1",),
    ),
    "Connection on two lines": (
        raw("GET / HTTP/1.1", "Connection: X-Hop", "Connection: close", "X-Hop: 1"),
        (b"Connection: close",),
    ),
    "Upgrade on two lines": (
        raw("GET / HTTP/1.1", "Upgrade: h2c", "Upgrade: h2", "Connection: close"),
        (b"GET / HTTP/1.1",),
    ),
    "a Host whose port is empty": (
        raw("GET / HTTP/1.1", "Connection: close").replace(DOMAIN.encode(), DOMAIN.encode() + b":"),
        (b"X-Forwarded-Host: " + DOMAIN.encode() + b":",),
    ),
    "a length of 00": (
        raw("POST / HTTP/1.1", "Content-Length: 00", "Connection: close"),
        (b"Content-Length: 0",),
    ),
    "two Origins": (
        raw("GET / HTTP/1.1", "Origin: https://a", "Origin: https://b", "Connection: close"),
        (b"Origin: https://a", b"Origin: https://b"),
    ),
    "marks of other CDNs": (
        raw("GET / HTTP/1.1", "CDN-Loop: cloudflare; subreqs=1", "Connection: close"),
        (b"CDN-Loop: cloudflare; subreqs=1",),
    ),
}


@on_pump_loop
async def test_odd_plain_requests_are_passed() -> None:
    """As odd handshakes are."""
    heads: list[bytes] = []
    async with noting_origin(heads) as port, running(port, **PASS) as relay:
        for case, (request, wanted) in PLAIN.items():
            got = await relay.exchange(request)
            assert got.startswith(b"HTTP/1.1 200 "), (case, got)
            assert got.endswith(b"\r\n\r\nok"), (case, got)
            lines = heads.pop().split(b"\r\n")
            assert [line for line in wanted if line not in lines] == [], (case, lines)
            never = [b"X-Hop:", b"h2c", b"http://", b"Host: other."]
            assert not [line for line in lines for one in never if one in line], (case, lines)


@on_pump_loop
async def test_empty_lines_may_be_between_requests() -> None:
    """A client of old writes one behind a body; with nothing else, the connection is idle."""
    heads: list[bytes] = []
    async with noting_origin(heads) as port, running(port, timeouts=QUICK, **PASS) as relay:
        reader, writer = await relay.raw()
        post = raw("POST / HTTP/1.1", "Content-Length: 2", body=b"ab")
        for between in (b"", b"\r\n", b"\r\n\r\n", b"\r\n" * 8):
            writer.write(between + post)
            assert (await answer(reader))[0] == 200
        writer.write(post + b"\r")
        assert (await answer(reader))[0] == 200
        await relay.until(lambda: relay.idle)
        writer.write(b"\n\r")
        writer.write(b"\n" + post + b"\r\n" + post + b"\r\n")
        for _ in range(2):
            assert (await answer(reader))[0] == 200
        assert len(heads) == 7
        # With an empty line behind the last request the connection is idle, and closed as any idle one is.
        await relay.until(lambda: relay.idle)
        relay.apply(enabled=False)
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == b""
        writer.close()
        await relay.until_idle()
        assert relay.counters.refusals() == {}
        await relay.until(lambda: relay.row.received_bytes == 7 * len(post) + 28)


@on_pump_loop
async def test_a_client_that_left_behind_an_empty_line_is_gone() -> None:
    """An empty line behind a body is no further request for which the client would wait."""
    asked = asyncio.Event()
    gone: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        gone.set_result(await reader.read())

    async with raw_origin(wait) as port, running(port, **PASS) as relay:
        _, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1") + b"\r\n")
        await asked.wait()
        writer.close()
        async with asyncio.timeout(DEADLINE):
            assert await gone == b""
        await relay.until(lambda: relay.counters.refusals() == {"gone": 1})


REFUSED: dict[str, tuple[bytes, int]] = {
    "nine empty lines": (b"\r\n" * 9 + upgrade(), 400),
    "an empty line that ends in LF": (b"\n" + upgrade(), 400),
    "an empty line and one that ends in LF": (b"\r\n\n" + upgrade(), 400),
    "a CR before the request": (b"\r" + upgrade(), 400),
    "a space before the request": (b"\r\n " + upgrade(), 400),
    "two Hosts": (upgrade("/", f"Host: {DOMAIN}"), 400),
    "two Hosts beside a URL": (changed("GET / ", f"GET http://{DOMAIN}/ ").replace(
        b"\r\nUpgrade", f"\r\nHost: {DOMAIN}\r\nUpgrade".encode()), 400),
    "no Host beside a URL": (changed("GET / ", f"GET http://{DOMAIN}/ ").replace(
        f"Host: {DOMAIN}\r\n".encode(), b""), 400),
    "a user in a URL": (changed("GET / ", f"GET http://{DOMAIN}@other.example.com/ "), 400),
    "a user before the domain": (changed("GET / ", f"GET http://other.example.com@{DOMAIN}/ "), 400),
    "a backslash in a URL's host": (changed("GET / ", f"GET http://{DOMAIN}\\@other.example.com/ "), 400),
    "a fragment": (upgrade("/#a"), 400),
    "another scheme": (changed("GET / ", f"GET ftp://{DOMAIN}/ "), 400),
    "another domain in a URL": (changed("GET / ", "GET http://other.example.com/ "), 421),
    "a space in a target": (upgrade("/a b"), 400),
    "two keys": (upgrade("/", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
    "two lengths": (upgrade("/", "Content-Length: 0", "Content-Length: 0"), 400),
    "a length of -0": (upgrade("/", "Content-Length: -0"), 400),
    "a length beside chunks": (upgrade("/", "Content-Length: 0", "Transfer-Encoding: chunked"), 400),
    "two codings": (upgrade("/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "a folded subprotocol": (upgrade("/", "Sec-WebSocket-Protocol: a,", " b"), 400),
    "a space before the colon": (upgrade("/", "Sec-WebSocket-Protocol : a"), 400),
    "a NUL in a subprotocol": (upgrade("/", "Sec-WebSocket-Protocol: a\0b"), 400),
    "a CR in a subprotocol": (upgrade("/", "Sec-WebSocket-Protocol: a\rb"), 400),
    "a LF in a subprotocol": (upgrade("/", "Sec-WebSocket-Protocol: a\nX: b"), 400),
    "two versions": (upgrade("/", "Sec-WebSocket-Version: 8"), 426),
}  # fmt: skip


@on_pump_loop
async def test_what_two_parsers_could_read_differently_reaches_no_origin() -> None:
    """A refusal is one answer, and what follows the head is never a request of its own."""
    heads: list[bytes] = []
    async with noting_origin(heads) as port, running(port, **PASS) as relay:
        for case, (request, status) in REFUSED.items():
            got = await relay.exchange(request + b"GET /smuggled HTTP/1.1\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 %d " % status), (case, got)
            assert got.count(b"HTTP/1.1 ") == 1, (case, got)
    assert heads == []


@on_pump_loop
async def test_paths_are_compared_as_if_they_were_encoded() -> None:
    """No spelling by bytes above ASCII evades a rule; what is allowed passes as it came."""
    heads: list[bytes] = []
    rules: dict[str, Any] = {"clients": {"allowedPaths": ["/caf%C3%A9", "/in/*"]}, **PASS}
    async with noting_origin(heads) as port, running(port, **rules) as relay:
        for path, status in {
            "/caf\xc3\xa9": 101,
            "/in/\xc3\xa9": 101,
            "/caf\xe9": 403,
            "/in/\xc0\xae\xc0\xae/admin": 400,
            "/in/..\xc0\xafadmin": 400,
            "/in/..\xe0\x80\xafadmin": 400,
        }.items():
            got = await switched(relay, upgrade(path))
            assert got.startswith(b"HTTP/1.1 %d " % status), (path, got)
            if status == 101:
                assert heads.pop().startswith(f"GET {path} HTTP/1.1\r\n".encode("latin-1"))
        for target in (f"http://{DOMAIN}/in/../admin", f"http://{DOMAIN}", "/admin"):
            got = await relay.exchange(raw(f"GET {target} HTTP/1.1", "Connection: close"))
            assert got.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ")), (target, got)
        got = await relay.exchange(raw("OPTIONS * HTTP/1.1", "Connection: close"))
        assert got.startswith(b"HTTP/1.1 403 ")
    assert heads == []


@on_pump_loop
async def test_pages_of_files_may_be_named() -> None:
    """`file://` and other schemes without hosts; of several Origins each must be allowed."""
    heads: list[bytes] = []
    rules: dict[str, Any] = {"clients": {"allowedOrigins": ["file://", "app://", "https://a"]}, **PASS}
    async with noting_origin(heads) as port, running(port, **rules) as relay:
        for origins, allowed in {
            ("file://",): True,
            ("app://",): True,
            ("https://a", "file://"): True,
            ("file:///",): False,
            ("null",): False,
            ("https://",): False,
            ("https://a", "https://evil"): False,
            ("https://evil", "https://a"): False,
        }.items():
            lines = [f"Origin: {one}" for one in origins]
            got = await switched(relay, upgrade("/", *lines))
            assert got.startswith(b"HTTP/1.1 101 " if allowed else b"HTTP/1.1 403 "), (origins, got)
            got = await relay.exchange(raw("GET / HTTP/1.1", "Connection: close", *lines))
            assert got.startswith(b"HTTP/1.1 200 " if allowed else b"HTTP/1.1 403 "), (origins, got)
        await relay.until_idle()
