"""Detect a client's disconnect while the relay waits for an origin on its behalf."""

from __future__ import annotations

import asyncio
from types import TracebackType

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.transport.readiness import NEVER, Readiness
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES, WOULD_BLOCK
from wsedge_relay.transport.wire import Wire


class Hangup:
    """`with Hangup(wire, ready, rest=rest) as early:` ends its block by PeerGoneError at a disconnect.

    `rest` was read behind the request. Bytes that the peer sends during the block are stored in `early`, up
    to one or two reads. Further bytes stay in the socket, and a disconnect behind them is detected only at
    the next read after the block. A peer that sent bytes behind its request and then shut its side may still
    wait for the answer (RFC 9293 section 3.6); for such a peer only a broken connection is a disconnect.
    """

    __slots__ = (
        "_before",
        "_early",
        "_fd",
        "_fiber",
        "_gone",
        "_has_rest",
        "_ready",
        "_task",
        "_watching",
        "_wire",
    )

    until = NEVER

    def __init__(self, wire: Wire, ready: Readiness, *, rest: bytes) -> None:
        self._wire = wire
        self._ready = ready
        self._early = bytearray()
        self._has_rest = bool(rest)
        self._gone = self._watching = False
        self._before = 0
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> bytearray:
        self._fiber = self._ready.current
        if self._fiber is None:
            self._task = asyncio.current_task(self._ready.loop)
            if self._task is None:
                raise RuntimeError("Hangup needs a fiber or a task to cancel")
            self._before = self._task.cancelling()
        self._fd = self._wire.sock.fileno()
        self._ready.watch(self._fd, self)
        self._watching = True
        return self._early

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if not self._gone:
            return
        # As in asyncio.timeout: a cancellation by other code is raised again.
        others = self._task.uncancel() > self._before if self._task is not None else False
        if not others and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise PeerGoneError("the client disconnected before its answer") from error

    def wake(self, _: BaseException | None, /) -> None:
        """Read the peer's bytes, or end the block when it disconnected."""
        try:
            data = self._wire.sock.recv(TLS_RECORD_BYTES)
        except WOULD_BLOCK:
            return
        except OSError:
            self._end()
            return
        if data:
            self._has_rest = True
            self._wire.received += len(data)
            self._early += data
            if len(self._early) >= TLS_RECORD_BYTES:
                self._stop()
        elif self._has_rest:
            self._stop()
        else:
            self._end()

    def _end(self) -> None:
        self._gone = True
        self._stop()
        if self._fiber is not None:
            self._task = self._fiber.task  # the fiber may have become a task meanwhile
            self._fiber.cancel()
        elif self._task is not None:
            self._task.cancel()

    def _stop(self) -> None:
        if self._watching:
            self._watching = False
            self._ready.unwatch(self._fd)
