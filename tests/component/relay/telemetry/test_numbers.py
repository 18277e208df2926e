"""Metrics of connections that were opened, answered and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection

from support.relay.frames import frame
from support.relay.heads import upgrade
from support.relay.running import Running, echo, on_pump_loop, origin, running
from wsedge_relay.telemetry.counters import Ending
from wsedge_relay.telemetry.families import families
from wsedge_relay.transport.sockets import reset_at_close


async def leave(relay: Running) -> None:
    async with relay.connect() as client:
        await client.close(1000)


async def leave_with_an_own_code(relay: Running) -> None:
    async with relay.connect() as client:
        await client.close(4711)


async def vanish(relay: Running) -> None:
    async with relay.connect() as client:
        client.transport.abort()


async def be_reset(relay: Running) -> None:
    async with relay.connect() as client:
        reset_at_close(client.transport.get_extra_info("socket"))
        client.transport.abort()


async def be_dismissed(relay: Running) -> None:
    async with relay.connect() as client:
        await client.send("go away")
        await client.wait_closed()


async def be_drained(relay: Running) -> None:
    async with relay.connect() as client:
        relay.apply(enabled=False)
        await client.wait_closed()


async def break_a_rule(relay: Running) -> None:
    reader, writer = await relay.raw()
    writer.write(upgrade())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frame(b"unmasked"))
    await reader.read()
    writer.close()


ENDINGS: dict[str, tuple[Callable[[Running], Awaitable[None]], Ending]] = {
    "a client that closes": (leave, Ending("client", "close", 1000)),
    "a client that closes with its own code": (leave_with_an_own_code, Ending("client", "close", 0)),
    "a client that ends its stream": (vanish, Ending("client", "end", 1006)),
    "a client that resets its connection": (be_reset, Ending("client", "reset", 1006)),
    "an origin that closes": (be_dismissed, Ending("origin", "close", 1008)),
    "a domain that is switched off": (be_drained, Ending("relay", "going away", 1001)),
    "a client that breaks a rule": (break_a_rule, Ending("client", "violation", 1002)),
}


async def dismiss(connection: ServerConnection) -> None:
    """Close at the first message."""
    async for _ in connection:
        await connection.close(1008)


@pytest.mark.parametrize(("act", "ending"), ENDINGS.values(), ids=ENDINGS.keys())
@on_pump_loop
async def test_an_end_is_put_down_to_who_ended(
    act: Callable[[Running], Awaitable[None]], ending: Ending
) -> None:
    """One count per tunnel: consequences of the first step are not counted."""
    async with origin(dismiss) as port, running(port, lifecycle={"drainSeconds": 0}) as relay:
        await act(relay)
        await relay.until_idle_after_opening()
        assert relay.counters.endings == {ending: 1}


@on_pump_loop
async def test_times_of_handshakes_and_dials_are_counted() -> None:
    """One time of each per connection; the dial is part of the handshake; refusals count as handshakes."""

    async def answer_late(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def wait(*_: object) -> None:
        await asyncio.sleep(0.2)

    async with origin(answer_late, process_request=wait) as port, running(port) as relay:
        async with relay.connect():
            pass
        await relay.exchange(b"POST / HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")
        counters = relay.counters
        assert (sum(counters.handshake_seconds.counts), sum(counters.connect_seconds.counts)) == (2, 1)
        assert 0.2 <= counters.handshake_seconds.sum < 10
        assert counters.connect_seconds.sum < counters.handshake_seconds.sum


async def ping(connection: ServerConnection) -> None:
    """Ping twice, then send every message back."""
    for _ in range(2):
        await (await connection.ping())
    await echo(connection)


@on_pump_loop
async def test_frames_are_counted_by_what_they_are() -> None:
    """Every ping and pong of the peers, and each message by type, in fragments or whole."""
    async with origin(ping) as port, running(port) as relay:
        async with relay.connect() as client:
            await (await client.ping())
            for message in ("text", b"binary", b"binary"):
                await client.send(message)
                assert await client.recv() == message
        async with relay.connect() as client:
            await client.send([b"in ", b"fragments"])
            await client.recv()
        await relay.until_idle()
        made = {family.name: dict(family.rows) for family in families({"d": relay.counters})}
        assert made["control_frames"] == {
            ("d", "client", "ping"): 1,
            ("d", "client", "pong"): 4,
            ("d", "origin", "ping"): 4,
            ("d", "origin", "pong"): 1,
        }
        assert made["data_messages"] == {
            ("d", "client", "text"): 1,
            ("d", "client", "binary"): 3,
            ("d", "origin", "text"): 1,
            ("d", "origin", "binary"): 3,
        }


@on_pump_loop
async def test_sizes_of_frames_are_sampled() -> None:
    """After a sweep the next read of each side of a connection with traffic is measured."""
    async with origin(compression=None) as port, running(port) as relay:
        async with relay.connect(compression=None) as client:
            for size in (1, 300, 1, 70_000, 1):  # a sweep before the second and the fourth
                await client.send("x" * size)
                assert await client.recv() == "x" * size
                if size == 1:
                    relay.relay.sweep()
        for side in (relay.counters.client, relay.counters.origin):
            assert (sum(side.frame_bytes.counts), side.frame_bytes.sum) == (2, 70_300)


@on_pump_loop
async def test_pongs_that_answer_the_relays_own_pings_are_not_counted_as_the_peers() -> None:
    """They belong to the heartbeat, which has its own counts."""
    async with origin() as port, running(port, heartbeatSeconds=1) as relay, relay.connect():
        await relay.until(lambda: relay.counters.client.pongs and relay.counters.origin.pongs)
        assert not any(relay.counters.client.opcodes)
        assert not any(relay.counters.origin.opcodes)
