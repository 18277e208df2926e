"""A connected socket, plain or TLS, that one coroutine reads while another writes.

A `Wire` serves handshakes, in which reads and writes alternate. Bodies pass in both directions at once, and
TLS may have to read in order to write.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wsedge_relay.transport.readiness import IN, NEVER, OUT, Readiness
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES, WOULD_BLOCK
from wsedge_relay.transport.wire import Wire

# Reads in a row that find bytes at once; then the loop runs. A peer that sends faster than the relay forwards
# lets the reading coroutine never wait, and no other connection would be served.
_READS_IN_A_ROW: Final = 4


@dataclass(slots=True, eq=False)
class _Wait:
    """One coroutine that waits for the socket."""

    events: int
    until: float
    waking: asyncio.Future[None]


class Duplex:
    """Both directions of a wire, for tasks of asyncio; the wire still counts the bytes.

    The wire's own methods must not be called meanwhile.
    """

    __slots__ = ("_callback", "_fd", "_reads", "_ready", "_waits", "until", "wire")

    def __init__(self, wire: Wire, ready: Readiness) -> None:
        self.wire = wire
        self.until = NEVER
        self._ready = ready
        self._fd = wire.sock.fileno()
        self._reads = 0  # since the last turn of the loop
        self._waits: list[_Wait] = []
        self._callback: Callable[[], object] | None = None

    def on_readable(self, callback: Callable[[], object] | None) -> None:
        """Call `callback` each time that `read_now` may find bytes; None ends the calls.

        No coroutine may call `read` meanwhile.
        """
        if callback is not self._callback:
            self._callback = callback
            self._watch()

    def read_now(self) -> bytes | None:
        """Return the readable bytes without waiting; empty at the end, None without any; raises OSError."""
        try:
            data: bytes = self.wire.sock.recv(TLS_RECORD_BYTES)
        except WOULD_BLOCK:
            return None
        self.wire.received += len(data)
        return data

    async def read(self, seconds: float | None) -> bytes:
        """Return the next bytes, empty at the end of the connection; raises TimeoutError, OSError.

        `seconds` limits the wait; None: no limit.
        """
        if self._reads == _READS_IN_A_ROW:
            self._reads = 0
            await asyncio.sleep(0)
        while True:
            try:
                data: bytes = self.wire.sock.recv(TLS_RECORD_BYTES)
            except WOULD_BLOCK as error:
                self._reads = 0
                await self._wait(OUT if isinstance(error, ssl.SSLWantWriteError) else IN, seconds)
            else:
                self._reads += 1
                self.wire.received += len(data)
                return data

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of `data`, each piece of it within `seconds`; raises TimeoutError, OSError."""
        left: bytes | memoryview = data
        while left:
            try:
                sent = self.wire.sock.send(left)
            except WOULD_BLOCK as error:
                await self._wait(IN if isinstance(error, ssl.SSLWantReadError) else OUT, seconds)
            else:
                self.wire.sent += sent
                left = memoryview(left)[sent:]

    def wake(self, error: BaseException | None, /) -> None:
        """Let waiting coroutines try again; a coroutine whose time is up gets TimeoutError."""
        if error is None and self._callback is not None:
            self._callback()
        now = self._ready.loop.time()
        for wait in self._waits:
            if wait.waking.done():
                continue
            if error is None:
                wait.waking.set_result(None)
            elif wait.until <= now:
                wait.waking.set_exception(TimeoutError())

    async def _wait(self, events: int, seconds: float | None) -> None:
        loop = self._ready.loop
        until = NEVER if seconds is None else loop.time() + seconds
        wait = _Wait(events, until, loop.create_future())
        self._waits.append(wait)
        self._watch()
        try:
            await wait.waking
        finally:
            self._waits.remove(wait)
            self._watch()

    def _watch(self) -> None:
        """Register the events that coroutines wait for."""
        events = IN if self._callback is not None else 0
        self.until = NEVER
        for wait in self._waits:
            events |= wait.events
            self.until = min(self.until, wait.until)
        if events:
            self._ready.watch(self._fd, self, events)
        else:
            self._ready.unwatch(self._fd)
