"""Ends of tunnels: passed as they came, in order with the frames before, and bounded in time and bytes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from support.relay.certificates import authority
from support.relay.frames import frame
from support.relay.heads import upgrade
from support.relay.running import DOMAIN, QUICK, USUAL, on_pump_loop, raw_origin, running
from support.relay.tunnel_ends import Client, Origin, Peer, enter
from wsedge_relay.config.material import Material
from wsedge_relay.pump.sending import MOST_AFTER_CLOSE, MOST_WASTE
from wsedge_relay.telemetry.counters import Ending
from wsedge_relay.timeouts import Timeouts

pytestmark = pytest.mark.usefixtures("each_form")

KEY = b"\x11\x22\x33\x44"
# So patient that a test which waited for one of these would miss its own deadline.
PATIENT = Timeouts(close_seconds=600, linger_seconds=600)
SIDES = ("client", "origin")
UPGRADE = upgrade()
TLS: dict[str, Any] = {
    "tls": {"certificateFile": "tls.crt", "keyFile": "tls.key"},
}


def made(side: str, payload: bytes, *, opcode: int = 1, rsv: int = 0, fin: bool = True) -> bytes:
    """Return a frame as this side sends it."""
    return frame(payload, opcode=opcode, rsv=rsv, fin=fin, key=KEY if side == "client" else None)


def close(side: str, code: int, reason: bytes = b"") -> bytes:
    """Return a Close as this side sends it."""
    return made(side, code.to_bytes(2, "big") + reason, opcode=8)


def parts(client: Client, origin: Origin, side: str) -> tuple[Peer, Peer]:
    """Return the peer of a side, and the other."""
    return (client, origin) if side == "client" else (origin, client)


@pytest.mark.parametrize("where", ["between frames", "in a frame", "in a message"])
@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_a_fin_is_passed_as_a_fin(side: str, where: str) -> None:
    """The other end reads all bytes before it and the end, and no Close that nobody sent."""
    sent = {
        "between frames": made(side, b"last"),
        "in a frame": made(side, b"x" * 1000)[:500],
        "in a message": made(side, b"first", fin=False),
    }[where]
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write(sent)
        one.writer.write_eof()
        assert await other.end() == (sent, "end")
        other.writer.write_eof()
        assert await one.end() == (b"", "end")
        await relay.until_idle()
        assert relay.counters.endings == {Ending(side, "end", 1006): 1}
        assert (relay.counters.client.broken, relay.counters.origin.broken) == (
            int(side == "client"),
            int(side == "origin"),
        )
        origin.over.set()
        client.writer.close()


@pytest.mark.parametrize("where", ["between frames", "in a frame"])
@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_a_reset_is_passed_as_a_reset(side: str, where: str) -> None:
    """The other end reads all bytes before it, and then the reset."""
    sent = made(side, b"x" * 1000)
    sent = sent if where == "between frames" else sent[:500]
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write(sent)
        assert await other.receive(len(sent)) == sent
        one.reset()
        assert await other.end() == (b"", "reset")
        await relay.until_idle()
        assert relay.counters.endings == {Ending(side, "reset", 1006): 1}
        origin.over.set()
        client.writer.close()


@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_bytes_before_a_reset_are_not_lost(side: str) -> None:
    """A peer that reads late still gets them: the reset waits for its acknowledgement, for some time."""
    sent = made(side, b"x" * 60_000, opcode=2) * 5
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write(sent)
        await one.writer.drain()
        counter = "received_bytes" if side == "client" else "sent_bytes"
        before = getattr(relay.totals, counter)
        await relay.until(lambda: getattr(relay.totals, counter) >= max(before, len(sent)))
        one.reset()
        got, end = await other.end()
        assert (got, end) == (sent, "reset")
        origin.over.set()
        client.writer.close()
        await relay.until_idle()


@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_a_half_closed_tunnel_carries_the_other_direction(side: str) -> None:
    """Answers of the other end arrive, in frames of any number, until it ends too."""
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        second = "origin" if side == "client" else "client"
        one.writer.write_eof()
        assert await other.end() == (b"", "end")
        for word in (b"one", b"two"):
            other.writer.write(made(second, word))
            assert await one.receive(len(made(second, word))) == made(second, word)
        other.writer.write(close(second, 1000))
        assert await one.end() == (close(second, 1000), "end")
        other.writer.write_eof()
        await relay.until_idle()
        origin.over.set()
        client.writer.close()


@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_a_half_closed_tunnel_does_not_stay(side: str) -> None:
    """An end that neither sends nor ends after the FIN is closed after closeSeconds."""
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=QUICK) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write_eof()
        assert await other.end() == (b"", "end")
        await relay.until_idle()
        assert (await one.end())[0] == b""
        origin.over.set()
        client.writer.close()


@pytest.mark.parametrize("first", SIDES)
@on_pump_loop
async def test_a_close_without_an_answer_gets_none(first: str) -> None:
    """The other end ends its stream after the Close: its end is passed, and the relay makes up no Close."""
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, first)
        one.writer.write(close(first, 1000))
        assert await other.receive(len(close(first, 1000))) == close(first, 1000)
        other.writer.write_eof()
        assert await one.end() == (b"", "end")
        one.writer.write_eof()
        await relay.until_idle()
        assert relay.counters.endings == {Ending(first, "close", 1000): 1}
        origin.over.set()
        client.writer.close()


@on_pump_loop
async def test_an_end_passes_between_tls_and_plain() -> None:
    """An origin's FIN is close_notify for a wss client, and the client's close_notify a FIN back."""
    material = Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})
    origin = Origin()
    async with (
        raw_origin(origin.serve) as port,
        running(port, material=material, timeouts=PATIENT, **TLS) as relay,
    ):
        client = await enter(relay, origin, tls=authority().client_context())
        origin.writer.write(made("origin", b"last"))
        origin.writer.write_eof()
        assert await client.end() == (made("origin", b"last"), "end")
        assert await origin.end() == (b"", "end")  # asyncio answers close_notify by its own
        client.writer.close()
        await relay.until_idle()
        assert relay.counters.endings == {Ending("origin", "end", 1006): 1}
        origin.over.set()


BREAKING = {"client": made("client", b"x", rsv=2), "origin": made("origin", b"x", rsv=2)}
RULE = b"reserved bits"
TOLD = {"client": close("client", 1001), "origin": close("origin", 1011)}  # by the side that broke the rule


@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_answers_come_before_the_close_of_a_violation(side: str) -> None:
    """Valid frames pass, their answers come back, and then the 1002; nothing behind the violation passes."""
    second = "origin" if side == "client" else "client"
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write(made(side, b"first") + BREAKING[side] + made(side, b"ping", opcode=9))
        told = made(side, b"first") + TOLD[side]
        got = await other.receive(len(told))
        assert got[: len(made(side, b"first"))] == made(side, b"first")
        assert (got[-len(TOLD[side])], got[-2:] if side == "origin" else b"") == (
            0x88,
            b"\x03\xf3" if side == "origin" else b"",
        )
        answers = made(second, b"first") + made(second, b"more" * 100)
        other.writer.write(answers)
        assert await one.receive(len(answers)) == answers
        other.writer.write(close(second, 1001))
        assert_closed(await one.end(), side)
        one.writer.close()
        assert await other.end() == (b"", "end")
        origin.over.set()
        client.writer.close()
        await relay.until_idle()
        assert relay.counters.endings == {Ending(side, "violation", 1002): 1}


def assert_closed(got: tuple[bytes, str], side: str) -> None:
    """Assert that a side got 1002 with the rule, and then the end."""
    size = 2 + len(RULE)
    data, end = got
    assert end == "end"
    if side == "client":
        assert data == close("origin", 1002, RULE)
    else:  # the relay's mask is random
        assert (data[0], data[1], len(data)) == (0x88, 0x80 | size, 6 + size)


ENDINGS = ("its end", "its reset", "a violation of its own", "nothing")


@pytest.mark.parametrize("comes", ENDINGS)
@on_pump_loop
async def test_the_close_of_a_violation_does_not_depend_on_the_other_end(comes: str) -> None:
    """The 1002 is sent as well when the other end ends, is reset, breaks a rule too, or answers nothing."""
    origin = Origin()
    timeouts = QUICK if comes == "nothing" else PATIENT
    async with raw_origin(origin.serve) as port, running(port, timeouts=timeouts) as relay:
        client = await enter(relay, origin)
        client.writer.write(BREAKING["client"])
        await origin.receive(8)
        if comes == "its end":
            origin.writer.write_eof()
        elif comes == "its reset":
            origin.reset()
        elif comes == "a violation of its own":
            origin.writer.write(BREAKING["origin"])
        assert_closed(await client.end(), "client")
        client.writer.close()
        origin.over.set()
        await relay.until_idle()
        assert relay.counters.endings == {Ending("client", "violation", 1002): 1}


async def send_on(peer: Peer, data: bytes) -> int:
    """Send until the connection breaks; return the bytes sent."""
    sent = 0
    with suppress(OSError):
        while True:
            peer.writer.write(data)
            await peer.writer.drain()
            sent += len(data)
    return sent


@pytest.mark.parametrize("side", SIDES)
@on_pump_loop
async def test_a_peer_that_sends_on_after_its_close_is_reset(side: str) -> None:
    """It is read for a mebibyte more, however long the other end takes for its answer."""
    origin = Origin()
    timeouts = replace(USUAL, close_seconds=600, linger_seconds=0.3)
    async with raw_origin(origin.serve) as port, running(port, timeouts=timeouts) as relay:
        client = await enter(relay, origin)
        one, other = parts(client, origin, side)
        one.writer.write(close(side, 1000))
        await other.receive(len(close(side, 1000)))
        (tunnel,) = relay.tunnels
        leg = tunnel.client if side == "client" else tunnel.origin
        await send_on(one, made(side, b"x" * 60_000, opcode=2))
        await relay.until_idle()
        assert MOST_AFTER_CLOSE < leg.received < MOST_AFTER_CLOSE + (1 << 17)
        counters = relay.counters.client if side == "client" else relay.counters.origin
        assert counters.flooded == 1
        assert relay.counters.endings == {Ending(side, "close", 1000): 1}
        origin.over.set()
        client.writer.close()


@on_pump_loop
async def test_a_peer_that_ignores_the_relays_close_is_reset() -> None:
    """At a drain it gets 1001, and is then read for some mebibytes at most."""
    origin = Origin()
    timeouts = replace(USUAL, close_seconds=600, linger_seconds=0.3)
    async with raw_origin(origin.serve) as port, running(port, timeouts=timeouts) as relay:
        client = await enter(relay, origin)
        (tunnel,) = relay.tunnels
        leg = tunnel.client
        relay.relay.tunnels.close(tunnel, 1001, "going away")
        await client.receive(len(close("origin", 1001, b"going away")))
        await send_on(client, made("client", b"x" * 60_000, opcode=2))
        await relay.until_idle()
        assert leg.received < MOST_WASTE + (1 << 17)
        assert relay.counters.client.flooded == 1
        assert relay.counters.endings == {Ending("relay", "going away", 1001): 1}
        origin.over.set()
        client.writer.close()


@on_pump_loop
async def test_a_long_message_may_be_finished_after_the_relays_close() -> None:
    """A peer in the middle of a message sends its rest before its own Close, and the end is clean."""
    origin = Origin()
    async with raw_origin(origin.serve) as port, running(port, timeouts=PATIENT) as relay:
        client = await enter(relay, origin)
        (tunnel,) = relay.tunnels
        relay.relay.tunnels.close(tunnel, 1001, "going away")
        await client.receive(len(close("origin", 1001, b"going away")))
        client.writer.write(made("client", b"x" * (8 << 20), opcode=2) + close("client", 1001))
        origin.writer.write(close("origin", 1001))
        assert await client.end() == (b"", "end")
        client.writer.close()
        origin.over.set()
        await relay.until_idle()
        assert relay.counters.client.flooded == 0


@on_pump_loop
async def test_many_ends_leave_nothing() -> None:
    """After a hundred tunnels that ended in each way no tunnel is left."""
    for side in SIDES:
        for ended in ("end", "reset"):
            origins: asyncio.Queue[Origin] = asyncio.Queue()

            async def serve(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, found: Any = origins
            ) -> None:
                one = Origin()
                found.put_nowait(one)
                await one.serve(reader, writer)

            async with raw_origin(serve) as port, running(port, timeouts=QUICK) as relay:
                for _ in range(25):
                    client = Client()
                    client.reader, client.writer = await relay.raw()
                    client.writer.write(UPGRADE)
                    origin = await origins.get()
                    await client.reader.readuntil(b"\r\n\r\n")
                    one, other = parts(client, origin, side)
                    one.reset() if ended == "reset" else one.writer.close()
                    assert (await other.end())[1] == ended
                    other.writer.close()
                    origin.over.set()
                await relay.until_idle()
                assert relay.counters.endings == {Ending(side, ended, 1006): 25}
