"""A connected socket during its handshakes: plain or TLS, never blocking, read and written by coroutines.

asyncio's own transports would keep what they read ahead, and a TLS session inside them cannot be handed to
the pump; a `Wire` gives its socket away as it is.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from wsedge_relay.leg import shut_sending

# One TLS record at the most, so that a read never leaves a decrypted rest that no selector reports.
READ_BYTES: Final = 16384
# What a system call says when no descriptor, or no memory for one, is left.
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LINGER_BYTES: Final = 1 << 20

T = TypeVar("T")


class Wire:
    """One socket and the bytes counted on it: after TLS, before any frame walk."""

    __slots__ = ("_loop", "received", "sent", "sock")

    def __init__(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.received = 0
        self.sent = 0
        self._loop = loop

    @property
    def secure(self) -> bool:
        """Whether the socket speaks TLS."""
        return isinstance(self.sock, ssl.SSLSocket)

    async def start_tls(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """Make the TLS handshake, as a server unless `server_name` is given; raises OSError, ssl.SSLError."""
        tls = context.wrap_socket(
            self.sock,
            server_side=server_name is None,
            server_hostname=server_name,
            do_handshake_on_connect=False,
        )
        self.sock = tls
        await self._repeat(tls.do_handshake)

    async def connect(self, address: tuple[object, ...]) -> None:
        """Connect to a resolved address; raises OSError."""
        await self._loop.sock_connect(self.sock, address)

    async def read(self) -> bytes:
        """Return what there is, empty at the end of the stream; raises OSError."""
        data = await self._repeat(partial(self.sock.recv, READ_BYTES))
        self.received += len(data)
        return data

    async def take(self, length_of: Callable[[bytes], int], *, longest: int) -> bytes:
        """Return a header from before TLS, of at most `longest` bytes, and leave all behind it in the socket.

        `length_of` gets what came so far and returns the header's length; 0: not known yet, and all of it is
        of the header. These bytes are not counted. Raises OSError, and what `length_of` raises.
        """
        taken = b""
        while True:
            more = await self._repeat(partial(self.sock.recv, longest, socket.MSG_PEEK))
            if not more:
                raise ConnectionAbortedError("the stream ended in its first header")
            seen = taken + more
            end = length_of(seen)
            taken += self.sock.recv(min(end or len(seen), len(seen)) - len(taken))
            if len(taken) == end:
                return taken

    async def write(self, data: bytes) -> None:
        """Write all of `data`; raises OSError."""
        view = memoryview(data)
        while view:
            sent = await self._repeat(partial(self.sock.send, view), writing=True)
            self.sent += sent
            view = view[sent:]

    async def finish(self, seconds: float) -> None:
        """Shut the sending side, read what still comes for so long, and close.

        Closing at once would answer unread bytes by a reset, which can overtake what was sent.
        """
        shut_sending(self.sock)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                limit = self.received + _LINGER_BYTES
                while self.received < limit and await self.read():
                    pass
        self.close()

    def close(self) -> None:
        """Close the socket, at once."""
        self.sock.close()

    async def _repeat(self, operation: Callable[[], T], *, writing: bool = False) -> T:
        while True:
            try:
                return operation()
            except (BlockingIOError, InterruptedError):
                waits_to_write = writing
            except ssl.SSLWantReadError:
                waits_to_write = False
            except ssl.SSLWantWriteError:
                waits_to_write = True
            await self._ready(writing=waits_to_write)

    async def _ready(self, *, writing: bool) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        watch = self._loop.add_writer if writing else self._loop.add_reader
        unwatch = self._loop.remove_writer if writing else self._loop.remove_reader
        fd = self.sock.fileno()
        watch(fd, _wake, ready)
        try:
            await ready
        finally:
            unwatch(fd)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
