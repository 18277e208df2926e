"""A budget for a client's HTTP/2 frames without data. Pure: `now` is any clock's seconds.

Resets, pings, settings, window updates, priorities and empty frames are cheap to send and expensive to serve.
Floods of each of them have stopped servers (CVE-2023-44487, CVE-2019-9511 to 9518, CVE-2024-27316). They are
counted before the HTTP/2 library parses them.

A frame that the relay's own work calls for is paid by that work, because a client that uses the connection
more sends more of them: a window update answers bytes that were sent to the client, and a reset ends a
request that was answered. Envoy has the same rule, with 20 window updates for a DATA frame of up to 16 KiB;
nginx limits the bytes of all frames by those of DATA. docs/design/http2.md has what real clients send.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 16384
_HEADER_BYTES: Final = 9
_PADDED: Final = 0x8

# Costs by type (RFC 9113 section 6); other types cost 1.
_DATA: Final = 0
_PING: Final = 6
_WINDOW_UPDATE: Final = 8
# Types that sent bytes pay for. Some clients measure the bandwidth by a PING in every round trip with data.
_ANSWERS: Final = (_PING, _WINDOW_UPDATE)
_COSTS: Final = {
    1: 2,  # HEADERS
    3: 10,  # RST_STREAM: a page that closes may reset all its streams, but rarely more
    4: 10,  # SETTINGS
}

# A browser that opens and closes 100 WebSockets at once spends 1200: 100 HEADERS and 100 RST_STREAM.
_MOST: Final = 2000.0
_PER_SECOND: Final = 100.0
# A client may answer each DATA frame by two window updates, for the stream and for the connection, or each
# piece of it that its program has read: Go's net/http2 does so from 4096 bytes on.
_EARNED_BY_DATA: Final = 2.0
_PIECE_BYTES: Final = 512
# An answered request pays for its HEADERS, RST_STREAM, END_STREAM, and a priority and a window update.
_EARNED_BY_ANSWER: Final = 15.0


class Taken(NamedTuple):
    """Counted frames: the bytes of input with them, and their costs; `answers` may be paid by sent bytes."""

    size: int
    cost: int
    answers: int


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

    def take(self, data: bytes, most: int) -> Taken:
        """Count the frames that begin in `data`, the next bytes of the connection; at most `most` of them.

        If there are more, the size is that of the bytes in front of the next frame.
        """
        size = len(data)
        skipped = self._skip
        if skipped >= size:
            self._skip = skipped - size
            return Taken(size, 0, 0)
        held = len(self._header)
        data = self._header + data[skipped:]
        at = cost = answers = 0
        end = len(data)
        while end - at >= _HEADER_BYTES:
            if not most:
                self._skip = 0
                self._header = b""
                return Taken(skipped + at - held, cost, answers)
            most -= 1
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
            if kind in _ANSWERS:
                answers += 1
            elif kind != _DATA or is_empty:
                cost += _COSTS.get(kind, 1)
            at += _HEADER_BYTES + length
        self._skip = max(0, at - end)
        self._header = data[at:]
        return Taken(size, cost, answers)


class Budget:
    """The remaining budget of a client: a token bucket that begins full.

    `_answers` is the number of answers that sent bytes pay for. It has no bound but those bytes: a client
    whose program reads late answers several megabytes at once, 4096 bytes by 4096 bytes.
    """

    __slots__ = ("_answers", "_filled", "_left")

    def __init__(self, now: float) -> None:
        self._left = _MOST
        self._filled = now
        self._answers = 0.0

    def spend(self, taken: Taken, now: float) -> bool:
        """Subtract the costs of `taken`; return whether the budget covered them."""
        paid = min(self._answers, taken.answers)
        self._answers -= paid
        left = min(_MOST, self._left + (now - self._filled) * _PER_SECOND)
        self._left = left - taken.cost - (taken.answers - paid)
        self._filled = now
        return self._left >= 0

    def sent(self, size: int, *, is_cut: bool) -> None:
        """Add the answers to a DATA frame of `size` bytes; `is_cut` says that the window had no more room.

        A frame that is cut pays by its bytes alone. Otherwise a client that enlarges the window by single
        bytes would have each update paid, and make the relay send a frame for each byte (CVE-2019-9511).
        """
        self._answers += 2 * size / _PIECE_BYTES
        if not is_cut:
            self._answers += _EARNED_BY_DATA

    def answered(self) -> None:
        """Add the cost of the frames of a request, which got its answer: not of one that was reset before."""
        self._left = min(_MOST, self._left + _EARNED_BY_ANSWER)
