"""One request to an origin: interim answers, the final head, the body, and failures by reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from wsedge_relay.contract import Origin
from wsedge_relay.errors import AnswerCutError, BadAnswerError, OriginError
from wsedge_relay.origin.balance import Target
from wsedge_relay.origin.exchange import AnswerBody, Exchange, OriginAnswer, final_answer, send_request
from wsedge_relay.protocol.body import Framing
from wsedge_relay.protocol.http1 import ResponseHead, parse_response
from wsedge_relay.transport.wire import Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\n\r\n"
RESET = ConnectionResetError("it was reset")


class Pieces:
    """A wire whose reads return these pieces, or raise them; b"" after the last."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.pieces = list(pieces)
        self.written = b""
        self.received = 0
        self.limits: list[float | None] = []
        self.is_closed = False

    @property
    def wire(self) -> Wire:
        """The object as the module sees it."""
        return cast(Wire, self)

    def limit(self, seconds: float | None) -> None:
        self.limits.append(seconds)

    async def write(self, data: bytes) -> None:
        self.written += data

    async def read(self) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        self.received += len(piece)
        return piece

    def close(self) -> None:
        self.is_closed = True


def target() -> Target:
    """Return an origin with one open connection."""
    one = Target(Origin(host="192.0.2.1"))
    one.open = 1
    return one


def answer(head: bytes, *pieces: bytes | OSError) -> OriginAnswer:
    """Return an answer whose first piece was read behind the head."""
    first, *later = pieces or (b"",)
    exchange = Exchange(Pieces(*later).wire, target(), "o")
    return OriginAnswer(exchange, parse_response(head), cast(bytes, first))


async def test_a_request_is_sent_and_its_answer_read_within_the_limit() -> None:
    """The limit ends with the head: the tunnel or the body has others."""
    pieces = Pieces(EARLY + OK[:5], OK[5:] + b"ok")
    head, rest = await send_request(pieces.wire, b"GET", seconds=3.0)
    assert (head.status, rest, pieces.written, pieces.limits) == (200, b"ok", b"GET", [3.0, None])


async def test_interim_answers_are_passed_in_order_and_bounded() -> None:
    """A 101 is final (RFC 9110 section 15.2); an origin cannot send interim answers without end."""
    passed: list[int] = []

    async def interim(head: ResponseHead) -> None:
        passed.append(head.status)

    pieces = Pieces(b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY + b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    head, _ = await final_answer(pieces.wire, pieces.read, interim)
    assert (head.status, passed) == (101, [100, 103])
    endless = Pieces(EARLY * 8 + OK)
    with pytest.raises(BadAnswerError, match="too many interim answers"):
        await final_answer(endless.wire, endless.read)


# Pieces of an answer, and the reason and facts of the failure: answered, connected.
FAILURES: Final[dict[str, tuple[tuple[bytes | OSError, ...], tuple[str, bool, bool]]]] = {
    "a close without a byte": ((), ("closed", False, True)),
    "a close within the head": ((OK[:9],), ("closed", True, True)),
    "a reset without a byte": ((RESET,), ("closed", False, True)),
    "a reset within the head": ((OK[:9], RESET), ("closed", True, True)),
    "silence": ((TimeoutError(),), ("timeout", False, True)),
    "silence within the head": ((OK[:9], TimeoutError()), ("timeout", True, True)),
    "no HTTP": ((b"SSH-2.0-x\r\n\r\n",), ("answer", True, True)),
}


@pytest.mark.parametrize(("pieces", "expected"), FAILURES.values(), ids=FAILURES)
async def test_failures_say_whether_another_origin_may_get_the_request(
    pieces: tuple[bytes | OSError, ...], expected: tuple[str, bool, bool]
) -> None:
    """After a byte of an answer the request was processed; silence is no proof that it was not."""
    with pytest.raises(OriginError) as failed:
        await send_request(Pieces(*pieces).wire, b"GET", seconds=3.0)
    assert (failed.value.reason, failed.value.answered, failed.value.connected) == expected


BODIES: Final[dict[str, tuple[bytes, tuple[bytes, ...], list[bytes], Framing]]] = {
    "a length": (OK, (b"o", b"k"), [b"o", b"k"], Framing.LENGTH),
    "a length that is there at once": (OK, (b"ok",), [b"ok"], Framing.LENGTH),
    "chunks": (CHUNKS, (b"1\r\no\r\n1\r\n", b"k\r\n0\r\n\r\n"), [b"o", b"k"], Framing.CHUNKED),
    "chunks that are there at once": (CHUNKS, (b"2\r\nok\r\n0\r\n\r\n",), [b"ok"], Framing.LENGTH),
    "the end of the connection": (CLOSE, (b"o", b"k", b""), [b"o", b"k", b""], Framing.CHUNKED),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", (), [b""], Framing.NONE),
}


@pytest.mark.parametrize(("head", "pieces", "payloads", "outward"), BODIES.values(), ids=BODIES)
async def test_a_body_passes_piece_by_piece(
    head: bytes, pieces: tuple[bytes, ...], payloads: list[bytes], outward: Framing
) -> None:
    """The framings of RFC 9112 section 6; a body that arrived with its head gets a length."""
    body = AnswerBody(answer(head, *pieces), most_bytes=2)
    got = [body.first]
    while not body.done:
        got.append(await body.read())
    assert (got, body.answer.outward) == (payloads, outward)
    if outward is Framing.LENGTH:
        assert body.answer.length == 2


MALFORMED: Final[dict[str, tuple[bytes, bytes]]] = {
    "two framings": (CHUNKS.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"), b"ok"),
    "a broken chunk": (CHUNKS, b"zz\r\n"),
}


@pytest.mark.parametrize(("head", "first"), MALFORMED.values(), ids=MALFORMED)
def test_an_answer_that_begins_malformed_is_not_passed(head: bytes, first: bytes) -> None:
    """The client gets a 502 and none of it."""
    with pytest.raises(BadAnswerError):
        AnswerBody(answer(head, first), most_bytes=3)


CUT: Final[dict[str, tuple[bytes, tuple[bytes | OSError, ...], str]]] = {
    "a close within a length": (OK, (b"o", b""), "answer"),
    "a reset": (OK, (b"o", RESET), "closed"),
    "a broken chunk": (CHUNKS, (b"1\r\no\r\n", b"zz\r\n"), "answer"),
    "silence": (OK, (b"o", TimeoutError()), "bounds"),
    "a length over the limit": (OK.replace(b"2", b"4"), (b"f", b"our"), "bounds"),
    "an endless body": (CLOSE, (b"fo", b"ur"), "bounds"),
}


@pytest.mark.parametrize(("head", "pieces", "reason"), CUT.values(), ids=CUT)
async def test_a_cut_body_is_the_origins_failure_or_the_clients_wish(
    head: bytes, pieces: tuple[bytes | OSError, ...], reason: str
) -> None:
    """A long or slow body is what the client asked for; a broken one is what the origin did."""
    body = AnswerBody(answer(head, *pieces), most_bytes=3)
    expected: type[Exception] = AnswerCutError if reason == "bounds" else OriginError
    with pytest.raises(expected, match=f"^{reason}: "):
        await body.read()


@pytest.mark.parametrize("is_handed_over", [False, True])
def test_an_exchange_is_counted_until_its_end_or_its_next_owner(is_handed_over: bool) -> None:
    """The count of open connections must be decremented exactly once."""
    pieces, origin = Pieces(), target()
    exchange = Exchange(pieces.wire, origin, "o")
    both = OriginAnswer(exchange, cast(Any, SimpleNamespace()), b"")
    assert (both.wire, both.target) == (pieces.wire, origin)
    if is_handed_over:
        assert exchange.hand_over() is origin
    exchange.close()
    exchange.close()
    assert (origin.open, pieces.is_closed) == (1 if is_handed_over else 0, True)
