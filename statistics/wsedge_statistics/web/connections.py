"""Bounds of clients' connections: how long each may take for each part of a request, and how many there are.

uvicorn bounds the time between two requests alone: a head that never ends, a body of a byte per minute and an
answer that nobody reads would each hold a connection for ever.

    waits ──head complete──▶ sends ──body complete──▶ served ──answer written──▶ waits
      │ `head`                 │ `body`                 │ `stalled`, while the client reads nothing
      └────────────────────────┴────────────────────────┴──▶ aborted, after so many seconds

When there are `most` connections, a new one replaces another that waits or sends: of the client with the most
connections the one that does so for longest. So a client that opens many takes its own connections away, and
health is answered. A connection whose request is being served is never replaced; if all are, the new one is
closed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

import h11
from prometheus_client import Counter as Metric
from uvicorn.protocols.http.h11_impl import H11Protocol

from wsedge_statistics.web.problems import MEDIA_TYPE, ProblemError, document_of

SWEEP_SECONDS: Final = 1.0
# Descriptors for everything else: the ledger's files, listeners, the fetch of keys.
_OTHER_DESCRIPTORS: Final = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """The most connections, and the most seconds of each state. A body has READ_SECONDS, less than `body`."""

    most: int = 2000
    head: float = 30.0
    body: float = 40.0
    stalled: float = 30.0
    sweep: float = SWEEP_SECONDS

    def within_descriptors(self) -> Limits:
        """Return the limits with at most as many connections as this process may open."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = soft - _OTHER_DESCRIPTORS if soft != resource.RLIM_INFINITY else self.most
        return Limits(min(self.most, max(1, room)), self.head, self.body, self.stalled, self.sweep)


# By the status that h11 suggests for a request that it cannot parse. Its own text quotes the request.
_NOT_HTTP: Final = ProblemError(400, "bad-request", "The request is not HTTP/1.1 (RFC 9112).")
_UNPARSED: Final = {
    431: ProblemError(431, "head-too-large", "The head of the request is longer than 64 KiB."),
    501: ProblemError(501, "bad-request", "The transfer coding of the request is not supported."),
}


class State(Enum):
    """What a connection does."""

    WAITS = "head"
    SENDS = "body"
    SERVED = "served"
    STALLED = "stalled"


class Connections:
    """The open connections of a server, on one loop. `closed` counts those that were ended, by reason."""

    def __init__(self, limits: Limits, closed: Metric) -> None:
        self._limits = limits
        self._closed = closed
        self._open: dict[BoundedProtocol, None] = {}
        self._sweeping = False

    def add(self, connection: BoundedProtocol) -> bool:
        """Add a connection, in place of another if there are too many; return False if there is no room."""
        if len(self._open) >= self._limits.most and not self._replace_one():
            self._closed.labels("no-room").inc()
            return False
        self._open[connection] = None
        if not self._sweeping:
            self._sweeping = True
            connection.loop.call_later(self._limits.sweep, self._sweep, connection.loop)
        return True

    def remove(self, connection: BoundedProtocol) -> None:
        """Forget a connection that has ended."""
        self._open.pop(connection, None)

    def _replace_one(self) -> bool:
        numbers = Counter(each.host for each in self._open)
        replaceable = [each for each in self._open if each.state() in (State.WAITS, State.SENDS)]
        if not replaceable:
            return False
        # The oldest of equals: the order of `_open` is the order of their beginnings.
        self._end(
            max(replaceable, key=lambda each: (numbers[each.host], each.seconds_in_state())), "replaced"
        )
        return True

    def _end(self, connection: BoundedProtocol, reason: str) -> None:
        self._closed.labels(reason).inc()
        self.remove(connection)
        connection.transport.abort()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        limits = {
            State.WAITS: self._limits.head,
            State.SENDS: self._limits.body,
            State.STALLED: self._limits.stalled,
        }
        for each in list(self._open):
            state = each.state()
            if each.seconds_in_state() > limits.get(state, float("inf")):
                self._end(each, state.value)
        self._sweeping = bool(self._open)
        if self._sweeping:
            loop.call_later(self._limits.sweep, self._sweep, loop)


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol of a connection, within bounds."""

    bounds: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or end at once when there are too many connections."""
        super().connection_made(transport)
        self._state: tuple[State, object] = (State.WAITS, None)
        self._since = self.loop.time()
        self._paused = False
        if not self.bounds.add(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.bounds.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._paused = False
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 uvicorn's text
        """Answer a request that is not HTTP by a problem document, and close.

        uvicorn calls this while it handles h11's error, which it does not pass on.
        """
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        problem = _UNPARSED.get(status, _NOT_HTTP)
        body = document_of(problem)
        # otherwise an answer has begun, and the end of its connection tells that it is not whole
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = h11.Response(
                status_code=problem.status,
                reason=HTTPStatus(problem.status).phrase.encode(),
                headers=[
                    ("content-type", MEDIA_TYPE),
                    ("content-length", str(len(body))),
                    ("cache-control", "no-store"),
                    ("connection", "close"),
                ],
            )
            for event in (head, h11.Data(body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def host(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    def state(self) -> State:
        """Return what the connection does now, and note since when."""
        cycle = self.cycle
        if self._paused or self.transport.is_closing():
            state = State.STALLED
        elif cycle is None or cycle.response_complete:
            state = State.WAITS
        else:
            state = State.SENDS if cycle.more_body else State.SERVED
        if self._state != (state, cycle):
            self._state, self._since = (state, cycle), self.loop.time()
        return state

    def seconds_in_state(self) -> float:
        """Return for how long the connection has been in the state that `state` returned last."""
        return self.loop.time() - self._since


def bounded(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol of a server whose connections have these bounds, for `uvicorn.Config(http=…)`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"bounds": connections})
