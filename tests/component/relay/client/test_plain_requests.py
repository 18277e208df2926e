"""Plain requests through a relay: which pass, and how they are framed, limited and counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog
from aiohttp import web
from websockets.exceptions import InvalidStatus

from support.relay.plain import PASS, answer, browser, mirror, name_of, raw, reflected, site
from support.relay.running import DEADLINE, on_pump_loop, raw_origin, running


@on_pump_loop
async def test_a_plain_request_gets_the_origins_answer() -> None:
    """Method, path, query, body and headers arrive, and the answer too; hop-by-hop headers are new."""
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
    """So do requests for paths that are not passed."""
    async with site() as port, running(port) as relay, browser(relay) as client:
        assert (await client.get("/")).status == 426
        relay.apply(passThrough={"paths": ["/in", "/below/*"]})
        for path, status in {"/in": 200, "/below/x": 200, "/inside": 426, "/below": 426}.items():
            assert (await client.get(path)).status == status, path
        assert relay.counters.refusals() == {"upgrade": 3}


@on_pump_loop
async def test_only_named_methods_pass() -> None:
    """Others get 405 with the allowed methods; CONNECT and TRACE never pass."""
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
    """Exact rules and prefixes apply to tunnels and plain requests, with counts by field name."""
    rules: dict[str, Any] = {"clients": {"allowedPaths": ["/ws", "/socket.io/*"]}, **PASS}
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
    """No spelling of a dot segment or a separator evades the rules."""
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
    """Each gets 400, and the connection ends."""
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
    """At any point of the body; the origin gets a body without its end."""
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
    """A few extensions pass; a body with more extensions than data does not."""
    async with site() as port, running(port, **PASS) as relay:
        few = b'5;a=b; c = "d"\r\nhello\r\n0;last\r\nX-T: 1\r\n\r\n'
        data = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Connection: close", body=few)
        assert b'"body": "hello"' in await relay.exchange(data)
        many = b"".join(b"1;" + b"x" * 1000 + b"\r\nh\r\n" for _ in range(40))
        data = raw("POST / HTTP/1.1", "Transfer-Encoding: chunked", body=many)
        assert (await relay.exchange(data)).startswith(b"HTTP/1.1 400 ")


@on_pump_loop
async def test_a_body_over_the_limit_gets_413() -> None:
    """A length is checked before an origin is dialled, chunks as soon as they exceed the limit."""
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


@on_pump_loop
async def test_requests_are_counted_to_the_byte() -> None:
    """Heads and bodies of both directions, the codes of answers, and a log line for each request."""
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
    """As in tunnels, bytes are counted before the end."""
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
    """A long poll counts in the limit, an idle connection does not; the rate counts requests."""
    waits, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        if request.path == "/wait":
            waits.set()
            await go_on.wait()
        return web.Response(text="done")

    limits: dict[str, Any] = {"limits": {"connectionsPerClient": 1}}
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
    """Each direction may send the bytes of one second at once, over all requests of a connection."""
    rate = 1 << 20
    loop = asyncio.get_running_loop()
    rules: dict[str, Any] = {"limits": {"bytesPerSecond": rate}, "passThrough": {"maxBodyBytes": 4 * rate}}
    async with site(mirror) as port, running(port, **rules) as relay, browser(relay) as client:
        began = loop.time()
        assert await reflected(client, 3 * rate // 2) == 3 * rate // 2
        assert loop.time() - began > 0.4
        assert relay.counters.client.throttled
        assert relay.counters.origin.throttled


@on_pump_loop
async def test_pages_that_are_not_allowed_get_403() -> None:
    """AllowedOrigins applies to plain requests too."""
    rules: dict[str, Any] = {"clients": {"allowedOrigins": ["https://app.example.com"]}, **PASS}
    async with site() as port, running(port, **rules) as relay, browser(relay) as client:
        for page, status in (("https://app.example.com", 200), ("https://evil.example.com", 403)):
            assert (await client.get("/", headers={"Origin": page})).status == status


@on_pump_loop
async def test_a_domain_that_is_switched_off_serves_no_plain_requests() -> None:
    """New clients get 503, and open connections close."""
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
