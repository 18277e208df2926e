"""One request on one connection to an origin: the final answer, and a short body behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from wsedge_relay.errors import BadAnswerError, OriginError, PeerGoneError
from wsedge_relay.origin.balance import Target
from wsedge_relay.protocol import http1
from wsedge_relay.protocol.body import BadBodyError, BodyReader, of_answer
from wsedge_relay.protocol.http1 import BadHeadError, ResponseHead
from wsedge_relay.transport.heads import read_head
from wsedge_relay.transport.wire import Wire

_MAX_INTERIM: Final = 8


@dataclass(slots=True)
class Exchange:
    """A connection to an origin; `target.open` includes it until `close` or the owner after `hand_over`.

    `host` is the Host header of requests on the connection.
    """

    wire: Wire
    target: Target
    host: str
    counted: bool = True

    def hand_over(self) -> Target:
        """Return the target; the caller must decrement `target.open` at the end of the connection."""
        self.counted = False
        return self.target

    def close(self) -> None:
        """Close the connection; decrement `target.open` unless it was handed over."""
        self.wire.close()
        if self.counted:
            self.target.open -= 1
            self.counted = False


class OriginAnswer(NamedTuple):
    """An origin's answer: the connection, the head, and the bytes that were read behind it."""

    exchange: Exchange
    head: ResponseHead
    rest: bytes

    @property
    def wire(self) -> Wire:
        """The connection's socket."""
        return self.exchange.wire

    @property
    def target(self) -> Target:
        """The origin."""
        return self.exchange.target


async def send_request(wire: Wire, request: bytes, *, seconds: float) -> tuple[ResponseHead, bytes]:
    """Send a request; return the head of the final answer and the bytes behind it. Raises OriginError."""
    wire.limit(seconds)
    try:
        await wire.write(request)
        answer = await final_answer(wire, wire.read)
    except TimeoutError as error:
        text = f"no answer within {seconds:.3g} s"
        raise OriginError("timeout", text, answered=wire.received > 0, connected=True) from error
    except OSError as error:
        raise OriginError("closed", str(error), answered=wire.received > 0) from error
    wire.limit(None)
    return answer


async def final_answer(
    wire: Wire,
    read: Callable[[], Awaitable[bytes]],
    interim: Callable[[ResponseHead], Awaitable[None]] | None = None,
) -> tuple[ResponseHead, bytes]:
    """Return the head of the final answer on `wire`, and the bytes behind it.

    `read` returns the next bytes, b"" at the end of the stream; `interim` gets each 1xx answer except 101
    (RFC 9110 section 15.2), at most eight. Raises OriginError, and the errors of `read` and `interim`.
    """
    rest = b""
    for _ in range(_MAX_INTERIM):
        try:
            head, rest = await read_head(read, rest)
            answer = http1.parse_response(head)
        except BadHeadError as error:
            raise BadAnswerError(error.text) from error
        except PeerGoneError as error:
            raise OriginError("closed", str(error), answered=wire.received > 0) from error
        if answer.status == 101 or answer.status >= 200:
            return answer, rest
        if interim is not None:
            await interim(answer)
    raise BadAnswerError("too many interim answers")


async def read_body(answered: OriginAnswer, *, limit: int) -> bytes:
    """Return the body of an answer other than 101, at most `limit` bytes.

    Raises OriginError when the body is malformed, cut or too long; TimeoutError at the wire's limit.
    """
    head, wire = answered.head, answered.wire
    try:
        framing, length = of_answer(head.headers, status=head.status, head_only=False, minor=head.minor)
        reader = BodyReader(framing, length)
        body = bytearray(reader.feed(answered.rest))
        while not reader.done and max(len(body), length) <= limit:
            data = await wire.read()
            if data:
                body += reader.feed(data)
            else:
                reader.end()
    except BadBodyError as error:
        raise BadAnswerError(error.text) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise OriginError("closed", str(error)) from error
    if max(len(body), length) > limit:
        raise BadAnswerError(f"the answer's body is longer than {limit} bytes")
    return bytes(body)
