"""The quickstart's clients, with a forwarder that counts the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from quickstart.room import Rooms, answer_plain_http
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from wsedge_devcluster.quickstart.viewers import Audience

Address = tuple[str, int]


@dataclass
class Tally:
    """Bytes that passed a forwarder."""

    up: int = 0
    down: int = 0


@asynccontextmanager
async def forwarder(target: Address, tally: Tally) -> AsyncIterator[Address]:
    """A TCP forwarder that counts bytes."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        while data := await reader.read(65536):
            setattr(tally, direction, getattr(tally, direction) + len(data))
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        origin_reader, origin_writer = await asyncio.open_connection(*target)
        await asyncio.gather(carry(reader, origin_writer, "up"), carry(origin_reader, writer, "down"))
        for each in (writer, origin_writer):
            each.close()
            await each.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def room() -> AsyncIterator[Address]:
    async with serve(Rooms().watch, "127.0.0.1", 0, process_request=answer_plain_http) as server:
        yield next(iter(server.sockets)).getsockname()


async def test_clients_count_exactly_the_bytes_on_their_connections() -> None:
    """Handshakes, frames and close frames are counted on the socket, in both directions."""
    tally = Tally()
    async with room() as origin, forwarder(origin, tally) as address:
        audience = Audience(address, "chat.example.com", viewers=3)
        async with asyncio.timeout(60), audience:
            await audience.chat_until_everybody_saw(10)
        counts = audience.counts
    assert (counts.sent, counts.received) == (tally.up, tally.down)
    assert (counts.opened, counts.open) == (3, 0)
    assert audience.seen == 30


async def test_a_closed_client_reconnects_and_its_bytes_stay_counted() -> None:
    """The bytes of a closed connection remain in the sum."""
    entered: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def watch(viewer: ServerConnection) -> None:
        entered.put_nowait(viewer)
        await viewer.wait_closed()

    async with serve(watch, "127.0.0.1", 0) as server:
        address = next(iter(server.sockets)).getsockname()
        async with asyncio.timeout(60), Audience(address, "chat.example.com", viewers=1) as audience:
            before = audience.counts
            await (await entered.get()).close(1001)
            await entered.get()
            assert audience.counts.sent >= 2 * before.sent


async def test_a_refused_handshake_is_an_error_with_its_status() -> None:
    """No connection stays open."""
    async with serve(
        Rooms().watch, "127.0.0.1", 0, process_request=lambda one, _: one.respond(503, "")
    ) as server:
        audience = Audience(next(iter(server.sockets)).getsockname(), "chat.example.com", viewers=1)
        with pytest.raises(InvalidStatus, match="503"):
            async with audience:
                pass
    assert audience.counts.opened == 0
