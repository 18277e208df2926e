"""A budget for a client's HTTP/2 frames without data. Pure: `now` is any clock's seconds.

Resets, pings, settings, window updates, priorities and empty frames are cheap to send and expensive to serve.
Floods of each of them have stopped servers (CVE-2023-44487, CVE-2019-9511 to 9518, CVE-2024-27316). They are
counted before the HTTP/2 library parses them.
"""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 16384
_HEADER_BYTES: Final = 9
_PADDED: Final = 0x8

# Costs by type (RFC 9113 section 6); other types cost 1.
_DATA: Final = 0
_COSTS: Final = {
    1: 2,  # HEADERS
    3: 10,  # RST_STREAM: a page that closes may reset all its streams, but rarely more
    4: 10,  # SETTINGS
}

# A browser that opens and closes 100 WebSockets at once spends 1200: 100 HEADERS and 100 RST_STREAM.
_MOST: Final = 2000.0
_PER_SECOND: Final = 100.0
# A client may answer each DATA frame by two window updates, for the stream and for the connection.
_EARNED_BY_DATA: Final = 2.0


class FrameTally:
    """Sums the costs of the frames in a client's bytes, however the bytes are split.

    `is_overlong` says that a frame's header announces more than MAX_FRAME_BYTES. The library checks that only
    when it has buffered the whole frame, which may have 16 MiB.
    """

    __slots__ = ("_header", "_skip", "is_overlong")

    def __init__(self) -> None:
        self.is_overlong = False
        self._skip = len(PREFACE)
        self._header = b""

    def cost_of(self, data: bytes) -> int:
        """Return the cost of the frames that begin in `data`, the next bytes of the connection."""
        at = self._skip
        if at >= len(data):
            self._skip = at - len(data)
            return 0
        data = self._header + data[at:]
        at = cost = 0
        end = len(data)
        while end - at >= _HEADER_BYTES:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind = data[at + 3]
            if length > MAX_FRAME_BYTES:
                self.is_overlong = True
            if kind == _DATA and length and data[at + 4] & _PADDED:
                if end - at == _HEADER_BYTES:
                    break  # the next byte, the length of the padding, is missing
                is_empty = length <= 1 + data[at + _HEADER_BYTES]
            else:
                is_empty = not length
            if kind != _DATA or is_empty:
                cost += _COSTS.get(kind, 1)
            at += _HEADER_BYTES + length
        self._skip = max(0, at - end)
        self._header = data[at:]
        return cost


class Budget:
    """The remaining budget of a client: a token bucket that begins full."""

    __slots__ = ("_filled", "_left")

    def __init__(self, now: float) -> None:
        self._left = _MOST
        self._filled = now

    def spend(self, cost: int, now: float) -> bool:
        """Subtract `cost`; return whether the budget covered it."""
        self._left = min(_MOST, self._left + (now - self._filled) * _PER_SECOND) - cost
        self._filled = now
        return self._left >= 0

    def earn(self) -> None:
        """Add the cost of the window updates that answer a DATA frame."""
        self._left = min(_MOST, self._left + _EARNED_BY_DATA)
