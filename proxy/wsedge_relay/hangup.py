"""Noticing at once that a client hangs up while an origin is asked on its behalf."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.wire import READ_BYTES, Wire

# No answer is worth a read to these; the selector reports again.
_LATER = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Hangup:
    """`with Hangup(wire, loop, said=rest) as early:` ends its block by PeerGoneError once the peer is gone.

    What the peer says meanwhile is kept in `early`, up to a read or two; more is left in its socket, and a
    hang-up behind it is noticed at the next read, as it would be without this. A peer that said something
    behind its request and then shut its side may still wait for the answer (RFC 9293 section 3.6), so that
    only a broken connection is a hang-up then.
    """

    __slots__ = ("_before", "_early", "_fd", "_gone", "_loop", "_said", "_task", "_watching", "_wire")

    _task: asyncio.Task[object]

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop, *, said: bytes) -> None:
        self._wire = wire
        self._loop = loop
        self._early = bytearray()
        self._said = bool(said)
        self._gone = self._watching = False

    def __enter__(self) -> bytearray:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a hang-up ends a task")
        self._task = task
        self._before = task.cancelling()
        self._fd = self._wire.sock.fileno()
        self._loop.add_reader(self._fd, self._readable)
        self._watching = True
        return self._early

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        # As asyncio.timeout does: who else cancelled the task is not hidden.
        if (
            self._gone
            and self._task.uncancel() <= self._before
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise PeerGoneError("the client hung up before it was answered") from error

    def _readable(self) -> None:
        try:
            data = self._wire.sock.recv(READ_BYTES)
        except _LATER:
            return
        except OSError:
            self._end()
            return
        if data:
            self._said = True
            self._wire.received += len(data)
            self._early += data
            if len(self._early) >= READ_BYTES:
                self._stop()
        elif self._said:
            self._stop()
        else:
            self._end()

    def _end(self) -> None:
        self._gone = True
        self._stop()
        self._task.cancel()

    def _stop(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._fd)
