"""A tap in a TCP connection: forwards every byte and records a copy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Tapped:
    """One connection: the bytes to the server, and the bytes from it."""

    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)


class Tap:
    """The tap's port, and its connections in their order."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[Tapped] = []

    def total(self, direction: str) -> int:
        """Return the number of bytes in a direction."""
        return sum(len(getattr(one, direction)) for one in self.connections)


@asynccontextmanager
async def tap(port: int) -> AsyncIterator[Tap]:
    """Run a tap in front of a port of this machine."""
    one = Tap()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tapped = Tapped()
        one.connections.append(tapped)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as both:
            both.create_task(_copy(reader, up_writer, tapped.to_server))
            both.create_task(_copy(up_reader, writer, tapped.to_client))
        writer.close()
        up_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        one.port = server.sockets[0].getsockname()[1]
        yield one


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    while data := await reader.read(1 << 16):
        kept += data
        writer.write(data)
        await writer.drain()
    writer.write_eof()
