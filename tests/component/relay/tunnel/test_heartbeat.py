"""The heartbeat on real connections; the shortest interval is one second, so each test takes a few."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection

from support.relay.frames import frame, parse
from support.relay.heads import accepted, upgrade
from support.relay.running import DEADLINE, on_pump_loop, origin, raw_origin, running


@on_pump_loop
async def test_silent_legs_are_pinged_and_their_pongs_stay_here() -> None:
    """Both ends answer the relay's pings, no pong reaches the other end, and round trips are measured."""
    heard: list[Any] = []

    async def listen(connection: ServerConnection) -> None:
        cast(Any, connection.protocol).recv_pong = heard.append
        await connection.wait_closed()

    async with origin(listen) as port, running(port, heartbeatSeconds=1) as relay:
        async with relay.connect() as client:
            await relay.until(lambda: relay.counters.client.pongs and relay.counters.origin.pongs)
            for side in (relay.counters.client, relay.counters.origin):
                assert 0 <= side.rtt.sum / side.pongs < 5
            await asyncio.wait_for(client.ping(b"mine"), DEADLINE)
        await relay.until_idle()
        assert relay.totals.sent_messages == relay.totals.received_messages == 0
    assert heard == []


@on_pump_loop
async def test_a_changed_interval_counts_for_open_connections() -> None:
    """No connection closes, and pings follow the new interval."""
    async with origin() as port, running(port, heartbeatSeconds=300) as relay, relay.connect() as client:
        await client.send("before")
        assert await client.recv() == "before"
        relay.apply(heartbeatSeconds=1)
        await relay.until(lambda: relay.counters.client.pings and relay.counters.origin.pings)
        await client.send("after")
        assert await client.recv() == "after"
        assert (relay.totals.opened_connections, relay.totals.open_connections) == (1, 1)


@on_pump_loop
async def test_a_client_that_does_not_answer_is_dead() -> None:
    """The origin of a silent client gets 1001 after a ping and one more interval."""
    seen: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.set_result(connection.close_code)

    async with origin(note) as port, running(port, heartbeatSeconds=1) as relay:
        reader, writer = await relay.raw()
        writer.write(upgrade())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert await asyncio.wait_for(seen, DEADLINE) == 1001
        await relay.until_idle()
        assert (relay.counters.client.pings, relay.counters.client.dead) == (1, 1)
        writer.close()


@on_pump_loop
async def test_an_origin_that_does_not_answer_is_dead() -> None:
    """The client of a silent origin gets 1001; pings to the origin are masked."""
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(accepted(head))
        data = b""
        try:
            while more := await reader.read(1000):
                data += more
        except ConnectionResetError:
            pass
        got.set_result(data)

    async with raw_origin(mute) as port, running(port, heartbeatSeconds=1) as relay:
        async with relay.connect(compression=None) as client:
            await asyncio.wait_for(client.wait_closed(), DEADLINE)
            assert client.close_code == 1001
        (ping, *_) = parse(await asyncio.wait_for(got, DEADLINE), masked=True)
        assert (ping.opcode, len(ping.payload)) == (9, 8)


@pytest.mark.usefixtures("each_form")
@on_pump_loop
async def test_a_client_that_answers_without_a_mask_is_alive() -> None:
    """Its pongs end at the relay, as those of paho-mqtt, and its connection stays open."""
    async with origin() as port, running(port, heartbeatSeconds=1) as relay:
        reader, writer = await relay.raw()
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            ping = await asyncio.wait_for(reader.readexactly(10), DEADLINE)
            assert ping[:2] == b"\x89\x08"
            writer.write(frame(ping[2:], opcode=10))
        await relay.until(lambda: relay.counters.client.pongs == 3)
        writer.write(frame(b"hello", key=b"abcd"))
        assert await reader.readexactly(7) == frame(b"hello")
        assert relay.counters.client.violations == {}
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_talking_leg_is_not_pinged() -> None:
    """Data within the interval replaces a ping; only the silent side gets pings."""
    sent = frame(b"tick", opcode=9, key=b"abcd")

    async with origin() as port, running(port, heartbeatSeconds=2) as relay:
        reader, writer = await relay.raw()
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(18):
            writer.write(sent)
            await asyncio.sleep(0.2)
        assert relay.counters.client.pings == 0
        writer.close()
        await relay.until_idle()
