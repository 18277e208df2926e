"""Origins and clients of raw bytes, which end their connections in a given way and see how the other ends."""

from __future__ import annotations

import asyncio
import ssl
from typing import Literal

from support.relay.heads import accepted, upgrade
from support.relay.running import DEADLINE, Running
from wsedge_relay.transport.sockets import reset_at_close

End = Literal["end", "reset", "truncated"]


class Peer:
    """One end of a tunnel."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def receive(self, size: int) -> bytes:
        """Return the next bytes."""
        return await asyncio.wait_for(self.reader.readexactly(size), DEADLINE)

    async def end(self) -> tuple[bytes, End]:
        """Return the remaining bytes, and how the stream ended."""
        got = b""
        try:
            while more := await asyncio.wait_for(self.reader.read(1 << 20), DEADLINE):
                got += more
        except ConnectionResetError:
            return got, "reset"
        except ssl.SSLError:
            return got, "truncated"
        return got, "end"

    def reset(self) -> None:
        """Send what was written, then reset the connection."""
        reset_at_close(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


class Origin(Peer):
    """A raw origin's one connection; it stays open until `over`."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self.open = asyncio.Event()
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the handshake and keep the connection until `over`, or until a `reset`."""
        self.reader, self.writer = reader, writer
        writer.write(accepted(await reader.readuntil(b"\r\n\r\n"), *self._lines))
        self.open.set()
        await self.over.wait()

    def reset(self) -> None:
        """Send what was written, then reset the connection."""
        super().reset()
        self.over.set()


class Client(Peer):
    """A raw client."""


async def enter(relay: Running, origin: Origin, *lines: str, tls: ssl.SSLContext | None = None) -> Client:
    """Open a tunnel with a raw client."""
    client = Client()
    host, port = relay.relay.addresses["https" if tls else "http"]
    name = "chat.example.com" if tls else None
    client.reader, client.writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
    client.writer.write(upgrade("/", *lines))
    head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), DEADLINE)
    assert head.startswith(b"HTTP/1.1 101 "), head
    await origin.open.wait()
    return client
