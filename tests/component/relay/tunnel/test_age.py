"""The maximum age of connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from support.relay.frames import frame
from support.relay.heads import switching, upgrade
from support.relay.running import on_pump_loop, origin, raw_origin, running
from wsedge_relay.timeouts import Timeouts

KEY = b"\x11\x22\x33\x44"


async def closed_at(client: ClientConnection) -> float:
    """Return the loop's time at which the relay closed a connection with 1001."""
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    return asyncio.get_running_loop().time()


@on_pump_loop
async def test_a_connection_is_closed_with_1001_at_its_age() -> None:
    """Within a tenth of the maximum, and connections of one moment not at one moment."""
    clock = asyncio.get_running_loop().time
    async with origin() as port, running(port, lifecycle={"maxConnectionAgeSeconds": 4}) as relay:
        async with AsyncExitStack() as stack:
            began = clock()
            clients = [await stack.enter_async_context(relay.connect()) for _ in range(20)]
            opening = clock() - began
            ends = await asyncio.gather(*map(closed_at, clients))
        lives = [end - began for end in ends]
        assert min(lives) >= 3.55  # a timer may be early by the clock's resolution
        assert max(lives) <= 4.4 + opening + 5
        assert max(lives) - min(lives) > 0.1
        assert relay.counters.client.broken == 0


@on_pump_loop
async def test_a_new_maximum_counts_for_open_connections() -> None:
    """A new maximum of two seconds closes an older connection; a longer one extends its life."""
    async with origin() as port, running(port) as relay, relay.connect() as old:
        await old.send("open")
        await old.recv()
        relay.apply(lifecycle={"maxConnectionAgeSeconds": 2})
        relay.apply(lifecycle={"maxConnectionAgeSeconds": 3600})
        await asyncio.sleep(2.3)  # longer than the age that was taken back
        await old.send("still open")
        assert await old.recv() == "still open"
        relay.apply(lifecycle={"maxConnectionAgeSeconds": 2})
        before = asyncio.get_running_loop().time()
        assert await closed_at(old) - before < 1.8


@on_pump_loop
async def test_an_old_connection_is_not_cut_in_a_frame() -> None:
    """The Close follows the frame that is under way."""
    more = asyncio.Event()

    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switching() + whole[:40])
        await more.wait()
        writer.write(whole[40:])
        await reader.read(100)  # the Close that it was told

    whole = frame(b"x" * 100)
    patient = Timeouts(close_seconds=30, linger_seconds=0.3)
    async with (
        raw_origin(answer_slowly) as port,
        running(port, lifecycle={"maxConnectionAgeSeconds": 1}, timeouts=patient) as relay,
    ):
        reader, writer = await relay.raw()
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(40) == whole[:40]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.4):  # past its age: nothing may come into the frame
                await reader.read(1)
        more.set()
        rest = await reader.readexactly(len(whole) - 40)
        assert rest == whole[40:]
        end = await reader.readexactly(4)
        assert (end[0], end[2:4]) == (0x88, (1001).to_bytes(2, "big"))
        writer.write(frame((1001).to_bytes(2, "big"), opcode=8, key=KEY))
        await relay.until_idle()
        writer.close()
