"""Endpoints behave through the relay as without it; a peer that breaks a rule gets the rule's name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import switching, upgrade
from support.relay.running import DEADLINE, DOMAIN, QUICK, Running, on_pump_loop, raw_origin, running
from wsedge_relay.config.material import Material
from wsedge_relay.timeouts import Timeouts

KEY = b"\x11\x22\x33\x44"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
# So patient that a test which waited for one of these would miss its own deadline.
PATIENT = Timeouts(close_seconds=600, linger_seconds=600)


class Origin:
    """An origin's one connection: the bytes that it received, and a method to send."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.open = asyncio.Event()
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the handshake and keep the connection until `over`."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(*self._lines))
        self.reader, self.writer = reader, writer
        self.open.set()
        await self.over.wait()


async def enter(
    relay: Running, origin: Origin, *lines: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a tunnel with a plain client."""
    reader, writer = await relay.raw()
    writer.write(upgrade("/", *lines))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    await origin.open.wait()
    return reader, writer


@pytest.mark.parametrize("first", ["client", "origin"])
@on_pump_loop
async def test_tcp_ends_on_both_legs_with_the_close_handshake(first: str) -> None:
    """Both streams end after the second Close, whichever end closes first."""
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        reader, writer = await enter(relay, origin)
        ends: dict[str, Any] = {
            "client": (reader, writer, frame(b"\x03\xe8bye", opcode=8, key=KEY)),
            "origin": (origin.reader, origin.writer, frame(b"\x03\xe8bye", opcode=8)),
        }
        second = "origin" if first == "client" else "client"
        for one, other in ((first, second), (second, first)):
            ends[one][1].write(ends[one][2])
            assert await ends[other][0].readexactly(len(ends[one][2])) == ends[one][2]
        assert await reader.read() == await origin.reader.read() == b""
        origin.over.set()
        writer.close()
        await relay.until_idle()


PASSING = {
    "no code": b"",
    "a usual code": b"\x03\xe8",
    "no status, said aloud": b"\x03\xed",
    "abnormal, said aloud": b"\x03\xee",
    "TLS failed, said aloud": b"\x03\xf7",
    "no code of any range": b"\x00\x00",
    "the highest number": b"\xff\xff",
    "a reason that is no UTF-8": b"\x03\xe8\xff\xfe",
    "the longest reason": b"\x03\xe8" + b"x" * 123,
}


@on_pump_loop
async def test_what_a_close_says_is_between_the_endpoints() -> None:
    """Reasons pass unchanged, and so do codes that RFC 6455 section 7.4.1 forbids on the wire."""
    for payload in PASSING.values():
        origin = Origin()
        async with raw_origin(origin.serve) as port, running(port) as relay:
            reader, writer = await enter(relay, origin)
            close = frame(payload, opcode=8, key=KEY)
            writer.write(close)
            assert await origin.reader.readexactly(len(close)) == close
            back = frame(payload, opcode=8)
            origin.writer.write(back)
            assert await reader.read() == back
            origin.over.set()
            writer.close()
            await relay.until_idle()


@on_pump_loop
async def test_fragments_and_control_frames_pass_byte_by_byte() -> None:
    """Even byte by byte the same bytes arrive: no frame is joined, split or moved."""
    sent = b"".join(
        [
            frame(b"one", fin=False, rsv=4, key=KEY),
            frame(b"ping", opcode=9, key=KEY),
            frame(b"", opcode=0, fin=False, key=KEY),
            frame(b"pong", opcode=10, key=KEY),
            frame(b"two" * 60, opcode=0, key=KEY),
            frame(b"three", opcode=2, key=KEY),
        ]
    )
    origin = Origin(DEFLATE)
    async with raw_origin(origin.serve) as port, running(port) as relay:
        _, writer = await enter(relay, origin, DEFLATE)
        got = b""
        for byte in sent:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        got = await asyncio.wait_for(origin.reader.readexactly(len(sent)), DEADLINE)
        assert got == sent
        origin.over.set()
        writer.close()
        await relay.until_idle()


BROKEN = {
    "RSV1 without an extension": ([frame(b"x", rsv=4)], "reserved bits", False),
    "RSV1 on a continuation": (
        [frame(b"x", fin=False, rsv=4), frame(b"y", opcode=0, rsv=4)],
        "reserved bits",
        True,
    ),
    "RSV1 on a ping": ([frame(b"x", opcode=9, rsv=4)], "reserved bits", True),
    "RSV2": ([frame(b"x", rsv=2)], "reserved bits", True),
    "a reserved opcode": ([frame(b"x", opcode=5)], "opcode", False),
    "a reserved control opcode": ([frame(b"x", opcode=13)], "opcode", False),
    "a continuation of nothing": ([frame(b"x", opcode=0)], "continuation", False),
    "a message within a message": ([frame(b"x", fin=False), frame(b"y")], "continuation", False),
    "a ping in fragments": ([frame(b"x", opcode=9, fin=False)], "control frame", False),
    "a long ping": ([frame(b"x" * 126, opcode=9)], "control frame", False),
    "half a close code": ([frame(b"\x03", opcode=8)], "control frame", False),
    "a length said too long": ([frame(b"x", length_bytes=2)], "length", False),
}


@on_pump_loop
async def test_each_broken_rule_of_an_origin_is_named() -> None:
    """The origin gets 1002 with the rule, the client 1011, and earlier frames pass."""
    for case, (frames, rule, deflate) in BROKEN.items():
        lines = (DEFLATE,) if deflate else ()
        origin = Origin(*lines)
        async with raw_origin(origin.serve) as port, running(port, timeouts=QUICK) as relay:
            reader, writer = await enter(relay, origin, *lines)
            good = b"".join(frames[:-1])
            origin.writer.write(b"".join(frames) + frame(b"late"))
            assert await reader.readexactly(len(good)) == good, case
            assert await reader.readexactly(4) == frame(b"\x03\xf3", opcode=8), case
            told = await origin.reader.read()
            assert (told[0], told[1]) == (0x88, 0x80 | len(rule) + 2), case
            writer.close()
            origin.over.set()
            await relay.until_idle()
            assert relay.counters.origin.violations == {rule: 1}, case


@on_pump_loop
async def test_a_head_that_drips_has_the_same_time_as_any() -> None:
    """Single bytes do not extend the time: 408 at the deadline."""
    async with running(1, timeouts=QUICK) as relay:
        reader, writer = await relay.raw()

        async def drip() -> None:
            for byte in upgrade("/", *["X-A: b"] * 1000):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await asyncio.wait_for(reader.readline(), DEADLINE)).startswith(b"HTTP/1.1 408 ")
        dripping.cancel()
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_tls_handshake_has_a_time() -> None:
    """A TLS client that sends nothing, or half of its first message, is disconnected."""
    tls = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
    material = Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})
    async with running(1, material=material, tls=tls, timeouts=QUICK) as relay:
        for said in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            reader, writer = await asyncio.open_connection(*relay.relay.addresses["https"])
            writer.write(said)
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
            writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_an_origins_head_is_bounded_too() -> None:
    """Too many headers, or too many bytes, are an invalid answer."""
    for more in (["X-A: b"] * 401, ["X-A: " + "b" * 33_000], ["X-A: " + "b" * 1000] * 70):
        origin = Origin(*more)
        async with raw_origin(origin.serve) as port, running(port) as relay:
            assert (await relay.exchange(upgrade())).startswith(b"HTTP/1.1 502 ")
            origin.over.set()
            await relay.until_idle()
