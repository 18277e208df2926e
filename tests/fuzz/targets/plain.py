"""Plain requests with their bodies: the relay and h11 read the same from the relay's output."""

from __future__ import annotations

import h11

from fuzz.targets.heads import (
    LOOP,
    PEER,
    PROXIES,
    behind_empty_lines,
    check_target,
    encoded,
    for_h11,
    head_of,
)
from wsedge_relay.contract import PassThrough
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.protocol import handshake, http1, plain_request
from wsedge_relay.protocol.body import BadBodyError, BodyReader, BodyWriter
from wsedge_relay.protocol.forwarded import way_of
from wsedge_relay.protocol.http1 import BadHeadError
from wsedge_relay.protocol.plain_request import Passed

RULES = PassThrough.model_validate({"methods": ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"]})


def plain(data: bytes) -> None:
    """Read `data` as a request: the first byte selects the cuts, the rest are its bytes."""
    step, stream = (data[0] if data else 0) % 61 + 1, behind_empty_lines(data[1:])
    head = head_of(stream)
    if not head:
        return
    try:
        request = http1.parse_request(head)
        handshake.domain_of(handshake.host_of(request))
        passed = plain_request.check_request(request, RULES)
    except (BadHeadError, HandshakeRefusedError):
        return
    if plain_request.is_upgrade(request) or len(request.headers.lines) > http1.MAX_HEADERS - 8:
        return
    whole, cut = _body(passed, stream[len(head) :], len(stream)), _body(passed, stream[len(head) :], step)
    assert whole == cut
    if whole is None:
        return
    payload, rest = whole
    assert _told(passed, payload, step) == (request.method, encoded(request.target), payload, b"")
    target = stream.split(b" ", 2)[1]
    check_target(target, request)
    other = _read_by_h11(stream)
    if other is not None and request.minor:  # h11 is not as strict, but where it accepts, it reads the same
        assert other == (request.method, encoded(target), payload, rest)


def _body(passed: Passed, data: bytes, step: int) -> tuple[bytes, bytes] | None:
    """Return payload and the bytes after it, or None for a body that is invalid or incomplete."""
    reader = BodyReader(passed.framing, passed.length)
    payload = b""
    try:
        for at in range(0, len(data), step):
            payload += reader.feed(data[at : at + step])
    except BadBodyError:
        return None
    assert reader.payload_bytes == len(payload) <= len(data)
    return (payload, reader.rest) if reader.done else None


def _told(passed: Passed, payload: bytes, step: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the origin's reading, and the bytes after it."""
    way = way_of(passed.request.headers, PEER, PROXIES)
    told = plain_request.origin_request(passed, host="origin:81", way=way, secure=False, loop=LOOP)
    writer = BodyWriter(passed.framing)
    for at in range(0, len(payload), step):
        told += writer.frame(payload[at : at + step], last=False)
    read = _read_by_h11(told + writer.frame(b"", last=True))
    assert read is not None, told
    return read


def _read_by_h11(data: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Return the first request and the bytes after it by another parser, or None when it refuses."""
    other = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    other.receive_data(for_h11(data))
    body = b""
    try:
        request = other.next_event()
        if not isinstance(request, h11.Request):
            return None
        while not isinstance(event := other.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            body += event.data
    except h11.RemoteProtocolError:
        return None
    return request.method, request.target, body, other.trailing_data[0]
