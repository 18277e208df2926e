"""Read one HTTP/1.1 head, of a client's request or an origin's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.protocol import http1

_CR: Final = ord("\r")


async def read_head(
    read: Callable[[], Awaitable[bytes]],
    already: bytes = b"",
    *,
    most: int = http1.MAX_HEAD_BYTES,
    of_request: bool = False,
) -> tuple[bytes, bytes]:
    """Return the next head, of at most `most` bytes, and the bytes that were read behind it.

    `read` returns the next bytes of the connection, b"" at its end; `already` was read before. A few empty
    lines before the head of a request are dropped (RFC 9112 section 2.2). Raises BadHeadError, PeerGoneError
    when the connection ends first, and any error of `read`.
    """
    first = already or await read()
    if not first:
        raise PeerGoneError("the connection ended without a byte")
    if of_request and first[0] == _CR:
        first = await _behind_empty_lines(first, read)
    data: bytes | bytearray = first
    seen = 0
    while not (end := http1.head_end(data, seen=seen, most=most)):
        seen = len(data)
        more = await read()
        if not more:
            raise PeerGoneError("the connection ended in a head")
        # From here on in place: a peer that sends byte by byte must not cause a copy of all bytes per read.
        data = data if isinstance(data, bytearray) else bytearray(data)
        data += more
    return bytes(data[:end]), bytes(data[end:])


async def _behind_empty_lines(data: bytes, read: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return the bytes behind the empty lines at the start of `data`, at least one that ends them."""
    while http1.is_empty_lines(data):
        more = await read()
        if not more:
            raise PeerGoneError("the connection ended before a head")
        data += more
    return data[http1.empty_lines_end(data) :]
