"""Read one HTTP/1.1 head, of a client's request or an origin's answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.protocol import http1


async def read_head(
    read: Callable[[], Awaitable[bytes]], already: bytes = b"", *, most: int = http1.MAX_HEAD_BYTES
) -> tuple[bytes, bytes]:
    """Return the next head, of at most `most` bytes, and the bytes that were read behind it.

    `read` returns the next bytes of the connection, b"" at its end; `already` was read before. Raises
    BadHeadError, PeerGoneError when the connection ends first, and any error of `read`.
    """
    data: bytes | bytearray = already or await read()
    if not data:
        raise PeerGoneError("the connection ended without a byte")
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
