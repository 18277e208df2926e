"""A connected socket during its handshakes: plain or TLS, non-blocking, for coroutines.

asyncio's own transports keep bytes that they read ahead, and a TLS session inside them cannot be handed to
the pump; a `Wire` hands its socket over unchanged.
"""

from __future__ import annotations

import errno
import socket
import ssl
import types
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from wsedge_relay.transport import sockets
from wsedge_relay.transport.readiness import IN, NEVER, OUT, Readiness
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES, WOULD_BLOCK, shut_sending

# The errors of a system call when no descriptor, or no memory for one, is left.
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_LINGER_BYTES: Final = 1 << 20
_CONNECTING: Final = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)

T = TypeVar("T")


class Wire:
    """One socket, and the bytes that were read and written on it (after TLS decryption).

    Every wait raises TimeoutError at `until`, a time of the loop; see `limit`. The methods may be awaited by
    a fiber and by a task.
    """

    __slots__ = ("_fd", "_ready", "received", "sent", "sock", "until", "wake")

    wake: Callable[[BaseException | None], None]

    def __init__(self, sock: socket.socket, ready: Readiness) -> None:
        if sock.gettimeout() != 0.0:  # `gettimeout` needs no system call, `setblocking` does
            sock.setblocking(False)
        self.sock = sock
        self.received = 0
        self.sent = 0
        self.until = NEVER
        self._ready = ready
        self._fd = sock.fileno()

    @property
    def secure(self) -> bool:
        """Whether the socket uses TLS."""
        return isinstance(self.sock, ssl.SSLSocket)

    def limit(self, seconds: float | None) -> None:
        """Let waits raise TimeoutError `seconds` from now; None, the default: no limit."""
        self.until = NEVER if seconds is None else self._ready.loop.time() + seconds

    async def start_tls(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """Make the TLS handshake, as a server unless `server_name` is given; raises OSError, ssl.SSLError."""
        self.sock.getpeername()  # raises if the peer disconnected: wrap_socket would lose the socket
        try:
            tls = context.wrap_socket(
                self.sock,
                server_side=server_name is None,
                server_hostname=server_name,
                do_handshake_on_connect=False,
            )
        except BaseException:
            # wrap_socket owned the descriptor when it failed: the peer disconnected at this moment.
            self._ready.hand_over(self._fd)
            raise
        self.sock = tls
        await self._repeat(tls.do_handshake)

    async def connect(self, address: tuple[Any, ...]) -> None:
        """Connect to a resolved address; raises OSError."""
        connect = self.sock.connect_ex
        code = connect(address)
        if code in _CONNECTING:
            # To a peer on this machine the socket is connected already, as the second call reports.
            while (code := connect(address)) in _CONNECTING:
                await self._wait(OUT)
        if code and code != errno.EISCONN:
            raise OSError(code, f"{errno.errorcode.get(code, code)} from connect to {address[0]}")

    async def read(self) -> bytes:
        """Return the next bytes, empty at the end of the connection; raises OSError."""
        while True:
            try:
                data = self.sock.recv(TLS_RECORD_BYTES)
            except WOULD_BLOCK as error:
                await self._wait(OUT if isinstance(error, ssl.SSLWantWriteError) else IN)
            else:
                self.received += len(data)
                return data

    async def read_header(self, length_of: Callable[[bytes], int], *, longest: int) -> bytes:
        """Return a header in front of TLS, of at most `longest` bytes; leave the bytes behind it unread.

        `length_of` gets the bytes so far and returns the header's length, or 0 when more bytes are needed and
        all bytes so far belong to the header. The header is not counted in `received`. Raises OSError, and
        the errors of `length_of`.
        """
        taken = b""
        while True:
            more = await self._repeat(partial(self.sock.recv, longest, socket.MSG_PEEK))
            if not more:
                raise ConnectionAbortedError("the connection ended in its first header")
            seen = taken + more
            end = length_of(seen)
            taken += self.sock.recv(min(end or len(seen), len(seen)) - len(taken))
            if len(taken) == end:
                return taken

    async def write(self, data: bytes) -> None:
        """Write all of `data`; raises OSError."""
        left: bytes | memoryview = data
        while left:
            try:
                sent = self.sock.send(left)
            except WOULD_BLOCK as error:
                await self._wait(IN if isinstance(error, ssl.SSLWantReadError) else OUT)
            else:
                self.sent += sent
                if sent == len(left):
                    return
                left = memoryview(left)[sent:]

    async def finish(self, seconds: float) -> None:
        """Shut the sending side, read and drop further bytes for at most `seconds`, and close.

        A close with unread bytes resets the connection, and the peer could lose the answer.
        """
        shut_sending(self.sock)
        self.limit(seconds)
        with suppress(OSError):  # TimeoutError is one
            limit = self.received + _LINGER_BYTES
            while self.received < limit and await self.read():
                pass
        self.close()

    def reset_at_close(self, reset: bool) -> None:
        """Set whether a close of the socket resets the connection; by default it does not."""
        sockets.reset_at_close(self.sock, reset=reset)

    def hand_over(self) -> int:
        """Hand the socket over to another owner; return the events for which it is in epoll."""
        return self._ready.hand_over(self._fd)

    def release(self) -> socket.socket:
        """Remove the socket from epoll and hand it over to another owner."""
        self._ready.remove(self._fd)
        return self.sock

    def close(self) -> None:
        """Close the socket at once; do nothing when it is closed already."""
        if self.sock.fileno() >= 0:  # the number of a closed socket may belong to another socket already
            self._ready.hand_over(self._fd)
            self.sock.close()

    async def _repeat(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                return operation()
            except WOULD_BLOCK as error:
                await self._wait(OUT if isinstance(error, ssl.SSLWantWriteError) else IN)

    @types.coroutine
    def _wait(self, events: int) -> Generator[object, None, None]:
        """Wait until the socket may be ready; raises TimeoutError when time is up."""
        ready = self._ready
        fiber = ready.current
        if fiber is not None:
            self.wake = fiber.step
            ready.watch(self._fd, self, events)
            try:
                yield self
            finally:
                ready.unwatch(self._fd)
        else:
            waking = ready.loop.create_future()
            self.wake = partial(_settle, waking)
            ready.watch(self._fd, self, events)
            try:
                yield from waking
            finally:
                ready.unwatch(self._fd)


def _settle(waking: Any, error: BaseException | None) -> None:
    if waking.done():
        return
    if error is None:
        waking.set_result(None)
    else:
        waking.set_exception(error)
