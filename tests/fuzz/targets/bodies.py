"""Bodies: a wrong end lets an attacker smuggle requests, so another parser must find the same end."""

from __future__ import annotations

from collections.abc import Iterator

import h11

from fuzz.targets.heads import head_of
from wsedge_relay.protocol import http1
from wsedge_relay.protocol.body import BadBodyError, BodyReader, BodyWriter, Framing, of_answer, of_request
from wsedge_relay.protocol.http1 import BadHeadError

_ENOUGH = 1 << 20
_TO_ASCII = bytes(range(128)) + b"x" * 128


class StricterError(Exception):
    """h11 refuses valid input.

    White space before a chunk's extension (RFC 9112 section 7.1.1), and trailers with fields that belong into
    a head, which the relay drops with all others.
    """


def body(data: bytes) -> None:
    """Read `data` as a message with a body: the first byte selects the direction, the second the cuts."""
    flags, cut, stream = data[0] if data else 0, data[1] if len(data) > 1 else 0, data[2:]
    head = head_of(stream)
    rest = stream[len(head) :]
    is_answer, head_only = bool(flags & 1), bool(flags & 2)
    if not head:
        return
    try:
        if is_answer:
            said = http1.parse_response(head)
            if said.status < 200:
                return
            framing, length = of_answer(
                said.headers, status=said.status, head_only=head_only, minor=said.minor
            )
        else:
            asked = http1.parse_request(head)
            if len(asked.headers.all(b"host")) != 1:
                return  # refused by `host_of`
            framing, length = of_request(asked.headers, minor=asked.minor)
        reader = BodyReader(framing, max(0, length))
        payload = b"".join(reader.feed(part) for part in _parts(rest, cut))
        if framing is Framing.CLOSE:
            reader.end()
    except (BadHeadError, BadBodyError):
        return
    assert reader.payload_bytes == len(payload)
    try:
        seen, whole, behind = _answered(stream, head_only=head_only) if is_answer else _asked(stream)
    except StricterError:
        return
    assert whole is reader.done, "one finds an end where the other finds none"
    if whole:
        assert (payload, reader.rest) == (seen, behind if framing is not Framing.CLOSE else b"")
    else:
        assert payload.startswith(seen) or seen.startswith(payload)
    _written_anew(payload, cut)


def _parts(rest: bytes, cut: int) -> Iterator[bytes]:
    """Cut a stream into pieces; 0 leaves it whole."""
    step = cut or len(rest) or 1
    for at in range(0, len(rest), step):
        yield rest[at : at + step]


def _asked(stream: bytes) -> tuple[bytes, bool, bytes]:
    """Return what h11 reads, which refuses bytes above ASCII in a target; the relay passes them."""
    other = h11.Connection(h11.SERVER, max_incomplete_event_size=_ENOUGH)
    line, end, rest = stream.partition(b"\n")
    other.receive_data(line.translate(_TO_ASCII) + end + rest)
    return _read(other, h11.Request)


def _answered(stream: bytes, *, head_only: bool) -> tuple[bytes, bool, bytes]:
    other = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ENOUGH)
    other.send(h11.Request(method=b"HEAD" if head_only else b"GET", target=b"/", headers=[(b"Host", b"a")]))
    other.send(h11.EndOfMessage())
    other.receive_data(stream)
    return _read(other, h11.Response)


def _read(other: h11.Connection, kind: type[h11.Event]) -> tuple[bytes, bool, bytes]:
    """Return h11's payload, whether it finds an end, and the bytes after that."""
    payload = b""
    in_body = False
    try:
        event = other.next_event()
        assert isinstance(event, kind), event
        in_body = True
        while True:
            event = other.next_event()
            if event is h11.NEED_DATA:
                if other.their_state is h11.SEND_BODY and not payload_is_framed(other):
                    other.receive_data(b"")
                    continue
                return payload, False, b""
            if isinstance(event, h11.EndOfMessage):
                return payload, True, other.trailing_data[0]
            assert isinstance(event, h11.Data), event
            payload += bytes(event.data)
    except h11.RemoteProtocolError as error:
        text = str(error)
        of_trailers = in_body and ("Content-Length" in text or "Transfer-Encoding" in text)
        if of_trailers or ("chunk header" in text and (" ;" in text or "\\t;" in text)):
            raise StricterError from error
        raise AssertionError(f"h11 refuses what the relay takes: {error}") from error


def payload_is_framed(other: h11.Connection) -> bool:
    """Return whether a message's end is in its framing, not at the end of the stream."""
    return type(other._reader).__name__ != "Http10Reader"


def _written_anew(payload: bytes, cut: int) -> None:
    """Assert that the chunks that the relay sends have the same payload and a valid end."""
    writer = BodyWriter(Framing.CHUNKED)
    pieces = list(_parts(payload, cut))
    told = b"".join(writer.frame(piece, last=False) for piece in pieces) + writer.frame(b"", last=True)
    again = BodyReader(Framing.CHUNKED)
    assert again.feed(told + b"GET") == payload
    assert (again.done, again.rest) == (True, b"GET")
