"""A strict echo of RFC 6455: it sends every message back, as one frame. Pure.

Rules of headers and payloads are checked as soon as a byte shows the fault: UTF-8 within a frame too.

    OPEN ── a Close, or a broken rule ──▶ OVER: it has sent its last byte, and ignores what comes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from support.conversations.conversation import INVALID_PAYLOAD, PROTOCOL_ERROR
from support.relay.frames import frame

KEY: Final = b"\x13\x57\x9b\xdf"

# Codes that an endpoint may send (RFC 6455 section 7.4; 1012 to 1014 were registered later).
_CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))


class FailedError(Exception):
    """The other end broke a rule; `code` says which kind."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Utf8:
    """Checks UTF-8 byte by byte (RFC 3629 section 4).

    Python's incremental decoder finds a surrogate one byte late.
    """

    def __init__(self) -> None:
        self._left = 0
        self._low, self._high = 0x80, 0xBF

    def feed(self, payload: bytes) -> None:
        """Check further bytes; raises FailedError at the first one that no valid text has there."""
        for byte in payload:
            if self._left:
                if not self._low <= byte <= self._high:
                    raise FailedError(INVALID_PAYLOAD)
                self._left -= 1
                self._low, self._high = 0x80, 0xBF
            elif byte > 0x7F:
                self._begin(byte)

    def end(self) -> None:
        """Check that no sequence is open."""
        if self._left:
            raise FailedError(INVALID_PAYLOAD)

    def _begin(self, byte: int) -> None:
        if not 0xC2 <= byte <= 0xF4:
            raise FailedError(INVALID_PAYLOAD)
        self._left = 1 + (byte >= 0xE0) + (byte >= 0xF0)
        # The second byte excludes forms that are too long, surrogates, and points above U+10FFFF.
        self._low = {0xE0: 0xA0, 0xF0: 0x90}.get(byte, 0x80)
        self._high = {0xED: 0x9F, 0xF4: 0x8F}.get(byte, 0xBF)


@dataclass
class Echo:
    """The state of one connection.

    `masked`: the other end masks its frames (it is the client). `drops`: the echo answers a broken rule by
    the end of its stream, without a Close.
    """

    masked: bool
    drops: bool = False
    over: bool = False
    received: int = 0
    _buffer: bytearray = field(default_factory=bytearray)
    _opcode: int = 0  # of the message that is open; 0 is none
    _message: bytearray = field(default_factory=bytearray)
    _text: Utf8 = field(default_factory=Utf8)
    # the frame whose payload is being read: what is left of it, and how much of it has been read
    _left: int = 0
    _at: int = 0
    _key: bytes = bytes(4)
    _fin: bool = True

    def feed(self, data: bytes) -> bytes:
        """Read bytes; return the answer."""
        self.received += len(data)
        if self.over:
            return b""
        self._buffer += data
        answer = bytearray()
        try:
            while not self.over and self._step(answer):
                pass
        except FailedError as error:
            self.over = True
            if not self.drops:
                answer += self._frame(8, error.code.to_bytes(2, "big"))
        return bytes(answer)

    def _step(self, answer: bytearray) -> bool:
        """Read a part of a message, or a control frame; return whether there was one."""
        if self._left:
            return self._read_payload(answer)
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        first, size, is_masked = buffer[0], buffer[1] & 127, buffer[1] >> 7
        opcode, fin = first & 15, bool(first >> 7)
        if first & 0x70 or bool(is_masked) != self.masked or opcode & 7 > 2:
            raise FailedError(PROTOCOL_ERROR)
        if opcode & 8:
            return self._read_control(answer, opcode, size, fin=fin)
        if bool(self._opcode) != (opcode == 0):
            raise FailedError(PROTOCOL_ERROR)
        more = {126: 2, 127: 8}.get(size, 0)
        head = 2 + more + 4 * self.masked
        if len(buffer) < head:
            return False
        self._key = bytes(buffer[head - 4 : head]) if self.masked else bytes(4)
        self._left = int.from_bytes(buffer[2 : 2 + more], "big") if more else size
        self._at = 0
        self._fin = fin
        self._opcode = self._opcode or opcode
        del buffer[:head]
        if not self._left:
            self._end_frame(answer)
        return True

    def _read_payload(self, answer: bytearray) -> bool:
        part = self._unmasked(bytes(self._buffer[: self._left]))
        del self._buffer[: len(part)]
        self._at += len(part)
        self._left -= len(part)
        if self._opcode == 1:
            self._text.feed(part)
        self._message += part
        if not self._left:
            self._end_frame(answer)
        return bool(part)

    def _end_frame(self, answer: bytearray) -> None:
        if not self._fin:
            return
        self._text.end()
        answer += self._frame(self._opcode, bytes(self._message))
        self._opcode = 0
        self._message.clear()

    def _read_control(self, answer: bytearray, opcode: int, size: int, *, fin: bool) -> bool:
        if size > 125 or not fin:
            raise FailedError(PROTOCOL_ERROR)
        head = 2 + 4 * self.masked
        if len(self._buffer) < head + size:
            return False
        # Between fragments, so no data frame is open: its key is not needed any more.
        self._key = bytes(self._buffer[2:6]) if self.masked else bytes(4)
        self._at = 0
        payload = self._unmasked(bytes(self._buffer[head : head + size]))
        del self._buffer[: head + size]
        if opcode == 9:
            answer += self._frame(10, payload)
        elif opcode == 8:
            if payload:
                _check_close(payload)
            answer += self._frame(8, payload[:2])
            self.over = True
        return True

    def _unmasked(self, part: bytes) -> bytes:
        turn = self._at % 4
        key = self._key[turn:] + self._key[:turn]
        mask = (key * (len(part) // 4 + 1))[: len(part)]
        return (int.from_bytes(part) ^ int.from_bytes(mask)).to_bytes(len(part))

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        return frame(payload, opcode=opcode, key=None if self.masked else KEY)


def _check_close(payload: bytes) -> None:
    """Check a Close with a body (RFC 6455 section 5.5.1)."""
    if len(payload) < 2 or int.from_bytes(payload[:2]) not in _CODES:
        raise FailedError(PROTOCOL_ERROR)
    reason = Utf8()
    reason.feed(payload[2:])
    reason.end()
