"""Bodies and answers of plain requests: streamed, in every framing, several on a connection."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.relay.certificates import authority
from support.relay.heads import upgrade
from support.relay.plain import PASS, answer, browser, mirror, raw, reflected, site
from support.relay.running import DEADLINE, DOMAIN, on_pump_loop, raw_origin, running
from wsedge_relay.config.material import Material
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES


@on_pump_loop
async def test_bodies_stream_both_ways_in_little_memory() -> None:
    """The relay never buffers 64 MiB that are uploaded and echoed at the same time."""
    size = 64 << 20
    rules: dict[str, Any] = {"passThrough": {"maxBodyBytes": size}}
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
    """TLS on both sides; the cookie is then SameSite=None, and never without TLS."""
    size = 8 << 20
    pairs = {("tls.crt", "tls.key"): authority().issue(DOMAIN)}
    fields: dict[str, Any] = {
        "originProtocol": "Follow",
        "originTLS": {"authority": {"file": "ca.crt"}},
        "tls": {"certificateFile": "tls.crt", "keyFile": "tls.key"},
        "passThrough": {"maxBodyBytes": size},
        "originRequest": {"stickyCookie": {}},
    }
    own: dict[str, Any] = {"ssl": authority().client_context(), "server_hostname": DOMAIN}
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
    """The cookie is then as for TLS to the relay; the header of another peer is ignored."""
    said = {"X-Forwarded-Proto": "https"}
    rules: dict[str, Any] = {"originRequest": {"stickyCookie": {}}, **PASS}
    async with site() as port, running(port, **rules) as relay:
        for proxies, scope in (["127.0.0.0/8"], "SameSite=None; Secure"), ([], "SameSite=Lax"):
            relay.apply(clients={"trustedProxies": proxies})
            async with browser(relay, headers=said) as client, client.get("/") as got:
                assert got.headers["Set-Cookie"].endswith(scope)


@on_pump_loop
async def test_what_is_sent_arrives_before_the_rest_is() -> None:
    """Each event of an answer, and each chunk of a request, arrives by itself."""
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
    """Run an origin that answers every request with these bytes and closes."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    return say


@pytest.mark.parametrize(("said", "body", "status"), ANSWERS.values(), ids=ANSWERS.keys())
@on_pump_loop
async def test_every_framing_of_an_answer_passes(said: bytes, body: bytes, status: int) -> None:
    """HTTP/1.1 clients can reuse the connection; HTTP/1.0 clients get no chunks; HEAD gets no body."""
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
    """The client gets no byte of the answer."""
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
    """The connection ends before the length that the head announced, so the client detects it."""
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("GET / HTTP/1.1"))
        assert b"hello" in got
        assert not got.endswith(b"0\r\n\r\n")
        assert relay.counters.cuts == {"origin": 1}
        assert relay.totals.codes == {200: 1}


@on_pump_loop
async def test_a_part_of_an_answer_without_framing_does_not_look_whole() -> None:
    """To HTTP/1.0 clients the end of the stream is the answer's end, so a cut answer ends with a reset."""
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
    """A 103 passes to the client, except over HTTP/1.0."""
    said = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 x\r\n\r\n"
    async with raw_origin(saying(said)) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("GET / HTTP/1.1", "Connection: close"))
        assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 ")
        assert (await relay.exchange(raw("GET / HTTP/1.0"))).startswith(b"HTTP/1.1 204 ")


@on_pump_loop
async def test_pipelined_requests_are_answered_in_order() -> None:
    """Three requests at once, one with a body; then an upgrade on the same connection opens a tunnel."""
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
    """The relay reads a bounded number of bytes ahead from a client that pipelines without end."""
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
    """The bytes of both are counted once."""

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
    """The request is served without its upgrade, which the origin does not get."""
    async with site() as port, running(port, **PASS) as relay:
        wish = ("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        got = await relay.exchange(raw("GET / HTTP/1.1", *wish))
        assert got.startswith(b"HTTP/1.1 200 ")
        assert b"h2c" not in got
        assert b"AAMAAABk" not in got


@on_pump_loop
async def test_a_client_that_waits_is_told_to_go_on() -> None:
    """100 is sent once an origin is connected; other expectations are refused, and a refusal has no 100."""
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
