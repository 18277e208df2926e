"""What a conversation consists of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from support.relay.frames import frame

NO_CODE: Final = 1005  # a Close without a code (RFC 6455 section 7.1.5)
NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
INVALID_PAYLOAD: Final = 1007

# Any key serves: each byte differs, and none is 0.
KEY: Final = b"\x5a\x01\xfe\x80"


@dataclass(frozen=True)
class Frame:
    """A frame, valid or not.

    `stops`: the sender waits after this many bytes of the payload; it never sends what follows the last stop.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    stops: tuple[int, ...] = ()

    def pieces(self, *, masked: bool) -> list[bytes]:
        """Return the frame's bytes, divided at the stops."""
        wire = frame(
            self.payload, opcode=self.opcode, fin=self.fin, rsv=self.rsv, key=KEY if masked else None
        )
        if not self.stops:
            return [wire]
        head = len(wire) - len(self.payload)
        starts = (-head, *self.stops[:-1])
        return [wire[head + start : head + stop] for start, stop in zip(starts, self.stops, strict=True)]


@dataclass(frozen=True)
class Pause:
    """The sender waits until the echo has read everything, and until its answers have arrived."""


PAUSE: Final = Pause()
Step = Frame | Pause


def text(payload: bytes = b"", *, fin: bool = True, rsv: int = 0, stops: tuple[int, ...] = ()) -> Frame:
    """Return a text frame."""
    return Frame(1, payload, fin, rsv, stops)


def binary(payload: bytes = b"", *, rsv: int = 0) -> Frame:
    """Return a binary frame."""
    return Frame(2, payload, rsv=rsv)


def more(payload: bytes = b"", *, fin: bool = True) -> Frame:
    """Return a continuation frame."""
    return Frame(0, payload, fin)


def ping(payload: bytes = b"", *, fin: bool = True) -> Frame:
    """Return a ping."""
    return Frame(9, payload, fin)


def pong(payload: bytes = b"", *, fin: bool = True) -> Frame:
    """Return a pong."""
    return Frame(10, payload, fin)


def close(code: int = NO_CODE, reason: bytes = b"", *, rsv: int = 0) -> Frame:
    """Return a Close."""
    return Frame(8, b"" if code == NO_CODE else code.to_bytes(2, "big") + reason, rsv=rsv)


def message(payload: bytes, *, size: int) -> tuple[Frame, ...]:
    """Return a text message in fragments of `size` bytes, and a last one of fewer bytes or none."""
    parts = [payload[at : at + size] for at in range(0, len(payload) + 1, size)]
    last = len(parts) - 1
    return tuple(Frame(0 if at else 1, part, at == last) for at, part in enumerate(parts))


@dataclass(frozen=True)
class Conversation:
    """What the sender sends, and what it must get.

    `wants`: the frames from the echo before its Close. `closes`: the code with which the sender closes when
    it has them; None if one of `sends` is a Close already, or if the echo closes. `code`: the code of the
    echo's Close. `chop`: the most bytes of one write; 0: a write for each frame; None: one write for all.
    `wrong_payload`: the echo finds the fault in a payload, which a relay does not read.
    """

    sends: tuple[Step, ...]
    wants: tuple[Frame, ...] = ()
    closes: int | None = NORMAL
    code: int = NORMAL
    chop: int | None = None
    wrong_payload: bool = False


def echoed(*sends: Step, wants: tuple[Frame, ...], chop: int | None = None) -> Conversation:
    """Return a valid conversation, which the sender closes."""
    return Conversation(sends, wants, chop=chop)


def failed(*sends: Step, wants: tuple[Frame, ...] = (), chop: int | None = None) -> Conversation:
    """Return a conversation with a wrong head of a frame."""
    return Conversation(sends, wants, None, PROTOCOL_ERROR, chop)


def misspelt(*sends: Step) -> Conversation:
    """Return a conversation with a text that is not UTF-8."""
    return Conversation(sends, closes=None, code=INVALID_PAYLOAD, wrong_payload=True)
