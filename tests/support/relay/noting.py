"""An origin that notes the head of each request and answers it, for tests with raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.relay.frames import frame
from support.relay.heads import accept_of_request, switching
from support.relay.running import DEADLINE, Running, raw_origin

# Sent behind each 101, so that a tunnel carries something.
GREETING = frame(b"hello")


@asynccontextmanager
async def noting_origin(heads: list[bytes], *lines: str) -> AsyncIterator[int]:
    """Run an origin that adds each request's head to `heads`; yield its port.

    A handshake gets a 101 with these lines added and a message, a plain request gets `ok`.
    """

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if b"\r\nUpgrade: " in head:
            writer.write(switching(*lines, accept=accept_of_request(head)) + GREETING)
            await reader.read()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_origin(note) as port:
        yield port


async def switched(relay: Running, request: bytes) -> bytes:
    """Return the head of the answer to a handshake; behind a 101 the origin's message must arrive."""
    reader, writer = await relay.raw()
    writer.write(request)
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 101 "):
            assert await reader.readexactly(len(GREETING)) == GREETING
    writer.close()
    await writer.wait_closed()
    return head
