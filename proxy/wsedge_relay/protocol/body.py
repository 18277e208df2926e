"""Bodies of HTTP/1.1 messages (RFC 9112 sections 6 and 7), parsed strictly, framed for the next hop. Pure.

Request smuggling exploits that two parsers find different ends of a body. So every form that parsers could
read differently is rejected: a length beside chunks, a length that is no plain number, a coding other than
chunked, a chunk line that does not match the grammar exactly. Chunk extensions and trailers are checked,
limited in size and dropped.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from wsedge_relay.protocol.http1 import BadHeadError, Headers

_MAX_LINE: Final = 8192
# The most bytes of chunk lines and trailers beyond those of normal chunks. Without this limit a body of
# chunks of one byte, each with a long extension, would cost a thousand times its payload.
_MAX_EXCESS: Final = 16384
_EASY_LINE: Final = 16  # a chunk line up to this length is normal, and no excess
_LONGEST_LENGTH: Final = 18  # digits: below 2**63

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION: Final = rb"[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
# Eight digits: a 32-bit parser does not overflow, and some clients pad sizes to eight.
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:" + _EXTENSION + rb")*")
_TRAILER: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")


class BadBodyError(ValueError):
    """A body without a clear end, or with broken framing; `status` is the answer to a request with it."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


class Framing(Enum):
    """How the end of a body is marked."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


def of_request(headers: Headers, *, minor: int = 1) -> tuple[Framing, int]:
    """Return a request's framing, and its length if the framing is LENGTH, else 0; raises BadBodyError.

    `minor` is the second digit of the request's version.
    """
    framing, length = _framing(headers, minor=minor)
    return (Framing.NONE, 0) if framing is Framing.CLOSE else (framing, length)


def of_answer(headers: Headers, *, status: int, head_only: bool, minor: int) -> tuple[Framing, int]:
    """Return an answer's framing, and its length if the framing is LENGTH; raises BadBodyError.

    `head_only` says that the request was a HEAD. An answer without a body (to HEAD, 204, 304) has framing
    NONE and the Content-Length of the omitted body, or -1 without that header (RFC 9110 section 8.6).
    """
    framing, length = _framing(headers, minor=minor)
    if head_only or status < 200 or status in (204, 304):
        return Framing.NONE, length if framing is Framing.LENGTH else -1
    return framing, length


class BodyReader:
    """Extracts one body from pieces of a connection's bytes.

    `payload_bytes` is the size of the payload so far, `done` says that the body is complete, and `rest` has
    the bytes behind it. `length` is the number of bytes if `framing` is LENGTH.
    """

    __slots__ = ("_excess", "_framing", "_left", "_line", "_state", "done", "payload_bytes", "rest")

    def __init__(self, framing: Framing, length: int = 0) -> None:
        self._framing = framing
        self._left = length if framing is Framing.LENGTH else 0
        self._state = _SIZE_LINE
        self._line = bytearray()
        self._excess = 0
        self.payload_bytes = 0
        self.rest = b""
        self.done = framing is Framing.NONE or (framing is Framing.LENGTH and not length)

    def feed(self, data: bytes) -> bytes:
        """Return the payload in the next piece of the connection's bytes; raises BadBodyError."""
        if self.done:
            self.rest += data
            return b""
        if self._framing is Framing.CHUNKED:
            payload = self._chunks(data)
        elif self._framing is Framing.CLOSE:
            payload = data
        else:
            payload = data[: self._left]
            self._left -= len(payload)
            if not self._left:
                self._finish(data[len(payload) :])
        self.payload_bytes += len(payload)
        return payload

    def end(self) -> None:
        """Handle the end of the connection; raises BadBodyError when the body is not complete."""
        if self._framing is Framing.CLOSE:
            self.done = True
        elif not self.done:
            raise BadBodyError("the body ended early")

    def _finish(self, rest: bytes) -> None:
        self.done = True
        self.rest = rest

    def _chunks(self, data: bytes) -> bytes:
        payload: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            if self._state is _DATA:
                piece = data[at : at + self._left]
                payload.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            end = data.find(b"\n", at)
            stop = end + 1 if end >= 0 else len(data)
            self._line += data[at:stop]
            at = stop
            self._check_line()
            if end >= 0:
                line = bytes(self._line[:-2])
                self._line.clear()
                self._parse_line(line)
        if self.done:
            self.rest = data[at:]
        return b"".join(payload)

    def _check_line(self) -> None:
        """Raise BadBodyError for a line that no further bytes can make valid."""
        line = self._line
        if len(line) > _MAX_LINE:
            raise BadBodyError("a line of a chunk does not end")
        if self._state is _DATA_END and not b"\r\n".startswith(line):
            raise BadBodyError("a chunk is longer than its size")
        if line.endswith(b"\n") and not line.endswith(b"\r\n"):
            raise BadBodyError("a line of a chunk ends in LF without CR")
        cr = line.find(b"\r")
        if cr >= 0 and bytes(line[cr:]) not in (b"\r", b"\r\n"):
            raise BadBodyError("a line of a chunk has a CR inside")

    def _parse_line(self, line: bytes) -> None:
        if self._state is _SIZE_LINE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise BadBodyError("a chunk has no proper size")
            self._left = int(match[1], 16)
            self._state = _DATA if self._left else _TRAILERS
            self._spend(len(line) - _EASY_LINE - 2 * self._left)
        elif self._state is _DATA_END:
            self._state = _SIZE_LINE
        elif line:
            if _TRAILER.fullmatch(line) is None:
                raise BadBodyError("a trailer is not NAME: VALUE")
            self._spend(len(line) + 2)
        else:
            self.done = True

    def _spend(self, cost: int) -> None:
        self._excess = max(0, self._excess + cost)
        if self._excess > _MAX_EXCESS:
            raise BadBodyError("chunk extensions and trailers are too long")


class BodyWriter:
    """Frames payload for the next hop. With CLOSE and LENGTH the payload is sent unchanged."""

    __slots__ = ("_chunked",)

    def __init__(self, framing: Framing) -> None:
        self._chunked = framing is Framing.CHUNKED

    def frame(self, payload: bytes, *, last: bool) -> bytes:
        """Return the bytes to send for the next piece of payload, which may be empty."""
        if not self._chunked:
            return payload
        end = b"0\r\n\r\n" if last else b""
        return b"%x\r\n%b\r\n%b" % (len(payload), payload, end) if payload else end


class _State(Enum):
    """The position of a reader within a chunked body."""

    SIZE_LINE = 0
    DATA = 1
    DATA_END = 2
    TRAILERS = 3


_SIZE_LINE, _DATA, _DATA_END, _TRAILERS = _State


def _framing(headers: Headers, *, minor: int) -> tuple[Framing, int]:
    try:
        length = headers.one(b"content-length")
    except BadHeadError as error:
        raise BadBodyError(error.text) from error
    codings = headers.all(b"transfer-encoding")
    if codings:
        if length is not None:
            raise BadBodyError("Content-Length and Transfer-Encoding are both given")
        if minor != 1:
            raise BadBodyError("HTTP/1.0 has no Transfer-Encoding")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadBodyError("Transfer-Encoding must be chunked alone")
        return Framing.CHUNKED, 0
    if length is None:
        return Framing.CLOSE, 0
    if not length.isdigit() or len(length) > _LONGEST_LENGTH:
        raise BadBodyError("Content-Length is no plain number")
    return Framing.LENGTH, int(length)
