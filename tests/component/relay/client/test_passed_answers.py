"""Answers of an origin to a handshake, other than 101: passed at once, streamed, and cut at their bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from support.relay.heads import accepted, upgrade
from support.relay.http2 import Seen, connect_lines, http2_client
from support.relay.http2_relay import http2
from support.relay.plain import PASS, raw
from support.relay.running import DEADLINE, USUAL, on_pump_loop, raw_origin, running

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LONG: Final = b"n" * 300_000
FRAMINGS: Final[dict[str, tuple[bytes, bytes]]] = {
    "a length": (b"Content-Length: 300000\r\n", LONG),
    "chunks": (b"Transfer-Encoding: chunked\r\n", b"493e0\r\n" + LONG + b"\r\n0\r\n\r\n"),
    "the end of the connection": (b"", LONG),
}


def answering(*pieces: bytes, stays: bool = False) -> Handler:
    """Return an origin that sends these pieces, each once the last was read by the relay."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if stays:
            await reader.read()

    return answer


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a handshake by a body without end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


def answered(seen: Seen) -> bool:
    """Return whether a stream has its answer's head, or was reset."""
    return bool(seen.headers) or seen.reset is not None


def unchunked(data: bytes) -> bytes:
    """Return the payload of chunks."""
    payload = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        payload += rest[: int(size, 16)]
        data = rest[int(size, 16) + 2 :]
    return payload


@pytest.mark.parametrize(("line", "body"), FRAMINGS.values(), ids=FRAMINGS)
@on_pump_loop
async def test_a_long_refusal_passes_whole(line: bytes, body: bytes) -> None:
    """Its status and its body of 300 kB are the origin's; the origin has not failed."""
    head = b"HTTP/1.1 403 No Entry\r\n" + line + b"\r\n"
    async with raw_origin(answering(head, body)) as port, running(port) as relay:
        got_head, _, got = (await relay.exchange(upgrade())).partition(b"\r\n\r\n")
        await relay.until_idle()
        assert got_head.startswith(b"HTTP/1.1 403 No Entry\r\n")
        assert (unchunked(got) if b"chunked" in got_head else got) == LONG
        assert (b"Content-Length: 300000" in got_head) is (b"Content-Length" in line)
        assert relay.row.codes == ((403, 1),)
        assert relay.counters.handshakes == {(403, "origin answer"): 1}
        assert (relay.counters.origin_failures, relay.counters.cuts) == ({}, {})
        assert relay.site.limiter.taken == relay.site.origins.targets[0].open == 0


@pytest.mark.parametrize(("line", "body"), FRAMINGS.values(), ids=FRAMINGS)
@on_pump_loop
async def test_a_long_refusal_passes_whole_over_http2(line: bytes, body: bytes) -> None:
    """DATA has the payload alone, without HTTP/1.1's chunks; a length is passed too."""
    head = b"HTTP/1.1 403 No Entry\r\n" + line + b"\r\n"
    async with (
        raw_origin(answering(head, body)) as port,
        http2(port) as relay,
        http2_client(relay) as client,
    ):
        seen = await client.answer(connect_lines())
        assert (seen.status, seen.data, seen.ended) == (403, LONG, True)
        assert seen.headers.get(b"content-length") == (b"300000" if b"Length" in line else None)


@on_pump_loop
async def test_the_head_and_each_piece_pass_at_once() -> None:
    """Server-sent events to a client that asked for an upgrade arrive when they are sent."""
    more = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await more.wait()
        writer.write(b"data: 1\n\n")
        await reader.read()

    async with raw_origin(trickle) as port, running(port) as relay:
        reader, writer = await relay.raw()
        writer.write(upgrade())
        async with asyncio.timeout(DEADLINE):
            head = await reader.readuntil(b"\r\n\r\n")
            more.set()
            assert await reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: 1\n\n\r\n"
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await relay.until_idle()
        assert (relay.counters.cuts, relay.counters.origin_failures) == ({"client": 1}, {})


# Pieces of an answer, the end of what the client gets, the reason of the cut, the origin's failures.
CUT: Final[dict[str, tuple[Handler, bytes, str, dict[str, int]]]] = {
    "a body that ends early": (
        answering(b"HTTP/1.1 403 x\r\nContent-Length: 10\r\n\r\nabc"),
        b"Content-Length: 10\r\nConnection: close\r\n\r\nabc",
        "origin",
        {"answer": 1},
    ),
    "chunks that end early": (
        answering(b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        b"\r\n\r\n3\r\nabc\r\n",
        "origin",
        {"answer": 1},
    ),
    "a body that pauses": (
        answering(b"HTTP/1.1 403 x\r\nContent-Length: 10\r\n\r\nabc", stays=True),
        b"abc",
        "bounds",
        {},
    ),
    "a body without end": (pour, b"x\r\n", "bounds", {}),
}


@pytest.mark.parametrize(("answer", "end", "reason", "failures"), CUT.values(), ids=CUT)
@on_pump_loop
async def test_a_cut_answer_is_closed_before_its_end(
    answer: Handler, end: bytes, reason: str, failures: dict[str, int]
) -> None:
    """The client gets the origin's status and the part that exists; only a broken body is a failure."""
    timeouts = replace(USUAL, answer_seconds=1.0)
    rules = {"connectTimeoutSeconds": 1}
    async with raw_origin(answer) as port, running(port, timeouts=timeouts, originRequest=rules) as relay:
        got = await relay.exchange(upgrade())
        await relay.until_idle()
        assert got.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 200 "))
        assert got.endswith(end)
        assert not got.endswith(b"0\r\n\r\n")
        assert (relay.counters.cuts, relay.counters.origin_failures) == ({reason: 1}, failures)
        assert not relay.site.origins.targets[0].ejected(asyncio.get_running_loop().time())
        assert relay.site.limiter.taken == relay.site.origins.targets[0].open == 0


@pytest.mark.parametrize(("answer", "end", "reason", "failures"), CUT.values(), ids=CUT)
@on_pump_loop
async def test_a_cut_answer_resets_its_stream(
    answer: Handler, end: bytes, reason: str, failures: dict[str, int]
) -> None:
    """END_STREAM would make a part look like the whole."""
    timeouts = replace(USUAL, answer_seconds=1.0)
    rules = {"connectTimeoutSeconds": 1}
    async with (
        raw_origin(answer) as port,
        http2(port, timeouts=timeouts, originRequest=rules) as relay,
        http2_client(relay) as client,
    ):
        seen = await client.answer(connect_lines())
        assert seen.status in (200, 403)
        assert (seen.ended, seen.reset) == (False, 2)  # INTERNAL_ERROR
        assert seen.data.endswith(end.removesuffix(b"\r\n")[-1:])
        assert (relay.counters.cuts, relay.counters.origin_failures) == ({reason: 1}, failures)


@on_pump_loop
async def test_a_client_that_reads_no_refusal_is_given_up() -> None:
    """Its connection is closed after stallSeconds, and the origin's too."""
    async with raw_origin(pour) as port, running(port, limits={"stallSeconds": 1}) as relay:
        _, writer = await relay.raw(limit=1)
        writer.write(upgrade())
        await relay.until(lambda: relay.counters.cuts)
        assert set(relay.counters.cuts) <= {"stalled", "bounds"}  # the kernel may buffer all of it
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_one_clients_requests_eject_no_origin() -> None:
    """An origin that hangs up on a request may do so because of the request; refused dials eject at once."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if b"/bad" not in asked:
            writer.write(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n")

    async with raw_origin(hang_up) as port, running(port) as relay:
        loop = asyncio.get_running_loop()
        for _ in range(4):
            assert (await relay.exchange(upgrade("/bad"))).startswith(b"HTTP/1.1 502 ")
        assert relay.counters.origin_failures == {"closed": 4}
        assert not relay.site.origins.targets[0].ejected(loop.time())
        assert (await relay.exchange(upgrade("/"))).startswith(b"HTTP/1.1 403 ")
        for _ in range(4):
            await relay.exchange(upgrade("/bad"))
        assert not relay.site.origins.targets[0].ejected(loop.time())
        await relay.exchange(upgrade("/bad"))
        assert relay.site.origins.targets[0].ejected(loop.time())


def cookies(number: int, size: int) -> list[str]:
    """Return lines that set so many cookies of this size."""
    return [f"Set-Cookie: c{one}={'x' * size}" for one in range(number)]


# Lines of an answer, limits.headerBytes, and whether the answer passes.
HEADS: Final[dict[str, tuple[list[str], int, bool]]] = {
    "five cookies of 4 kB": (cookies(5, 4096), 16384, True),
    "five cookies of 4 kB to a domain with short requests": (cookies(5, 4096), 1024, True),
    "a line of 32 kB": (cookies(1, 32_700), 16384, True),
    "a longer line": (cookies(1, 33_000), 16384, False),
    "the most lines": (cookies(396, 100), 16384, True),
    "too many lines": (cookies(401, 100), 16384, False),
    "the most bytes": (cookies(15, 4300), 16384, True),
    "too many bytes": (cookies(16, 4200), 16384, False),
    "four times the limit of requests": (cookies(30, 8000), 65536, True),
    "more than four times": (cookies(40, 8000), 65536, False),
}


def long_answer(lines: list[str]) -> Handler:
    """Return an origin that accepts handshakes for /tunnel and refuses others, with these lines."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        head = ["HTTP/1.1 403 x", *lines, "Content-Length: 0", "", ""]
        if b"/tunnel" in request:
            head = [*accepted(request).decode().split("\r\n")[:-2], *lines, "", ""]
        writer.write("\r\n".join(head).encode())
        await reader.read()

    return answer


@pytest.mark.parametrize(("lines", "most", "passes"), HEADS.values(), ids=HEADS)
@on_pump_loop
async def test_a_long_head_of_an_origin_passes(lines: list[str], most: int, passes: bool) -> None:
    """A 101, a refusal and an answer to a plain request have the same bounds."""
    async with (
        raw_origin(long_answer(lines)) as port,
        running(port, limits={"headerBytes": most}, **PASS) as relay,
    ):
        refused = await relay.exchange(upgrade("/refused"))
        plain = await relay.exchange(raw("GET / HTTP/1.1", "Connection: close"))
        reader, writer = await relay.raw(limit=1 << 20)
        writer.write(upgrade("/tunnel"))
        opened = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        statuses = [got.split(b" ", 2)[1] for got in (refused, plain, opened)]
        assert statuses == ([b"403", b"403", b"101"] if passes else [b"502"] * 3)
        for got in (refused, plain, opened):
            assert got.count(b"Set-Cookie") == (len(lines) if passes else 0)


@pytest.mark.parametrize(("lines", "most", "passes"), HEADS.values(), ids=HEADS)
@on_pump_loop
async def test_a_long_head_of_an_origin_passes_over_http2(lines: list[str], most: int, passes: bool) -> None:
    """The bounds are those of HTTP/1.1, with room for the lines that the relay adds."""
    async with (
        raw_origin(long_answer(lines)) as port,
        http2(port, limits={"headerBytes": most}, originRequest={"stickyCookie": {}}) as relay,
        http2_client(relay) as client,
    ):
        for path, status in ((b"/tunnel", 200), (b"/refused", 403)):
            stream = client.request(connect_lines(path=path))
            await client.until(partial(answered, client.streams[stream]))
            assert client.streams[stream].status == (status if passes else 502)
