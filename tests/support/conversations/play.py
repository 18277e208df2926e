"""Both ends of conversations on connections: senders that follow the tables, and echoes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from h2.exceptions import StreamClosedError

from support.conversations.conversation import NO_CODE, Conversation, Frame, Pause, close
from support.conversations.echo import Echo
from support.relay.heads import accepted, upgrade
from support.relay.http2 import Client
from support.relay.running import DEADLINE, raw_origin

FIN: Final = "FIN"
RESET: Final = "reset"
_AT_ONCE: Final = 50  # conversations


class Channel(Protocol):
    """What carries the frames of one connection."""

    async def read(self) -> bytes:
        """Return received bytes, or nothing at the end; raises ConnectionError at a reset."""

    async def write(self, data: bytes) -> None:
        """Send bytes; raises ConnectionError when the connection has been reset."""

    async def end(self) -> None:
        """Send the end of the stream, once."""


Connect = Callable[[str], AbstractAsyncContextManager[Channel]]


@dataclass
class Tcp:
    """A TCP connection after its handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        """Return received bytes."""
        return await self.reader.read(1 << 16)

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def end(self) -> None:
        """Send FIN, once."""
        self.writer.write_eof()  # does nothing the second time


def by_tcp(address: tuple[str, int]) -> Connect:
    """Return a function that opens a connection to the origin of the tests at a path, by HTTP/1.1."""

    @asynccontextmanager
    async def connect(path: str) -> AsyncIterator[Channel]:
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(upgrade(path))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            yield Tcp(reader, writer)
        finally:
            writer.close()

    return connect


@dataclass
class Stream:
    """A stream of an HTTP/2 connection after its extended CONNECT."""

    client: Client
    number: int

    async def read(self) -> bytes:
        """Return received bytes."""
        seen = self.client.streams[self.number]
        await self.client.until(lambda: seen.data or seen.ended or seen.reset is not None)
        data, seen.data = seen.data, b""
        if not data and seen.reset is not None:
            raise ConnectionResetError(seen.reset)
        return data

    async def write(self, data: bytes) -> None:
        """Send DATA."""
        with _as_reset():
            await self.client.send(self.number, data)

    async def end(self) -> None:
        """Send END_STREAM, once."""
        with _as_reset():
            self.client.end(self.number)


@contextmanager
def _as_reset() -> Iterator[None]:
    try:
        yield
    except StreamClosedError as error:
        raise ConnectionResetError from error


def by_http2(client: Client) -> Connect:
    """Return a function that opens streams of this connection."""

    @asynccontextmanager
    async def connect(path: str) -> AsyncIterator[Channel]:
        yield Stream(client, await client.open(path=path))

    return connect


@dataclass(frozen=True)
class Outcome:
    """What a sender gets: the frames before a Close, its code (None: there is no Close), the stream's end."""

    frames: tuple[Frame, ...]
    code: int | None
    end: str = FIN

    def __repr__(self) -> str:
        frames = [f"{one.opcode}:{one.payload[:20]!r}({len(one.payload)})" for one in self.frames]
        return f"<{' '.join(frames)} code={self.code} end={self.end}>"


def wanted(conversation: Conversation) -> Outcome:
    """Return what the sender must get."""
    return Outcome(conversation.wants, conversation.code)


def wanted_of_dropping_echo(conversation: Conversation) -> Outcome:
    """Return what the sender must get from an echo that answers a wrong payload by the end of its stream."""
    return Outcome(conversation.wants, None)


class Stage:
    """An origin of conversations, each at the path of its name; `from_client`: the client is the sender."""

    def __init__(
        self, conversations: Mapping[str, Conversation], *, from_client: bool, drops: bool = False
    ) -> None:
        self._talks = {
            name: _Talk(one, Echo(masked=from_client, drops=drops), is_masked=from_client)
            for name, one in conversations.items()
        }
        self._from_client = from_client

    @asynccontextmanager
    async def origin(self) -> AsyncIterator[int]:
        """Run the origin; yield its port."""
        async with raw_origin(self._serve) as port:
            yield port

    async def play(self, connect: Connect) -> dict[str, Outcome]:
        """Run all conversations over connections of their own; return what each sender got."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def play(name: str, talk: _Talk) -> None:
            async with places, connect(f"/{name}") as channel:
                side = talk.send if self._from_client else talk.echo_all
                with suppress(TimeoutError):  # the outcome then lacks its end
                    async with asyncio.timeout(DEADLINE):
                        await side(channel, is_server=False)
                        await talk.is_over.wait()

        async with asyncio.TaskGroup() as group:
            for name, talk in self._talks.items():
                group.create_task(play(name, talk))
        return {name: talk.outcome for name, talk in self._talks.items()}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(accepted(head))
        talk = self._talks[head.split(maxsplit=2)[1].decode().removeprefix("/")]
        side = talk.echo_all if self._from_client else talk.send
        await side(Tcp(reader, writer), is_server=True)


@dataclass
class _Talk:
    """One conversation. Its byte counts are of frames, so they are the same on both sides of a relay."""

    conversation: Conversation
    echo: Echo
    is_masked: bool  # the sender masks
    sent: int = 0
    answered: int = 0
    received: int = 0
    has_closed: bool = False
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    frames: list[Frame] = field(default_factory=list)
    code: int | None = None
    end: str = "none in time"

    @property
    def outcome(self) -> Outcome:
        """Return what the sender got."""
        return Outcome(tuple(self.frames), self.code, self.end)

    async def echo_all(self, channel: Channel, *, is_server: bool) -> None:
        """Echo until the end of the stream. A server ends its own after its Close, a client only to drop."""
        ends_first = is_server or self.echo.drops
        with suppress(ConnectionError):  # the tests judge the sender's end
            while data := await channel.read():
                answer = self.echo.feed(data)
                self.answered += len(answer)
                if answer:
                    await channel.write(answer)
                await self._notify()
                if self.echo.over and ends_first:
                    await channel.end()
            await channel.end()

    async def send(self, channel: Channel, *, is_server: bool) -> None:
        """Send the table's frames, receive what comes, and record the outcome. A server ends the stream."""
        receiving = asyncio.create_task(self._receive(channel, is_server=is_server))
        with suppress(ConnectionError):  # the receiver sees it too
            await self._send_steps(channel)
        await receiving
        self.is_over.set()

    async def _send_steps(self, channel: Channel) -> None:
        pending = b""
        for step in self.conversation.sends:
            if isinstance(step, Pause):
                await self._send(channel, pending)
                pending = b""
                await self._until_all_is_answered()
                continue
            self.has_closed |= step.opcode == 8 and not step.rsv
            *before, last = step.pieces(masked=self.is_masked)
            for piece in before:
                await self._send(channel, pending + piece)
                pending = b""
                await self._until_all_is_answered()
            pending += last
            if self.conversation.chop == 0:
                await self._send(channel, pending)
                pending = b""
        await self._send(channel, pending)

    async def _send(self, channel: Channel, data: bytes) -> None:
        size = self.conversation.chop or len(data)
        for at in range(0, len(data), size or 1):
            if self.code is not None:  # nothing is sent behind the other end's Close
                return
            self.sent += len(data[at : at + size])
            await channel.write(data[at : at + size])
            await asyncio.sleep(0)  # other tasks may read what was written

    async def _until_all_is_answered(self) -> None:
        async with self.news:
            await self.news.wait_for(
                lambda: self.echo.received == self.sent and self.received == self.answered
            )

    async def _receive(self, channel: Channel, *, is_server: bool) -> None:
        stream = b""
        try:
            while data := await channel.read():
                self.received += len(data)
                await self._notify()
                more, stream = split(stream + data)
                for one in more:
                    if self.code is not None or one.opcode != 8:  # nothing may follow a Close
                        self.frames.append(one)
                        continue
                    self.code = int.from_bytes(one.payload[:2]) if one.payload else NO_CODE
                    await self._close(channel, self.code)
                    if is_server:
                        await channel.end()
                if self.conversation.closes is not None and tuple(self.frames) == self.conversation.wants:
                    await self._close(channel, self.conversation.closes)
            await channel.end()
        except ConnectionError:
            self.end = RESET
        else:
            self.end = "an incomplete frame" if stream else FIN

    async def _close(self, channel: Channel, code: int) -> None:
        if not self.has_closed:
            self.has_closed = True
            (wire,) = close(code).pieces(masked=self.is_masked)
            await channel.write(wire)

    async def _notify(self) -> None:
        async with self.news:
            self.news.notify_all()


def split(stream: bytes) -> tuple[list[Frame], bytes]:
    """Return the whole frames of a stream, unmasked, and the rest. The frames may be of any kind."""
    frames = []
    while len(stream) >= 2:
        first, size, is_masked = stream[0], stream[1] & 127, stream[1] >> 7
        more = {126: 2, 127: 8}.get(size, 0)
        head = 2 + more + 4 * is_masked
        if more:
            size = int.from_bytes(stream[2 : 2 + more])
        if len(stream) < head + size:
            break
        payload = stream[head : head + size]
        if is_masked:
            key = stream[head - 4 : head]
            payload = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
        frames.append(Frame(first & 15, payload, bool(first >> 7), first >> 4 & 7))
        stream = stream[head + size :]
    return frames, stream
