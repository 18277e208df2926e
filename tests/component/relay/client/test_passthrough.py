"""Plain requests through a relay, by what real servers and clients see."""

from __future__ import annotations

import asyncio
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from websockets.exceptions import InvalidStatus

from support.relay.certificates import authority
from support.relay.heads import upgrade
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    QUICK,
    Running,
    on_pump_loop,
    raw_origin,
    refusing,
    running,
)
from wsedge_relay.config.material import Material
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES

PASS: dict[str, Any] = {"passThrough": {}}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HEAD = f"Host: {DOMAIN}\r\n"


async def tell(request: web.Request) -> web.StreamResponse:
    """Say what came."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[name.decode(), value.decode()] for name, value in request.raw_headers],
            "body": body.decode("latin-1"),
        }
    )


@asynccontextmanager
async def site(handler: Handler = tell, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a real HTTP server on which every path and method is `handler`'s; yields its port."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    place = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await place.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def browser(
    relay: Running, *, tls: bool = False, **options: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a real client whose base is the relay; it keeps connections and cookies."""
    host, port = relay.relay.addresses["https" if tls else "http"]
    jar = aiohttp.CookieJar(unsafe=True)
    headers = {"Host": DOMAIN, **options.pop("headers", {})}
    base = f"{'https' if tls else 'http'}://{host}:{port}"
    async with aiohttp.ClientSession(base, headers=headers, cookie_jar=jar, **options) as session:
        yield session


def raw(first: str, *lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([first, f"Host: {DOMAIN}", *lines, "", ""]).encode("latin-1") + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer that has a length or no body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body


@on_pump_loop
async def test_a_plain_request_gets_the_origins_answer() -> None:
    """Method, path, query, body and headers arrive, and the answer with its own; the hop's are made anew."""
    async with site() as port, running(port, **PASS) as relay, browser(relay) as client:
        headers = {"X-Own": "1", "X-Forwarded-For": "192.0.2.9", "Connection": "x-hop", "X-Hop": "2"}
        async with client.post("/socket.io/?EIO=4&a=%26", data=b"hello", headers=headers) as got:
            assert got.status == 200
            assert got.headers["Server"].startswith("Python")
            told = await got.json()
    seen = {name.lower(): value for name, value in told["headers"]}
    assert (told["method"], told["target"], told["body"]) == ("POST", "/socket.io/?EIO=4&a=%26", "hello")
    assert (seen["x-own"], seen["x-forwarded-for"], seen["content-length"]) == ("1", "127.0.0.1", "5")
    assert (seen["host"], seen["connection"]) == (f"127.0.0.1:{port}", "close")
    assert "x-hop" not in seen
    assert "transfer-encoding" not in seen


@on_pump_loop
async def test_without_pass_through_a_plain_request_gets_426() -> None:
    """As it was; and so do paths that are not to be passed."""
    async with site() as port, running(port) as relay, browser(relay) as client:
        assert (await client.get("/")).status == 426
        relay.apply(passThrough={"paths": ["/in", "/below/*"]})
        for path, status in {"/in": 200, "/below/x": 200, "/inside": 426, "/below": 426}.items():
            assert (await client.get(path)).status == status, path
        assert relay.counters.refusals() == {"upgrade": 3}


@on_pump_loop
async def test_only_named_methods_pass() -> None:
    """Another gets 405, which names those that do; CONNECT and TRACE never can."""
    async with site() as port, running(port, **PASS) as relay:
        for method in ("PUT", "TRACE", "CONNECT", "get"):
            got = await relay.exchange(raw(f"{method} / HTTP/1.1"))
            assert got.startswith(b"HTTP/1.1 405 "), got
            assert b"\r\nAllow: GET, HEAD, POST, OPTIONS, DELETE\r\n" in got
        relay.apply(passThrough={"methods": ["PUT"]})
        async with browser(relay) as client:
            assert (await client.put("/", data=b"x")).status == 200
            assert (await client.get("/")).status == 405


@on_pump_loop
async def test_only_allowed_paths_may_be_asked_for() -> None:
    """A rule is exact or a prefix; tunnels and plain requests alike, counted by its field's name."""
    rules = {"clients": {"allowedPaths": ["/ws", "/socket.io/*"]}, **PASS}
    async with site() as port, running(port, **rules) as relay, browser(relay) as client:
        for path, status in {
            "/ws": 200,
            "/ws?x=/../": 200,
            "/socket.io/": 200,
            "/": 403,
            "/ws/": 403,
        }.items():
            assert (await client.get(path)).status == status, path
        with pytest.raises(InvalidStatus) as refused:
            await relay.connect("/other")
        assert refused.value.response.status_code == 403
        assert relay.counters.refusals() == {"allowedPaths": 3}


@pytest.mark.parametrize(
    "path",
    [
        "/socket.io/../admin",
        "/socket.io/..",
        "/socket.io/%2e%2E/admin",
        "/socket.io/.%2e/admin",
        "/socket.io/./x",
        "/socket.io/..;a=b/admin",
        "/socket.io/..%3Ba/admin",
        "/socket.io/..%2fadmin",
        "/socket.io/..%5Cadmin",
        "/socket.io/..\\admin",
        "/socket.io/%00",
        "/socket.io/%c0%ae%c0%ae/admin",
        "/socket.io/..%e0%80%afadmin",
        "/socket.io/..%F0%80%80%AFadmin",
        "/socket.io/%",
        "/socket.io/%2",
        "/socket.io/%u002e",
    ],
)
@on_pump_loop
async def test_a_path_that_could_be_another_is_refused(path: str) -> None:
    """No spelling of a dot segment or of a separator gets past the rules."""
    async with running(1, clients={"allowedPaths": ["/socket.io/*"]}, **PASS) as relay:
        assert (await relay.exchange(raw(f"GET {path} HTTP/1.1"))).startswith(b"HTTP/1.1 400 ")
        assert relay.counters.refusals() == {"path": 1}


SMUGGLED = {
    "a length and chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "chunks twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunks twice in a line": ("Transfer-Encoding: chunked, chunked",),
    "another coding": ("Transfer-Encoding: gzip, chunked",),
    "a coding that is almost chunked": ("Transfer-Encoding: xchunked",),
    "a coding that ends in a vertical tab": ("Transfer-Encoding: chunked\x0b",),
    "identity": ("Transfer-Encoding: identity",),
    "an empty coding": ("Transfer-Encoding:",),
    "a coding with a parameter": ("Transfer-Encoding: chunked;q=1",),
    "a space before the colon": ("Transfer-Encoding : chunked",),
    "two lengths": ("Content-Length: 5", "Content-Length: 5"),
    "two other lengths": ("Content-Length: 5", "Content-Length: 6"),
    "a list of lengths": ("Content-Length: 5, 5",),
    "a signed length": ("Content-Length: +5",),
    "a length in hex": ("Content-Length: 0x5",),
    "a length with a space": ("Content-Length: 5 5",),
    "an empty length": ("Content-Length:",),
    "a length of many digits": ("Content-Length: " + "9" * 30,),
    "a folded coding": ("Transfer-Encoding:", " chunked"),
    "a folded length": ("Content-Length: 5", "\t5"),
}


@on_pump_loop
async def test_requests_whose_end_is_doubtful_reach_no_origin() -> None:
    """Each gets 400 and the end of its connection."""
    asked: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))

    async with raw_origin(note) as port, running(port, **PASS) as relay:
        for case, lines in SMUGGLED.items():
            got = await relay.exchange(
                raw("POST / HTTP/1.1", *lines, body=b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
            )
            assert got.startswith(b"HTTP/1.1 400 "), (case, got)
            assert got.count(b"HTTP/1.1") == 1, case
            assert b"\r\nConnection: close" in got, case
    assert asked == []


BROKEN_CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a size that is no number": b"g\r\nhello\r\n",
    "a negative size": b"-5\r\nhello\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n",
    "a size that overflows": b"100000000\r\nhello\r\n",
    "a size behind a space": b" 5\r\nhello\r\n",
    "a size before a space": b"5 \r\nhello\r\n",
    "a size line that ends in LF": b"5\nhello\r\n0\r\n\r\n",
    "a size line that ends in CR": b"5\rhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"5\r\nhello!\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "an extension with a LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "an extension without a name": b"5;\r\nhello\r\n0\r\n\r\n",
    "an extension that is not quoted right": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "an extension without end": b"5;a=" + b"b" * 9000,
    "a trailer that is none": b"0\r\nGET / HTTP/1.1\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a trailer with a LF": b"0\r\nA: b\n\r\n\r\n",
}


@on_pump_loop
async def test_a_body_that_breaks_its_framing_gets_400() -> None:
    """At whatever point it breaks; the origin sees a body that does not end."""
    whole: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole.append(await reader.read())

    async with raw_origin(note) as port, running(port, **PASS) as relay:
        for case, body in BROKEN_CHUNKS.items():
            for before in (b"", b"3\r\nabc\r\n"):
                data = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=before)
                reader, writer = await relay.raw()
                writer.write(data)
                if before:
                    await relay.until(lambda: relay.site.origins.targets[0].open == 1)
                writer.write(body)
                async with asyncio.timeout(DEADLINE):
                    got = await reader.read()
                assert got.startswith(b"HTTP/1.1 400 "), (case, got)
                assert b"\r\nConnection: close" in got, case
                writer.close()
                await relay.until(lambda: relay.site.origins.targets[0].open == 0)
        await relay.until(lambda: len(whole) == len(BROKEN_CHUNKS))
        assert not any(seen.endswith(b"0\r\n\r\n") for seen in whole)


@on_pump_loop
async def test_the_cost_of_chunk_extensions_is_bounded() -> None:
    """A few may come; a body that has more of them than data may not."""
    async with site() as port, running(port, **PASS) as relay:
        few = b'5;a=b; c = "d"\r\nhello\r\n0;last\r\nX-T: 1\r\n\r\n'
        data = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close", body=few)
        assert b'"body": "hello"' in await relay.exchange(data)
        many = b"".join(b"1;" + b"x" * 1000 + b"\r\nh\r\n" for _ in range(40))
        data = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=many)
        assert (await relay.exchange(data)).startswith(b"HTTP/1.1 400 ")


@on_pump_loop
async def test_a_body_over_the_limit_gets_413() -> None:
    """By its length before an origin is asked, by its chunks as soon as they go over it."""
    async with site() as port, running(port, passThrough={"maxBodyBytes": 1000}) as relay:
        long = raw("POST / HTTP/1.1", "Content-Length: 1001")
        assert (await relay.exchange(long)).startswith(b"HTTP/1.1 413 ")
        chunks = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=b"3e9\r\n" + b"x" * 1001)
        assert (await relay.exchange(chunks)).startswith(b"HTTP/1.1 413 ")
        just = raw(
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked",
            "Connection: close",
            body=b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n",
        )
        assert (await relay.exchange(just)).startswith(b"HTTP/1.1 200 ")
        assert relay.counters.refusals() == {"maxBodyBytes": 2}


async def mirror(request: web.Request) -> web.StreamResponse:
    """Send a body back while it comes."""
    response = web.StreamResponse()
    await response.prepare(request)
    async for data in request.content.iter_chunked(1 << 16):
        await response.write(data)
    return response


async def reflected(client: aiohttp.ClientSession, size: int, **options: Any) -> int:
    """Upload so many bytes to a mirror; return how many come back."""

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(size >> 16):
            yield b"x" * (1 << 16)

    came = 0
    async with client.post("/", data=upload(), **options) as got:
        async for data in got.content.iter_chunked(1 << 16):
            came += len(data)
    return came


@on_pump_loop
async def test_bodies_stream_both_ways_in_little_memory() -> None:
    """64 MiB up, which come back at the same time, never gather in the relay."""
    size = 64 << 20
    rules = {"passThrough": {"maxBodyBytes": size}}
    async with site(mirror) as port, running(port, **rules) as relay, browser(relay) as client:
        tracemalloc.start(1)
        try:
            came = await reflected(client, size)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert came == size
        # Of both ends too, which are in this process, with their buffers of a few hundred KiB.
        assert peak < 4 << 20
        assert relay.totals.received_bytes > size
        assert relay.totals.sent_bytes > size


@on_pump_loop
async def test_bodies_stream_both_ways_over_tls() -> None:
    """On both sides at once; the cookie is for pages of other sites then, and never without TLS."""
    size = 8 << 20
    pairs = {("tls.crt", "tls.key"): authority().issue(DOMAIN)}
    fields: dict[str, Any] = {
        "originProtocol": "Follow",
        "originTLS": {"authority": {"file": "ca.crt"}},
        "tls": {"certificateFile": "tls.crt", "keyFile": "tls.key"},
        "passThrough": {"maxBodyBytes": size},
        "originRequest": {"stickyCookie": {}},
    }
    own = {"ssl": authority().client_context(), "server_hostname": DOMAIN}
    async with (
        site(mirror, tls=authority().server_context("127.0.0.1")) as port,
        running(port, material=Material(pairs, {"ca.crt": authority().pem}), **fields) as relay,
        browser(relay, tls=True) as client,
    ):
        async with client.get("/", **own) as got:
            assert got.headers["Set-Cookie"].endswith("; SameSite=None; Secure")
        await relay.until(lambda: relay.idle)
        assert await reflected(client, size, **own) == size


@on_pump_loop
async def test_a_trusted_proxy_says_that_a_client_came_by_tls() -> None:
    """Then the cookie is as it would be for TLS to the relay; what others say counts for nothing."""
    said = {"X-Forwarded-Proto": "https"}
    rules: dict[str, Any] = {"originRequest": {"stickyCookie": {}}, **PASS}
    async with site() as port, running(port, **rules) as relay:
        for proxies, scope in (["127.0.0.0/8"], "SameSite=None; Secure"), ([], "SameSite=Lax"):
            relay.apply(clients={"trustedProxies": proxies})
            async with browser(relay, headers=said) as client, client.get("/") as got:
                assert got.headers["Set-Cookie"].endswith(scope)


@on_pump_loop
async def test_what_is_sent_arrives_before_the_rest_is() -> None:
    """Each event comes by itself, each chunk of a request as well."""
    go_on = asyncio.Event()

    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        first = await request.content.readany()
        await response.prepare(request)
        await response.write(b"data: " + first + b"\n\n")
        await go_on.wait()
        await response.write(b"data: " + await request.content.read() + b"\n\n")
        return response

    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        await go_on.wait()
        yield b"second"

    async with (
        site(talk) as port,
        running(port, **PASS) as relay,
        browser(relay) as client,
        client.post("/", data=upload()) as got,
    ):
        assert await got.content.readuntil(b"\n\n") == b"data: first\n\n"
        go_on.set()
        assert await got.content.read() == b"data: second\n\n"


ANSWERS = {
    "a length": (b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello and more", b"hello", 200),
    "chunks": (
        b"HTTP/1.1 201 x\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
        b"hello",
        201,
    ),
    "until its end": (b"HTTP/1.1 404 x\r\n\r\nhello", b"hello", 404),
    "until its end, of HTTP/1.0": (b"HTTP/1.0 200 x\r\n\r\nhello", b"hello", 200),
    "no content": (b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\nhello", b"", 204),
    "not modified": (b"HTTP/1.1 304 x\r\nContent-Length: 5\r\nETag: a\r\n\r\n", b"", 304),
    "an interim answer first": (
        b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        200,
    ),
}


def saying(said: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """An origin that answers every request with these bytes and closes."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    return say


@pytest.mark.parametrize(("said", "body", "status"), ANSWERS.values(), ids=ANSWERS.keys())
@on_pump_loop
async def test_every_framing_of_an_answer_passes(said: bytes, body: bytes, status: int) -> None:
    """HTTP/1.1 clients can use the connection again; HTTP/1.0 clients get no chunks; HEAD gets no body."""
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        async with browser(relay, connector=aiohttp.TCPConnector(limit=1)) as client:
            for _ in range(2):
                async with client.get("/") as got:
                    assert (got.status, await got.read()) == (status, body)
        old = await relay.exchange(raw("GET / HTTP/1.0"))
        assert old.startswith(b"HTTP/1.1 %d " % status)
        assert old.endswith(b"\r\n\r\n" + body)
        assert b"Transfer-Encoding" not in old
        assert b"\r\nConnection: close\r\n" in old
        head = await relay.exchange(raw("HEAD / HTTP/1.1", "Connection: close"))
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert head.endswith(b"\r\n\r\n")
        assert relay.relay.counters[DOMAIN].requests == {status: 4}


BAD_ANSWERS = {
    "a length and chunks": b"HTTP/1.1 200 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "another coding": b"HTTP/1.1 200 x\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "chunks of HTTP/1.0": b"HTTP/1.0 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a tunnel that nobody asked for": b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "half a head": b"HTTP/1.1 200 x\r\n",
    "interim answers without end": b"HTTP/1.1 100 x\r\n\r\n" * 20,
}


@pytest.mark.parametrize("said", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
@on_pump_loop
async def test_a_bad_answer_is_a_502(said: bytes) -> None:
    """Nothing of it reaches the client."""
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("GET / HTTP/1.1"))
        assert got.startswith(b"HTTP/1.1 502 ")
        assert got.count(b"HTTP/1.1") == 1
        assert relay.totals.codes == {502: 1}


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
    ids=["a length", "chunks"],
)
@on_pump_loop
async def test_an_answer_that_ends_early_ends_early_for_the_client_too(said: bytes) -> None:
    """The client can tell: the connection ends without what the head promised."""
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("GET / HTTP/1.1"))
        assert b"hello" in got
        assert not got.endswith(b"0\r\n\r\n")
        assert relay.counters.cuts == {"origin": 1}
        assert relay.totals.codes == {200: 1}


@on_pump_loop
async def test_a_part_of_an_answer_without_framing_does_not_look_whole() -> None:
    """To an HTTP/1.0 client the end of the stream is the answer's; so one that is cut ends by a reset."""
    go_on = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await go_on.wait()

    async with raw_origin(say) as port, running(port, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.0"))
        async with asyncio.timeout(DEADLINE):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            go_on.set()
            with pytest.raises(ConnectionResetError):
                await reader.read()
        writer.close()
        assert relay.counters.cuts == {"origin": 1}


@on_pump_loop
async def test_hints_pass_before_the_answer() -> None:
    """A 103 is for the client; HTTP/1.0 knows none."""
    said = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 x\r\n\r\n"
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("GET / HTTP/1.1", "Connection: close"))
        assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 ")
        assert (await relay.exchange(raw("GET / HTTP/1.0"))).startswith(b"HTTP/1.1 204 ")


@on_pump_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    """Three at once, one of them with a body; then an upgrade becomes a tunnel on the same connection."""
    async with site() as port, running(port, **PASS) as relay:
        reader, writer = await relay.raw()
        two = raw("POST /2 HTTP/1.1", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
        writer.write(raw("GET /1 HTTP/1.1") + two + raw("GET /3 HTTP/1.1"))
        for path, body in (("/1", ""), ("/2", "abc"), ("/3", "")):
            status, _, said = await answer(reader)
            told = json.loads(said)
            assert (status, told["target"], told["body"]) == (200, path, body)
        writer.close()
        await relay.until_idle()
        assert relay.totals.codes == {200: 3}


@on_pump_loop
async def test_what_is_pipelined_is_not_hoarded() -> None:
    """Who sends requests faster than they are answered is read a bit ahead, however many there are."""
    held: list[int] = []

    async def look(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0)  # the relay hears the client meanwhile
        (plain,) = relay.plain_requests
        held.append(plain.unread)
        return web.Response()

    async with site(look) as port, running(port, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1") * 40_000)
        for _ in range(60):
            assert (await answer(reader))[0] == 200
        writer.transport.abort()
        await relay.until_idle()
    assert max(held) < 2 * TLS_RECORD_BYTES


@on_pump_loop
async def test_an_upgrade_may_follow_a_plain_request() -> None:
    """Bytes of all of them are counted, once."""

    async def either(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") != "websocket":
            return web.Response(text="polled")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    message = b"\x81\x82\x00\x00\x00\x00hi"
    bye = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    async with site(either) as port, running(port, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET /poll HTTP/1.1") + upgrade("/ws") + message)  # all at once, which is in order
        status, _, body = await answer(reader)
        assert (status, body) == (200, b"polled")
        switched = await reader.readuntil(b"\r\n\r\n")
        assert switched.startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(4) == b"\x81\x02hi"
        writer.write(bye)
        await reader.read()
        writer.close()
        await relay.until_idle_after_opening()
        assert relay.totals.codes == {200: 1, 101: 1}
        sent = len(raw("GET /poll HTTP/1.1") + upgrade("/ws") + message + bye)
        assert relay.row.received_bytes == sent


@on_pump_loop
async def test_h2c_is_a_wish_that_is_not_passed_on() -> None:
    """The request is served as it is; the origin does not see the wish."""
    async with site() as port, running(port, **PASS) as relay:
        wish = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        got = await relay.exchange(raw("GET / HTTP/1.1", *wish))
        assert got.startswith(b"HTTP/1.1 200 ")
        assert b"h2c" not in got
        assert b"AAMAAABk" not in got


@on_pump_loop
async def test_a_client_that_waits_is_told_to_go_on() -> None:
    """Once an origin is there; other expectations are refused, and a refusal comes without the 100."""
    async with site() as port, running(port, passThrough={"maxBodyBytes": 10}) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        status, _, body = await answer(reader)
        assert status == 200
        assert json.loads(body)["body"] == "hello"
        assert "expect" not in {name.lower() for name, _ in json.loads(body)["headers"]}
        writer.close()
        much = raw("POST / HTTP/1.1", "Content-Length: 11", "Expect: 100-continue")
        assert (await relay.exchange(much)).startswith(b"HTTP/1.1 413 ")
        odd = raw("POST / HTTP/1.1", "Content-Length: 5", "Expect: 200-ok")
        assert (await relay.exchange(odd)).startswith(b"HTTP/1.1 417 ")


@on_pump_loop
async def test_a_connection_without_further_requests_ends() -> None:
    """After its time, silently."""
    timeouts = Timeouts(keep_alive_seconds=0.1)
    async with site() as port, running(port, timeouts=timeouts, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1"))
        await answer(reader)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


@on_pump_loop
async def test_a_further_head_has_its_time_too() -> None:
    """A client that begins a second request and stops gets 408."""
    async with site() as port, running(port, timeouts=QUICK, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1"))
        await answer(reader)
        writer.write(b"GET / HT")
        assert (await asyncio.wait_for(reader.read(), DEADLINE)).startswith(b"HTTP/1.1 408 ")
        writer.close()


@on_pump_loop
async def test_a_body_that_does_not_come_gets_408() -> None:
    """Its pauses are bounded as those of a head are."""
    async with site() as port, running(port, limits={"stallSeconds": 1}, **PASS) as relay:
        got = await relay.exchange(raw("POST / HTTP/1.1", "Content-Length: 5", body=b"he"))
        assert got.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 x\r\n\r\ndata: 1\n\n"], ids=["before", "within"])
@on_pump_loop
async def test_a_client_that_hangs_up_ends_the_origins_request(said: bytes) -> None:
    """Before the answer, and within it."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        began.set()
        await reader.read()
        ended.set()

    async with raw_origin(hold) as port, running(port, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1"))
        await began.wait()
        if said:
            await reader.readuntil(b"\n\n")
        writer.close()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await relay.until_idle()
        assert relay.counters.handshakes == ({} if said else {(499, "gone"): 1})
        assert relay.counters.cuts == ({"client": 1} if said else {})
        assert relay.site.limiter.taken == relay.site.origins.targets[0].open == 0


@on_pump_loop
async def test_a_slow_origin_gets_504() -> None:
    """It has its own time, and no other origin is asked, for it may be at work on the request."""
    asked: list[int] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await reader.read()

    async with (
        raw_origin(silent) as one,
        raw_origin(silent) as other,
        running(one, other, passThrough={"timeoutSeconds": 1}) as relay,
    ):
        assert (await relay.exchange(raw("GET / HTTP/1.1"))).startswith(b"HTTP/1.1 504 ")
        assert asked == [1]


@on_pump_loop
async def test_a_pause_within_an_answer_is_bounded() -> None:
    """The client sees the end of what came."""

    async def halt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\nhello")
        await reader.read()

    async with raw_origin(halt) as port, running(port, passThrough={"timeoutSeconds": 1}) as relay:
        assert (await relay.exchange(raw("GET / HTTP/1.1"))).endswith(b"hello")
        assert relay.counters.cuts == {"origin": 1}


@on_pump_loop
async def test_a_client_that_takes_nothing_is_given_up() -> None:
    """An answer without end does not wait for it for ever."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 x\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with raw_origin(pour) as port, running(port, limits={"stallSeconds": 1}, **PASS) as relay:
        _, writer = await relay.raw(limit=1)
        writer.write(raw("GET / HTTP/1.1"))
        await relay.until(lambda: relay.counters.cuts == {"stalled": 1})
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_an_origin_that_takes_no_body_is_given_up() -> None:
    """Its failure is counted, and the client told."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    rules = {"passThrough": {"maxBodyBytes": 1 << 30, "timeoutSeconds": 1}}
    async with raw_origin(deaf) as port, running(port, **rules) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("POST / HTTP/1.1", f"Content-Length: {1 << 30}"))

        async def pour() -> None:
            with suppress(OSError):
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()

        pouring = asyncio.create_task(pour())
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 504 ")
        assert relay.counters.origin_failures == {"timeout": 1}
        pouring.cancel()
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_another_origin_is_asked_when_that_does_no_harm() -> None:
    """One that is not there: always. One that closes without a byte: a GET again, a POST not."""
    closed: list[bytes] = []

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed.append(await reader.readuntil(b"\r\n\r\n"))

    with refusing() as nobody:
        async with site() as good, raw_origin(close) as bad:
            for first, method, status in (
                (nobody, "GET", 200),
                (nobody, "POST", 200),
                (bad, "GET", 200),
                (bad, "POST", 502),
            ):
                async with running(first, good, **PASS) as relay, browser(relay) as client:
                    assert (await client.request(method, "/", data=None)).status == status
    assert len(closed) == 2


@on_pump_loop
async def test_an_origin_may_answer_before_the_body_ends() -> None:
    """The client has its answer, and its connection ends, for the rest of the body is nobody's."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno")

    async with raw_origin(refuse) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("POST / HTTP/1.1", "Content-Length: 1000", body=b"begin"))
        assert got.startswith(b"HTTP/1.1 401 ")
        assert got.endswith(b"\r\nConnection: close\r\n\r\nno")


async def name_of(client: aiohttp.ClientSession, path: str = "/") -> str:
    async with client.get(path) as got:
        return await got.text()


@asynccontextmanager
async def two_rooms() -> AsyncIterator[tuple[int, int]]:
    """Run two origins that say which they are, by plain answers and by a tunnel's first message."""

    def room(name: str) -> Handler:
        async def say(request: web.Request) -> web.StreamResponse:
            assert "wsedge-origin" not in request.headers.get("Cookie", "")
            if request.headers.get("Upgrade") == "websocket":
                socket = web.WebSocketResponse()
                await socket.prepare(request)
                await socket.send_str(name)
                await socket.close()
                return socket
            cached = {"Cache-Control": "public, max-age=60"} if request.path == "/cached" else {}
            return web.Response(text=name, headers=cached)

        return say

    async with site(room("one")) as one, site(room("two")) as two:
        yield one, two


STICKY: dict[str, Any] = {"originRequest": {"stickyCookie": {}}, **PASS}


@on_pump_loop
async def test_a_cookie_keeps_a_client_at_its_origin() -> None:
    """Plain requests and tunnels, through any relay of the same configuration; others take turns."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay:
        homes = set()
        for _ in range(2):
            async with browser(relay, cookies={"own": "1"}) as client:
                async with client.get("/") as got:
                    home = await got.text()
                    cookie = got.headers["Set-Cookie"]
                homes.add(home)
                assert {await name_of(client) for _ in range(3)} == {home}
                value = cookie.partition(";")[0]
                assert cookie.partition(";")[2] == " Path=/; HttpOnly; SameSite=Lax"
                headers = {"Cookie": f"own=1; {value}"}
                for _ in range(3):
                    async with relay.connect(additional_headers=headers) as tunnel:
                        assert await tunnel.recv() == home
                        assert "Set-Cookie" not in tunnel.response.headers
        assert homes == {"one", "two"}


@on_pump_loop
async def test_a_tunnel_gets_the_cookie_as_well() -> None:
    """A client that begins with the handshake polls the same origin afterwards."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay, relay.connect() as tunnel:
        home = await tunnel.recv()
        value = tunnel.response.headers["Set-Cookie"].partition(";")[0]
        async with browser(relay, headers={"Cookie": value}) as client:
            assert {await name_of(client) for _ in range(3)} == {home}


@on_pump_loop
async def test_an_origin_that_is_gone_gives_its_clients_away() -> None:
    """The other answers, and its cookie is new; a cookie that means nothing is none."""
    async with two_rooms() as ports, running(*ports, **STICKY) as relay:
        async with browser(relay) as client:
            home = await name_of(client)
            other = {"one": "two", "two": "one"}[home]
            relay.apply(
                origins=[
                    {"host": "127.0.0.1", "httpPort": port}
                    for name, port in zip(("one", "two"), ports, strict=True)
                    if name == other
                ]
            )
            async with client.get("/") as got:
                assert await got.text() == other
                assert "Set-Cookie" in got.headers
        unknown = {"Cookie": "wsedge-origin=0123456789abcdef"}
        async with browser(relay, headers=unknown) as client, client.get("/") as got:
            assert "Set-Cookie" in got.headers


@on_pump_loop
async def test_what_caches_share_carries_no_cookie() -> None:
    """Or one client's origin would be everybody's."""
    async with (
        two_rooms() as ports,
        running(*ports, **STICKY) as relay,
        browser(relay) as client,
        client.get("/cached") as got,
    ):
        assert "Set-Cookie" not in got.headers


@on_pump_loop
async def test_requests_are_counted_to_the_byte() -> None:
    """Heads and bodies of both directions, the answers' codes, and a line in the log for each."""
    with structlog.testing.capture_logs() as logged:
        async with site() as port, running(port, accessLog={"samplePercent": 100}, **PASS) as relay:
            reader, writer = await relay.raw()
            request = raw("POST /secret?token=sesame HTTP/1.1", "Content-Length: 5", body=b"hello")
            sizes = []
            for _ in range(2):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                sizes.append(len(head) + len(await reader.readexactly(length)))
            writer.close()
            await relay.until_idle()
            row = relay.row
            assert (row.sent_bytes, row.received_bytes) == (sum(sizes), 2 * len(request))
            assert row.codes == ((200, 2),)
            assert relay.counters.requests == {200: 2}
            assert relay.counters.request_seconds.counts.count(0) < 16
    lines = [line for line in logged if line["event"] == "request"]
    assert [line["sent_bytes"] for line in lines] == sizes
    assert (
        lines[0].items()
        >= {
            "method": "POST",
            "code": 200,
            "client": "127.0.0.1",
            "origin": f"127.0.0.1:{port}",
            "received_bytes": len(request),
            "reason": "",
        }.items()
    )
    assert "sesame" not in str(logged)


@on_pump_loop
async def test_a_long_answer_is_counted_while_it_is_sent() -> None:
    """As tunnels are: its bytes do not wait for its end."""
    go_on = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 1000)
        await go_on.wait()
        return response

    async with (
        site(drip) as port,
        running(port, **PASS) as relay,
        browser(relay) as client,
        client.get("/") as got,
    ):
        await got.content.readexactly(1000)
        assert relay.totals.sent_bytes > 1000
        assert relay.totals.codes == {200: 1}
        go_on.set()
        await got.read()


@on_pump_loop
async def test_limits_hold_for_requests_under_way() -> None:
    """A long poll has a place, an idle connection none; the pace counts requests."""
    waits, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        if request.path == "/wait":
            waits.set()
            await go_on.wait()
        return web.Response(text="done")

    limits = {"limits": {"connectionsPerClient": 1}}
    async with site(wait) as port, running(port, **limits, **PASS) as relay, browser(relay) as client:
        assert await name_of(client) == "done"
        poll = asyncio.create_task(name_of(client, "/wait"))
        await waits.wait()
        assert (await client.get("/")).status == 429
        go_on.set()
        assert await poll == "done"
        relay.apply(limits={"handshakesPerSecond": 2})
        began = asyncio.get_running_loop().time()
        got = [(await client.get("/")).status for _ in range(20)]
        assert set(got) == {200, 503}
        assert 2 <= got.count(200) <= 2 + 2 * (asyncio.get_running_loop().time() - began)


@on_pump_loop
async def test_bodies_are_no_faster_than_the_limit() -> None:
    """Each direction has a second's worth at once, over all requests of a connection, and waits for more."""
    rate = 1 << 20
    loop = asyncio.get_running_loop()
    rules = {"limits": {"bytesPerSecond": rate}, "passThrough": {"maxBodyBytes": 4 * rate}}
    async with site(mirror) as port, running(port, **rules) as relay, browser(relay) as client:
        began = loop.time()
        assert await reflected(client, 3 * rate // 2) == 3 * rate // 2
        assert loop.time() - began > 0.4
        assert relay.counters.client.throttled
        assert relay.counters.origin.throttled


@on_pump_loop
async def test_pages_that_are_not_allowed_get_403() -> None:
    """The rule for pages holds for plain requests too."""
    rules = {"clients": {"allowedOrigins": ["https://app.example.com"]}, **PASS}
    async with site() as port, running(port, **rules) as relay, browser(relay) as client:
        for page, status in (("https://app.example.com", 200), ("https://evil.example.com", 403)):
            assert (await client.get("/", headers={"Origin": page})).status == status


@on_pump_loop
async def test_a_drain_keeps_no_connection_whose_answer_began_before_it() -> None:
    """The answer said that the connection stays, but the client would have kept the drain waiting."""
    go_on = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await go_on.wait()
        return response

    async with site(serve) as port, running(port, lifecycle={"drainSeconds": 600}, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1"))
        await reader.readuntil(b"first")
        draining = asyncio.create_task(relay.relay.drain())
        await relay.until(lambda: relay.relay.draining)
        go_on.set()
        async with asyncio.timeout(DEADLINE):
            assert (await reader.read()).endswith(b"0\r\n\r\n")
            writer.close()
            await draining


@on_pump_loop
async def test_a_drain_ends_what_is_under_way_in_its_time() -> None:
    """Idle connections at once, a poll with 503, a stream with its end; what ends by itself in time may."""
    go_on = asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first")
        else:
            response = web.Response(text="done")
        if request.path != "/":
            await (go_on.wait() if request.path == "/short" else asyncio.sleep(60))
        return response

    rules = {"lifecycle": {"drainSeconds": 3}, **PASS}
    async with site(serve) as port, running(port, **rules) as relay:
        ends = {}
        for path in ("/", "/short", "/poll", "/stream"):
            ends[path] = await relay.raw()
            ends[path][1].write(raw(f"GET {path} HTTP/1.1"))
        assert (await answer(ends["/"][0]))[2] == b"done"
        assert b"first" in await ends["/stream"][0].readuntil(b"first")
        await relay.until(lambda: len(relay.plain_requests) == 3)
        drain = asyncio.create_task(relay.relay.drain())
        assert await asyncio.wait_for(ends["/"][0].read(), 2.5) == b""
        assert (await relay.exchange(raw("GET / HTTP/1.1"))).startswith(b"HTTP/1.1 503 ")
        go_on.set()
        status, headers, _ = await answer(ends["/short"][0])
        assert (status, headers["connection"]) == (200, "close")
        status, headers, _ = await answer(ends["/poll"][0])
        assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
        assert not (await ends["/stream"][0].read()).endswith(b"0\r\n\r\n")
        await asyncio.wait_for(drain, DEADLINE)
        assert relay.counters.cuts == {"going away": 1}
        for _, writer in ends.values():
            writer.close()


@on_pump_loop
async def test_a_domain_that_is_switched_off_serves_no_plain_requests() -> None:
    """Newcomers get 503, and connections of before do not stay."""
    async with site() as port, running(port, lifecycle={"drainSeconds": 0}, **PASS) as relay:
        reader, writer = await relay.raw()
        writer.write(raw("GET / HTTP/1.1"))
        await answer(reader)
        await relay.until(lambda: relay.idle)
        relay.apply(enabled=False)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        got = await relay.exchange(raw("GET / HTTP/1.1"))
        assert got.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 5\r\n" in got
        writer.close()
