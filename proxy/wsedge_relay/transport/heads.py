"""Reading one HTTP/1.1 head from a stream, whoever sends it: a client or an origin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wsedge_relay.errors import PeerGoneError
from wsedge_relay.protocol import http1


async def read_head(
    read: Callable[[], Awaitable[bytes]], already: bytes = b"", *, most: int = http1.MAX_HEAD_BYTES
) -> tuple[bytes, bytes]:
    """Return the next head, of at most `most` bytes, and what was read behind it.

    `read` returns the next bytes of the stream, b"" at its end; `already` was read before. Raises
    BadHeadError, PeerGoneError when the stream ends first, and whatever `read` raises.
    """
    data: bytes | bytearray = already or await read()
    if not data:
        raise PeerGoneError("the stream ended without a byte")
    seen = 0
    while not (end := http1.head_end(data, seen=seen, most=most)):
        seen = len(data)
        more = await read()
        if not more:
            raise PeerGoneError("the stream ended in a head")
        # In place from here on: a peer that sends byte by byte must not have all of it copied each time.
        data = data if isinstance(data, bytearray) else bytearray(data)
        data += more
    return bytes(data[:end]), bytes(data[end:])
