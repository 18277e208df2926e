"""Many, fast or faulty peers: blocking clients for threads, an origin whose behaviour the path selects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from support.relay.frames import frame
from support.relay.heads import accepted
from support.relay_process.process import DEADLINE
from wsedge_devcluster.machine.ranges import reserve_port
from wsedge_relay.pump.frames import unmask

DOMAIN = "chat.example.com"
KEY = b"\x01\x02\x03\x04"
_RESET = struct.pack("ii", 1, 0)


class Client:
    """A plain connection to a relay, for a thread; `sent` and `received` are bytes after TLS."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, name: str = DOMAIN) -> None:
        sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname=name) if tls is not None else sock
        self.sent = self.received = 0
        self._held = b""
        self._sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """Send all of it; one thread's frame is not interleaved with another's."""
        with self._sending:
            self.sock.sendall(data)
            self.sent += len(data)

    def enter(self) -> bytes:
        """Read the answer's head and return it."""
        while b"\r\n\r\n" not in self._held:
            self._more()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head

    def message(self) -> tuple[int, bytes]:
        """Read one frame, answering pings on the way; return its opcode and payload."""
        while True:
            head = self._take(2)
            size = head[1]
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            payload = self._take(size)
            if head[0] != 0x89:
                return head[0] & 15, payload
            self.send(frame(payload, opcode=10, key=KEY))

    def rest(self) -> bytes:
        """Read to the end of the stream, or to a reset."""
        with contextlib.suppress(ConnectionError, EOFError):
            while True:
                self._more()
        return self._held

    def reset(self) -> None:
        """Reset the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()

    def leave(self) -> None:
        """Close properly: send Close, read its answer and the end of the stream."""
        self.send(frame(b"\x03\xe8", opcode=8, key=KEY))
        while self.message()[0] != 8:
            pass
        assert self.rest() == b""
        self.sock.close()

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _more(self) -> None:
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError(f"the stream ended behind {self._held[:100]!r}")
        self.received += len(data)
        self._held += data


class Origin(asyncio.Protocol):
    """One connection of an origin whose behaviour the path selects.

    /echo sends messages back, /flood sends a megabyte after the handshake, /slow never answers, /refuse
    answers 403, /wrong answers with another key, /half sends half of a head and closes.
    """

    def __init__(self, open_now: set[Origin]) -> None:
        self._open_now = open_now
        self._data = bytearray()
        self._talks = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._open_now.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_now.discard(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._talks:
            end = self._data.find(b"\r\n\r\n")
            if end >= 0:
                head = bytes(self._data[:end])
                del self._data[: end + 4]
                self._answer(head)
        if self._talks:
            self._echo()

    def _answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        switching = accepted(head, key=b"another" if path == b"/wrong" else None)
        if path in (b"/echo", b"/flood", b"/wrong"):
            self._talks = True
            self.transport.write(switching + (frame(b"f" * 1_000_000) if path == b"/flood" else b""))
        elif path == b"/half":
            self.transport.write(switching[:50])
            self.transport.abort()
        elif path == b"/refuse":
            self.transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")

    def _echo(self) -> None:
        data = self._data
        while len(data) >= 2:
            size, head = data[1] & 127, 6
            if size > 125:
                extra = 2 if size == 126 else 8
                if len(data) < 2 + extra:
                    return
                size, head = int.from_bytes(data[2 : 2 + extra], "big"), 6 + extra
            if len(data) < head + size:
                return
            opcode, fin = data[0] & 15, bool(data[0] & 0x80)
            payload = unmask(bytes(data[head : head + size]), bytes(data[head - 4 : head]))
            del data[: head + size]
            self.transport.write(frame(payload, opcode=10 if opcode == 9 else opcode, fin=fin))
            if opcode == 8:
                self.transport.close()
                return


class Origins:
    """A server of such origins, to be stopped and started on one port; `open_now` are its connections."""

    def __init__(self) -> None:
        self.open_now: set[Origin] = set()
        self._holder = reserve_port("127.0.0.1")  # no other process gets the port while the server is stopped
        self.port = int(self._holder.getsockname()[1])
        self._server: asyncio.Server

    async def start(self) -> None:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Origin(self.open_now), "127.0.0.1", self.port, backlog=1024, reuse_port=True
        )

    async def stop(self) -> None:
        """Abort every connection and stop listening."""
        self._server.close()
        for connection in list(self.open_now):
            connection.transport.abort()
        await self._server.wait_closed()

    async def close(self) -> None:
        """Close for good."""
        await self.stop()
        self._holder.close()


@asynccontextmanager
async def origins() -> AsyncIterator[Origins]:
    """Run an origin server."""
    one = Origins()
    await one.start()
    try:
        yield one
    finally:
        await one.close()


def in_batches(work: Sequence[Any], act: Callable[[Sequence[Any]], None], *, size: int = 50) -> None:
    """Call `act` with batches of this size from `work`."""
    for at in range(0, len(work), size):
        act(work[at : at + size])
