"""Viewers of the quickstart's room: WebSocket clients that count the bytes of their sockets.

A viewer counts the bytes that the kernel accepted and returned, with handshake, frame headers and close
frames. The relay must count the same at the other end of the same TCP connections.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from wsedge_devcluster.comparison.counts import Counts

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

HANDSHAKE_SECONDS: Final = 10
CLOSE_SECONDS: Final = 10
_COMMENTS: Final = ("what a launch!", "here it comes", "哈哈哈哈", "first!", "6666", "again, again")


class CountingSocket(socket.socket):
    """A socket that counts its bytes in each direction."""

    sent = 0
    received = 0

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """Send, and count the bytes that the kernel accepted."""
        taken = super().send(data, flags)
        self.sent += taken
        return taken

    def sendmsg(self, buffers: Iterable[ReadableBuffer], *rest: Any) -> int:
        """Send from several buffers, and count the bytes that the kernel accepted."""
        taken = super().sendmsg(buffers, *rest)
        self.sent += taken
        return taken

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, and count."""
        data = super().recv(size, flags)
        self.received += len(data)
        return data

    def recv_into(self, buffer: WriteableBuffer, size: int = 0, flags: int = 0) -> int:
        """Receive into a buffer, and count."""
        got = super().recv_into(buffer, size, flags)
        self.received += got
        return got


class Audience:
    """Viewers of one video that write comments; a viewer that loses its connection reconnects."""

    def __init__(self, address: tuple[str, int], domain: str, *, viewers: int) -> None:
        self._address, self._domain, self._number = address, domain, viewers
        self._sockets: list[CountingSocket] = []
        self._open: set[ClientConnection] = set()
        self._opened = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._flown = asyncio.Event()
        self.comments: deque[str] = deque(maxlen=3)
        self.seen = 0

    async def __aenter__(self) -> Self:
        """Connect all viewers; raises InvalidHandshake, OSError or TimeoutError when one cannot connect."""
        connections = await asyncio.gather(*(self._enter() for _ in range(self._number)))
        # One screen is shown; the others show the same.
        screens = [self.comments, *([deque[str](maxlen=1)] * (self._number - 1))]
        self._tasks = [
            asyncio.create_task(self._watch(connection, screen))
            for connection, screen in zip(connections, screens, strict=True)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections by closing handshakes, and wait for the end of their sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._open))
        self._open.clear()

    @property
    def counts(self) -> Counts:
        """The viewers' counts until now."""
        return Counts(
            sent=sum(each.sent for each in self._sockets),
            received=sum(each.received for each in self._sockets),
            opened=self._opened,
            open=len(self._open),
        )

    async def comment(self) -> None:
        """Let one viewer write one comment; nothing without viewers."""
        if not self._open:
            return
        writer = random.choice(sorted(self._open, key=lambda each: each.id))  # noqa: S311  no secret
        with suppress(ConnectionClosed):  # its task reconnects it
            await writer.send(random.choice(_COMMENTS))  # noqa: S311

    async def chat(self, *, pause: float) -> None:
        """Let a viewer comment every `pause` seconds, until cancelled."""
        for _ in itertools.count():
            await self.comment()
            await asyncio.sleep(pause)

    async def chat_until_everybody_saw(self, comments: int) -> None:
        """Let `comments` comments be written, and return when every viewer has seen all of them."""
        wanted = self.seen + comments * len(self._open)
        for _ in range(comments):
            await self.comment()
        while self.seen < wanted:
            self._flown.clear()
            await self._flown.wait()

    async def _enter(self) -> ClientConnection:
        counting = CountingSocket(socket.AF_INET, socket.SOCK_STREAM)
        counting.setblocking(False)
        self._sockets.append(counting)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await asyncio.get_running_loop().sock_connect(counting, self._address)
                connection = await connect(
                    f"ws://{self._domain}/rooms/launch",
                    sock=counting,
                    proxy=None,
                    close_timeout=CLOSE_SECONDS,
                    open_timeout=None,
                )
        except BaseException:
            counting.close()
            raise
        self._opened += 1
        self._open.add(connection)
        return connection

    async def _watch(self, connection: ClientConnection, screen: deque[str]) -> None:
        while True:
            with suppress(ConnectionClosed):
                async for comment in connection:
                    screen.append(str(comment))
                    self.seen += 1
                    self._flown.set()
            self._open.discard(connection)
            connection = await self._return()

    async def _return(self) -> ClientConnection:
        while True:
            with suppress(OSError, InvalidHandshake):
                return await self._enter()
            await asyncio.sleep(1)
