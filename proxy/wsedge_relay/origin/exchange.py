"""One request on one connection to an origin: the final answer, and the body behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from wsedge_relay.errors import AnswerCutError, BadAnswerError, OriginError, PeerGoneError
from wsedge_relay.origin.balance import Target
from wsedge_relay.protocol import http1, plain_request
from wsedge_relay.protocol.body import BadBodyError, BodyReader, Framing
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


async def send_request(
    wire: Wire, request: bytes, *, seconds: float, most: int = http1.MAX_ORIGIN_HEAD_BYTES
) -> tuple[ResponseHead, bytes]:
    """Send a request; return the head of the final answer and the bytes behind it. Raises OriginError.

    `most` is the limit of each head.
    """
    wire.limit(seconds)
    try:
        await wire.write(request)
        answer = await final_answer(wire, wire.read, most=most)
    except TimeoutError as error:
        text = f"no answer within {seconds:.3g} s"
        raise OriginError("timeout", text, answered=wire.received > 0, connected=True) from error
    except OSError as error:
        raise OriginError("closed", str(error), answered=wire.received > 0, connected=True) from error
    wire.limit(None)
    return answer


async def final_answer(
    wire: Wire,
    read: Callable[[], Awaitable[bytes]],
    interim: Callable[[ResponseHead], Awaitable[None]] | None = None,
    *,
    most: int = http1.MAX_ORIGIN_HEAD_BYTES,
) -> tuple[ResponseHead, bytes]:
    """Return the head of the final answer on `wire`, and the bytes behind it.

    `read` returns the next bytes, b"" at the end of the stream; `interim` gets each 1xx answer except 101
    (RFC 9110 section 15.2), at most eight; `most` is the limit of each head. Raises OriginError, and the
    errors of `read` and `interim`.
    """
    rest = b""
    for _ in range(_MAX_INTERIM):
        try:
            head, rest = await read_head(read, rest, most=most)
            answer = http1.parse_response(head, most=most)
        except BadHeadError as error:
            raise BadAnswerError(error.text) from error
        except PeerGoneError as error:
            # The request may be the reason: one client must not eject an origin.
            raise OriginError("closed", str(error), answered=wire.received > 0, connected=True) from error
        if answer.status == 101 or answer.status >= 200:
            return answer, rest
        if interim is not None:
            await interim(answer)
    raise BadAnswerError("too many interim answers")


class AnswerBody:
    """The body of an answer other than 101, in the pieces in which the origin sends it.

    `most_bytes` bounds its payload. `first` is the payload that was read behind the head, `answer` the head
    with the framing for the client. Raises BadAnswerError for a body that is malformed from the beginning:
    nothing of the answer was passed on then.
    """

    __slots__ = ("_most_bytes", "_reader", "_wire", "answer", "first")

    def __init__(self, answered: OriginAnswer, *, most_bytes: int) -> None:
        self._wire = answered.wire
        self._most_bytes = most_bytes
        answer = plain_request.passed_answer(answered.head, head_only=False, minor=1)
        self._reader = BodyReader(answer.framing, answer.length)
        try:
            self.first = self._reader.feed(answered.rest)
        except BadBodyError as error:
            raise BadAnswerError(error.text) from error
        if self.done and answer.framing is not Framing.NONE:
            # All of it is there, so its length is known. Many WebSocket clients read no chunks.
            answer = replace(answer, framing=Framing.LENGTH, outward=Framing.LENGTH, length=len(self.first))
        self.answer = answer

    @property
    def done(self) -> bool:
        """Whether the body is complete."""
        return self._reader.done

    async def read(self) -> bytes:
        """Return the next payload, which may be empty.

        Raises AnswerCutError when the body is too long or has not ended at the wire's limit: the client asked
        for such an answer. Raises OriginError when the origin cut the body or sent a malformed one.
        """
        try:
            data = await self._wire.read()
            if not data:
                self._reader.end()
            payload = self._reader.feed(data)
        except BadBodyError as error:
            raise BadAnswerError(error.text) from error
        except TimeoutError as error:
            raise AnswerCutError("bounds", "the answer's body did not end in time") from error
        except OSError as error:
            raise OriginError("closed", str(error), answered=True) from error
        if self._reader.payload_bytes > self._most_bytes:
            raise AnswerCutError("bounds", f"the answer's body is longer than {self._most_bytes} bytes")
        return payload
