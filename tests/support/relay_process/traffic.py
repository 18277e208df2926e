"""Traffic through a relay with a count of every byte on the client's side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from support.relay.heads import upgrade
from support.relay.running import DOMAIN
from support.relay_process.process import DEADLINE

PING = 0x89


@asynccontextmanager
async def echo_origin(*, pings: bool = True) -> AsyncIterator[int]:
    """Run an origin that sends every message back, and pings every 20 s; yield its port."""

    async def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosedError):  # a client that was reset
            async for message in connection:
                await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=20 if pings else None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


class Client:
    """A WebSocket client on a plain socket: `sent` and `received` are bytes on the wire."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.messages = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self, port: int, *, host: str = DOMAIN, address: str = "127.0.0.1") -> Client:
        """Connect from an address and upgrade."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        await self._write(upgrade("/room", host=host))
        async with asyncio.timeout(DEADLINE):
            head = await self._reader.readuntil(b"\r\n\r\n")
        self.received += len(head)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return self

    async def echo(self, payload: bytes) -> None:
        """Send a message of at most 125 bytes and read it back; a ping may precede it."""
        mask = b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        await self._write(bytes((0x82, 0x80 | len(payload))) + mask + masked)
        async with asyncio.timeout(DEADLINE):
            while (frame := await self._frame())[0] == PING:
                pass
        assert frame == bytes((0x82, len(payload))) + payload
        self.messages += 1

    async def rest(self) -> bytes:
        """Read until the relay ends the connection, without an answer to any frame."""
        async with asyncio.timeout(DEADLINE):
            rest = await self._reader.read()
        self.received += len(rest)
        return rest

    async def answer_close(self) -> bytes:
        """Read a Close frame, answer it, read to the end; return the frame."""
        async with asyncio.timeout(DEADLINE):
            while (frame := await self._frame())[0] == PING:
                pass
        await self._write(bytes((frame[0], 0x80 | frame[1])) + b"\0\0\0\0" + frame[2:])
        assert await self.rest() == b""
        self.close()
        return frame

    async def lose(self) -> None:
        """Read what a relay had sent before it was killed."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                while data := await self._reader.read(1 << 16):
                    self.received += len(data)
        self.close()

    async def leave(self) -> None:
        """Send a Close and read to the end."""
        await self._write(b"\x88\x82\0\0\0\0\x03\xe8")
        await self.rest()
        self.close()

    def close(self) -> None:
        """Abort the connection."""
        self._writer.transport.abort()

    async def _frame(self) -> bytes:
        """Read a frame of at most 125 bytes."""
        frame = await self._reader.readexactly(2)
        frame += await self._reader.readexactly(frame[1])
        self.received += len(frame)
        return frame

    async def _write(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()
        self.sent += len(content)
