"""WebSocket frames: headers parsed in place, payloads never touched. Pure.

`Walk` has the state of one direction between two reads. It enforces the rules of RFC 6455 section 5 and RFC
7692 section 6 that a header alone can break. Payloads (UTF-8, compression) are left to the endpoints.
"""

from __future__ import annotations

from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
MASKED: Final = 0x80

# The longest control frame: two bytes, a mask, 125 bytes of payload (RFC 6455 section 5.5).
LONGEST_CONTROL: Final = 131

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

# Whether a frame with this first byte is a whole message of a type: the pump's fast path forwards those. A
# tuple of 256 flags, because an index costs less than a search in two bytes (docs/benchmarks.md). One table
# per type, so that messages are counted by type only at a change of type, outside of the fast path.
_WHOLE: Final = {
    (kind, deflate): tuple([first & (0xFF ^ RSV1 * deflate) == FIN | kind for first in range(256)])
    for kind in (TEXT, BINARY)
    for deflate in (False, True)
}
_NONE: Final = (False,) * 256

# Lengths of whole frames by their second byte (see Walk.steps).
_SHORT: Final = tuple(range(126))
_STEPS: Final = (*(2 + size for size in _SHORT), -4, 0, *[0] * 128)
_STEPS_MASKED: Final = (*[0] * 128, *(6 + size for size in _SHORT), -8, 0)

# The longest message that the fast path forwards: 16 bits of length.
_LONGEST_STEP: Final = 65535
_LIMITED: Final[dict[tuple[int, int], tuple[int, ...]]] = {}

# Violations: negative numbers, so that `Walk.header` can return them instead of a length.
WRONG_MASKING: Final = -1
BAD_CONTROL: Final = -2
BAD_OPCODE: Final = -3
BAD_RSV: Final = -4
BAD_SEQUENCE: Final = -5
BAD_LENGTH: Final = -6
TOO_LONG: Final = -7
# Of limits, which a peer exceeds by frames that are valid (see pace.FrameRates).
TOO_MANY_FRAMES: Final = -8
TOO_MANY_CONTROLS: Final = -9
TOO_MANY_MESSAGES: Final = -10

VIOLATIONS: Final = {
    WRONG_MASKING: "masking",
    BAD_CONTROL: "control frame",
    BAD_OPCODE: "opcode",
    BAD_RSV: "reserved bits",
    BAD_SEQUENCE: "continuation",
    BAD_LENGTH: "length",
    TOO_LONG: "message length",
    TOO_MANY_FRAMES: "frames per second",
    TOO_MANY_CONTROLS: "control frames per second",
    TOO_MANY_MESSAGES: "messages per second",
}

# The codes of the Close that answers a violation; of the others it is PROTOCOL_ERROR.
CLOSE_CODES: Final = {
    TOO_LONG: MESSAGE_TOO_BIG,
    TOO_MANY_FRAMES: POLICY_VIOLATION,
    TOO_MANY_CONTROLS: POLICY_VIOLATION,
    TOO_MANY_MESSAGES: POLICY_VIOLATION,
}


class Walk:
    """The state of the walk over one direction's frames.

    `need` is the number of bytes of the present frame that have not been read; 0 at a frame boundary. `kind`
    is the opcode of the last message, TEXT before the first. `whole` has, by a frame's first byte, whether
    the frame is a whole message of that kind (never while a fragmented message is open). `steps` has, by a
    frame's second byte, the frame's length; the negative length of its head when 16 bits of size follow; or 0
    when `header` must parse the frame. `frames` counts all frames (the pump adds control frames), `partial`
    those that do not end a message, `other` the messages that are not of `kind`.

    `limit` is the most payload bytes of a message, over all its frames as they are on the wire; 0 is no
    limit. `steps` is 0 for every frame that could exceed it, so that shorter messages stay on the fast path.
    `message` is the number of payload bytes so far of a fragmented message.
    """

    __slots__ = (
        "deflate",
        "frames",
        "head",
        "kind",
        "limit",
        "mask",
        "message",
        "need",
        "other",
        "partial",
        "steps",
        "whole",
    )

    def __init__(self, *, masked: bool, deflate: bool, limit: int = 0) -> None:
        self.mask = MASKED if masked else 0
        self.head = 6 if masked else 2
        self.limit = limit
        self.message = 0
        self.steps = _steps(_STEPS_MASKED if masked else _STEPS, limit)
        self.deflate = deflate
        self.kind = TEXT
        self.whole = _WHOLE[TEXT, deflate]
        self.need = 0
        self.frames = 0
        self.partial = 0
        self.other = 0

    @property
    def messages(self) -> int:
        """The number of complete messages."""
        return self.frames - self.partial

    @property
    def texts(self) -> int:
        """The number of complete text messages; the others are binary."""
        return self.frames - self.partial - self.other if self.kind == TEXT else self.other

    def payload_of(self, size: int) -> int:
        """Return the payload bytes of a frame with `size` bytes, its head included."""
        payload = size - self.head
        if payload > 125:
            payload -= 2
        return payload - 6 if payload > 65535 else payload

    def header(self, buf: bytes | bytearray, at: int, left: int) -> int:
        """Parse the header at `at`, where `left` bytes are present; return the frame's whole length.

        The length may exceed `left`. 0: the header is incomplete. A negative number is a violation
        (VIOLATIONS names it). The header of a data frame changes the state, so it must be parsed once only.
        """
        if left < 2:
            return 0
        first = buf[at]
        size = buf[at + 1] ^ self.mask
        if size > 127:
            return WRONG_MASKING
        if first & 8:
            return self._control(first, size)
        if first & 7 > 2:
            return BAD_OPCODE
        broken = self._sequence(first)
        if broken:
            return broken
        head = self.head
        if size == 126:
            if left < 4:
                return 0
            size = buf[at + 2] << 8 | buf[at + 3]
            head += 2
            if size < 126:  # RFC 6455 section 5.2: the minimal number of bytes MUST be used
                return BAD_LENGTH
        elif size == 127:
            if left < 10:
                return 0
            size = int.from_bytes(buf[at + 2 : at + 10], "big")
            head += 8
            if size < 65536 or size >> 62:  # half of the RFC's 2**63, so that sums stay in 64 bits
                return BAD_LENGTH
        if self.limit:
            self.message += size
            if self.message > self.limit:
                return TOO_LONG
            if first & FIN:
                self.message = 0
        kind = first & 15
        if kind and kind != self.kind:
            self.kind = kind
            self.other = self.frames - self.partial - self.other
        self.frames += 1
        if first & FIN:
            self.whole = _WHOLE[self.kind, bool(self.deflate)]
        else:
            self.partial += 1
            self.whole = _NONE
        return head + size

    def _control(self, first: int, size: int) -> int:
        """Check a control frame (RFC 6455 section 5.5); a Close body is empty or begins with a code."""
        if not first & FIN or size > 125 or (first & 15 == CLOSE and size == 1):
            return BAD_CONTROL
        if first & 15 > PONG:
            return BAD_OPCODE
        if first & 0x70:
            return BAD_RSV
        return self.head + size

    def _sequence(self, first: int) -> int:
        """Check a data frame's place in its message, and RSV1 (RFC 7692: only on a message's first frame)."""
        continues = not first & 7
        if continues is not (self.whole is _NONE):
            return BAD_SEQUENCE
        if first & 0x70 and (first & 0x30 or continues or not self.deflate):
            return BAD_RSV
        return 0


def _steps(steps: tuple[int, ...], limit: int) -> tuple[int, ...]:
    """Return `steps` with 0 for frames that could exceed `limit`; the same tuple if none can."""
    if not limit or limit >= _LONGEST_STEP:
        return steps
    longest = min(limit, 125)
    table = (steps[0], longest)  # the first entry differs between masked and unmasked
    limited = _LIMITED.get(table)
    if limited is None:  # shared: 100,000 legs need at most 126 tables of each kind
        limited = tuple([step if at & 127 <= longest else 0 for at, step in enumerate(steps)])
        _LIMITED[table] = limited
    return limited


def unmask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask `data` with a key of four bytes (RFC 6455 section 5.3)."""
    size = len(data)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def payload_of(frame: bytes) -> bytes:
    """Return the unmasked payload of one whole control frame."""
    if frame[1] & MASKED:
        return unmask(frame[6:], frame[2:6])
    return frame[2:]


def control(opcode: int, payload: bytes, mask: bytes | None) -> bytes:
    """Build a control frame; `mask` is four random bytes towards an origin, None towards a client."""
    if len(payload) > 125:
        raise ValueError("the payload of a control frame has at most 125 bytes")
    if mask is None:
        return bytes((FIN | opcode, len(payload))) + payload
    return bytes((FIN | opcode, MASKED | len(payload))) + mask + unmask(payload, mask)


def close(code: int, reason: str, mask: bytes | None) -> bytes:
    """Build a Close frame with a code and a short reason (RFC 6455 section 5.5.1)."""
    return control(CLOSE, code.to_bytes(2, "big") + reason.encode(), mask)


def close_code(frame: bytes) -> int:
    """Return the code of a whole Close frame; 1005 when it has none (RFC 6455 section 7.1.5)."""
    payload = payload_of(frame)
    return int.from_bytes(payload[:2], "big") if payload else 1005
