"""Answers of origins that look odd and harm nobody pass; a 101 that proves no upgrade is a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.relay.heads import accept_of_request, switching, upgrade
from support.relay.http2 import connect_lines, http2_client
from support.relay.http2_relay import http2
from support.relay.noting import GREETING, switched
from support.relay.plain import PASS, raw
from support.relay.running import on_pump_loop, raw_origin, running

OFFERS = ("Sec-WebSocket-Protocol: chat, a/b", "Sec-WebSocket-Extensions: permessage-deflate")
STREAM_OFFERS = [
    (b"sec-websocket-protocol", b"chat, a/b"),
    (b"sec-websocket-extensions", b"permessage-deflate"),
]

# Lines that an origin adds to its 101, and those of them that the client gets.
ODD: dict[str, tuple[tuple[str, ...], tuple[bytes, ...]]] = {
    "chunks": (("Transfer-Encoding: chunked",), ()),
    "a length of nothing": (("Content-Length: 00",), ()),
    "Upgrade twice": (("Upgrade: websocket",), ()),
    "Upgrade as a list": (("Upgrade: h2c, WebSocket",), ()),
    "Connection twice": (("Connection: keep-alive, X-Hop", "X-Hop: 1"), ()),
    "an empty subprotocol": (("Sec-WebSocket-Protocol:",), (b"Sec-WebSocket-Protocol: ",)),
    "a subprotocol that is no token": (("Sec-WebSocket-Protocol: a/b",), (b"Sec-WebSocket-Protocol: a/b",)),
    "a subprotocol twice": (
        ("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"),
        (b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: chat"),
    ),
    "all subprotocols": (("Sec-WebSocket-Protocol: chat, a/b",), (b"Sec-WebSocket-Protocol: chat, a/b",)),
    "an empty extension": (("Sec-WebSocket-Extensions:",), (b"Sec-WebSocket-Extensions: ",)),
    "bytes above ASCII": (("X-Name: caf\xc3\xa9",), (b"X-Name: caf\xc3\xa9",)),
}
# Lines that make a 101 none.
BROKEN = {
    "a subprotocol that nobody offered": ("Sec-WebSocket-Protocol: mqtt",),
    "a subprotocol in other letters": ("Sec-WebSocket-Protocol: CHAT",),
    "an offered subprotocol and another": ("Sec-WebSocket-Protocol: chat, mqtt",),
    "an extension that nobody offered": ("Sec-WebSocket-Extensions: x-mux",),
    "two extensions": ("Sec-WebSocket-Extensions: permessage-deflate, x-mux",),
    "a body": ("Content-Length: 5",),
    "two lengths": ("Content-Length: 0", "Content-Length: 5"),
    "a second proof": ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",),
    "a folded line": ("X-A: b", " c"),
    "a space before the colon": ("X-A : b",),
}


@asynccontextmanager
async def answering(lines: list[tuple[str, ...]]) -> AsyncIterator[int]:
    """Run an origin that answers each handshake by a 101 with the next of `lines`, and a message."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(*lines.pop(0), accept=accept_of_request(head)) + GREETING)
        await reader.read()

    async with raw_origin(answer) as port:
        yield port


@on_pump_loop
async def test_an_odd_101_opens_a_tunnel() -> None:
    """The client gets one Upgrade, one Connection and no framing; the rest as it came."""
    async with answering([lines for lines, _ in ODD.values()]) as port, running(port) as relay:
        for case, (_, wanted) in ODD.items():
            got = (await switched(relay, upgrade("/", *OFFERS))).split(b"\r\n")
            assert got[0].startswith(b"HTTP/1.1 101 "), (case, got)
            own = [b"Upgrade: websocket", b"Connection: Upgrade"]
            assert got[1:3] == own, (case, got)
            assert tuple(got[4:-2]) == wanted, (case, got)
        await relay.until_idle()
        assert relay.counters.refusals() == {}


@on_pump_loop
async def test_an_odd_101_opens_a_stream() -> None:
    """HTTP/2 has neither Upgrade nor Connection."""
    async with (
        answering([lines for lines, _ in ODD.values()]) as port,
        http2(port) as relay,
        http2_client(relay) as client,
    ):
        for case, (_, wanted) in ODD.items():
            number = client.request(connect_lines(STREAM_OFFERS))
            seen = client.streams[number]
            await client.until(lambda seen=seen: seen.headers)  # type: ignore[misc]
            assert seen.status == 200, (case, seen)
            assert await client.hear(number, len(GREETING)) == GREETING
            expected = dict(line.lower().split(b": ", 1) for line in wanted)
            expected = {name: value.strip() for name, value in expected.items()}
            assert {**seen.headers, b":status": b""} == {b":status": b"", **expected}, case


@on_pump_loop
async def test_a_101_that_answers_another_offer_is_an_error_of_the_origin() -> None:
    """A client would believe what it never asked for; over both versions of HTTP."""
    async with (
        answering([lines for lines in BROKEN.values() for _ in range(2)]) as port,
        http2(port) as relay,
        http2_client(relay) as client,
    ):
        for case in BROKEN:
            got = await switched(relay, upgrade("/", *OFFERS))
            assert got.startswith(b"HTTP/1.1 502 "), (case, got)
            assert (await client.answer(connect_lines(STREAM_OFFERS))).status == 502, case


OLD = (
    b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13, 8\r\nContent-Length: 3\r\n\r\nold"
)


@on_pump_loop
async def test_an_origins_426_keeps_what_it_requires() -> None:
    """Upgrade and Sec-WebSocket-Version pass, of a handshake and of a plain request."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OLD)

    async with raw_origin(refuse) as port, running(port, **PASS) as relay:
        for request in (upgrade(), raw("GET / HTTP/1.1", "Connection: close")):
            head, _, body = (await relay.exchange(request)).partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            assert lines[0] == b"HTTP/1.1 426 Upgrade Required"
            assert sorted(lines[1:]) == [
                b"Connection: close, upgrade",
                b"Content-Length: 3",
                b"Sec-WebSocket-Version: 13, 8",
                b"Upgrade: websocket",
            ]
            assert body == b"old"
    async with raw_origin(refuse) as port, http2(port) as relay, http2_client(relay) as client:
        seen = await client.answer(connect_lines())
        assert (seen.status, seen.data) == (400, b"old")
        assert seen.headers[b"sec-websocket-version"] == b"13, 8"
        assert not seen.headers.keys() & {b"upgrade", b"connection"}
