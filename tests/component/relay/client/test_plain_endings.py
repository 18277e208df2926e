"""The end of plain requests: in order, by a failing client or origin, by a drain."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from support.relay.plain import PASS, answer, browser, raw, site
from support.relay.running import DEADLINE, QUICK, on_pump_loop, raw_origin, refusing, running
from wsedge_relay.timeouts import Timeouts


@on_pump_loop
async def test_a_connection_without_further_requests_ends() -> None:
    """It closes after its idle time, without an answer."""
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
    """The pauses of a body are bounded as those of a head."""
    async with site() as port, running(port, limits={"stallSeconds": 1}, **PASS) as relay:
        got = await relay.exchange(raw("POST / HTTP/1.1", "Content-Length: 5", body=b"he"))
        assert got.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 x\r\n\r\ndata: 1\n\n"], ids=["before", "within"])
@on_pump_loop
async def test_a_client_that_hangs_up_ends_the_origins_request(said: bytes) -> None:
    """A disconnect before the answer, or within it, closes the connection to the origin."""
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
    """No other origin gets the request, because the slow origin may be processing it."""
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
    """The client gets the bytes so far, and the connection ends."""

    async def halt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 x\r\nContent-Length: 50\r\n\r\nhello")
        await reader.read()

    async with raw_origin(halt) as port, running(port, passThrough={"timeoutSeconds": 1}) as relay:
        assert (await relay.exchange(raw("GET / HTTP/1.1"))).endswith(b"hello")
        assert relay.counters.cuts == {"origin": 1}


@on_pump_loop
async def test_a_client_that_takes_nothing_is_given_up() -> None:
    """The connection of a client that accepts no bytes of an endless answer is closed."""

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
    """Its failure is counted, and the client gets an answer."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    rules: dict[str, Any] = {"passThrough": {"maxBodyBytes": 1 << 30, "timeoutSeconds": 1}}
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
    """After a failed dial: always. After a close without a byte: a GET is repeated, a POST is not."""
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
    """The client gets the answer, and the connection ends, because the rest of the body is unread."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 x\r\nContent-Length: 2\r\n\r\nno")

    async with raw_origin(refuse) as port, running(port, **PASS) as relay:
        got = await relay.exchange(raw("POST / HTTP/1.1", "Content-Length: 1000", body=b"begin"))
        assert got.startswith(b"HTTP/1.1 401 ")
        assert got.endswith(b"\r\nConnection: close\r\n\r\nno")


@on_pump_loop
async def test_a_drain_keeps_no_connection_whose_answer_began_before_it() -> None:
    """The answer announced keep-alive, but the connection closes, or the drain would wait for the client."""
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
    """Idle connections close at once, a poll gets 503, a stream is cut; others end in time."""
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

    rules: dict[str, Any] = {"lifecycle": {"drainSeconds": 3}, **PASS}
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
