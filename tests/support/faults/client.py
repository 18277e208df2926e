"""A WebSocket client that counts its bytes after TLS, as the relay does, and records every ping."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from support.relay.heads import upgrade
from wsedge_devcluster.comparison.counts import Counts

DEADLINE_SECONDS = 40.0
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_MASK = b"\x01\x02\x03\x04"
_rooms = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Door:
    """The address of a domain: its Service's, the host name, and a TLS context for wss.

    `source` is the client's own address, and `lines` are headers that it adds to its request.
    """

    address: str
    port: int
    host: str
    tls: ssl.SSLContext | None = None
    source: str | None = None
    lines: tuple[str, ...] = ()


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """The relay answered with an HTTP status instead of a tunnel."""

    def __init__(self, status: int, head: str, text: str) -> None:
        self.status, self.head, self.text = status, head, text
        super().__init__(status, text)


class Client:
    """One connection, alone in its room, which echoes the connection's texts to it only.

    `pings` are the loop's times of received pings (each is answered), `close_code` is that of the relay's
    Close frame, `ended` is set after the end of the stream.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.opened = 0
        self.pings: list[float] = []
        self.close_code: int | None = None
        self.ended = asyncio.Event()
        self._leaving = False
        self._echoes: asyncio.Queue[bytes] = asyncio.Queue()
        self._buffer = b""
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._reading is not None and not self.ended.is_set() and self.close_code is None

    async def open(self, door: Door) -> None:
        """Connect and upgrade; raises Refused, OSError or TimeoutError."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            name = door.host if door.tls else None
            self._reader, self._writer = await asyncio.open_connection(
                door.address,
                door.port,
                ssl=door.tls,
                server_hostname=name,
                local_addr=(door.source, 0) if door.source else None,
            )
            self._send(upgrade(f"/rooms/{next(_rooms)}", *door.lines, host=door.host))
            while b"\r\n\r\n" not in self._buffer:
                if not await self._more():
                    raise EOFError("the connection ended without an answer")
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            if status != 101:
                while await self._more():
                    pass
                await self.drop()
                raise Refused(status, head.decode(), self._buffer.decode())
        self.opened = 1
        self._reading = asyncio.create_task(self._read())

    async def say(self, text: str = "what a launch!") -> None:
        """Send a text and wait for its echo, or for the other side's Close (RFC 6455 section 5.5.1).

        A text that crosses a Close gets no echo, and no text may follow our own Close.
        """
        if not self.is_open:
            return
        self._frame(TEXT, text.encode())
        echo, end = asyncio.create_task(self._echoes.get()), asyncio.create_task(self.ended.wait())
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.wait((echo, end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            echo.cancel()
            end.cancel()
        if echo.done() and not echo.cancelled():
            assert echo.result() == text.encode()
        else:
            assert self.close_code is not None, "the connection ended without a Close"

    async def leave(self) -> None:
        """Close by a closing handshake, and wait for the stream's end."""
        if self.is_open:
            self._leaving = True
            self._frame(CLOSE, (1000).to_bytes(2, "big"))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self.ended.wait()
        await self.drop()

    async def drop(self) -> None:
        """Abort the connection; do nothing after its end."""
        self._writer.transport.abort()
        if self._reading is not None:
            await self._reading
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                while frame := self._take():
                    self._act(*frame)
                if not await self._more():
                    break
        except OSError:
            pass  # close_code has the kind of end
        finally:
            self.ended.set()
            self._writer.close()

    async def _more(self) -> bytes:
        data = await self._reader.read(65536)
        self.received += len(data)
        self._buffer += data
        return data

    def _take(self) -> tuple[int, bytes] | None:
        """Remove a whole frame from the buffer, of at most 125 bytes, the maximum that a room sends here."""
        buffer = self._buffer
        if len(buffer) < 2 or len(buffer) < 2 + buffer[1]:
            return None
        assert buffer[1] < 126
        end = 2 + buffer[1]
        self._buffer = buffer[end:]
        return buffer[0] & 0x0F, buffer[2:end]

    def _act(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.pings.append(asyncio.get_running_loop().time())
            self._frame(PONG, payload)
        elif opcode == CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            if not self._leaving:
                self._frame(CLOSE, payload)
        else:
            assert opcode == TEXT
            self._echoes.put_nowait(payload)

    def _frame(self, opcode: int, payload: bytes) -> None:
        masked = bytes(byte ^ _MASK[place % 4] for place, byte in enumerate(payload))
        self._send(bytes((0x80 | opcode, 0x80 | len(payload))) + _MASK + masked)

    def _send(self, content: bytes) -> None:
        self._writer.write(content)
        self.sent += len(content)


class Crowd:
    """All clients of a domain in one test; the statistics must reach their `counts`."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    @property
    def counts(self) -> Counts:
        return Counts(
            sent=sum(each.sent for each in self.clients),
            received=sum(each.received for each in self.clients),
            opened=sum(each.opened for each in self.clients),
            open=len(self.open),
        )

    @property
    def open(self) -> list[Client]:
        return [each for each in self.clients if each.is_open]

    async def enter(self, door: Door, *, number: int = 1) -> list[Client]:
        """Connect this number of clients, each of which sends a text; raises Refused."""
        return [await self._enter(door) for _ in range(number)]

    async def refusal(self, door: Door) -> Refused:
        """Connect a client that must be refused; return the answer."""
        try:
            await self._enter(door)
        except Refused as refused:
            return refused
        raise AssertionError("the client was let in")

    async def talk(self) -> None:
        """Let each open client send a text and receive its echo."""
        for client in self.open:
            await client.say()

    async def talk_until(self, done: Callable[[], bool], *, seconds: float = 120) -> None:
        """Repeat `talk` until `done`."""
        async with asyncio.timeout(seconds):
            while not done():
                await self.talk()
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Close all clients."""
        for client in self.clients:
            if client.opened:
                await client.leave()

    async def _enter(self, door: Door) -> Client:
        client = Client()
        self.clients.append(client)
        await client.open(door)
        await client.say()
        return client
