"""The bytes that a direction of a tunnel must pass: the frame rules as a slow, obvious model."""

from __future__ import annotations

from dataclasses import dataclass

from support.relay.frames import BrokenRuleError, Seen, parse

CLOSED = "closed"
VIOLATION = "violation"


@dataclass(frozen=True)
class Reading:
    """A stream as the relay must read it.

    `frames` pass, `part` is the beginning of a data frame that passes too, `own` is the number of pongs to
    the relay's own pings, `end` is CLOSED, VIOLATION or None. `messages` counts complete messages, `texts`
    those of text, `opcodes` the frames in the metrics by opcode.
    """

    frames: tuple[Seen, ...]
    part: bytes
    own: int
    end: str | None
    messages: int
    texts: int
    opcodes: tuple[int, ...]

    @property
    def passed(self) -> bytes:
        """Return all bytes that pass."""
        return b"".join(seen.raw for seen in self.frames) + self.part

    def boundaries(self) -> set[int]:
        """Return the positions within `passed` at which a frame may be inserted."""
        places, at = {0}, 0
        for seen in self.frames:
            at += len(seen.raw)
            places.add(at)
        return places


def read(stream: bytes, *, masked: bool, deflate: bool, limit: int, tag: bytes) -> Reading:
    """Read one side's bytes."""
    frames: list[Seen] = []
    end: str | None = None
    own = taken = message = messages = 0
    texts = kind = 0
    opcodes = [0] * 16
    whole = parse(stream, masked=masked, deflate=deflate, tag=tag)
    try:
        for seen in whole:
            if seen.opcode < 8:
                message += len(seen.payload)
                if limit and message > limit:
                    raise BrokenRuleError("message length")
                kind = seen.opcode or kind
                if seen.fin:
                    message = 0
                    messages += 1
                    texts += kind == 1
            elif seen.opcode == 10 and len(seen.payload) == 8 and seen.payload.startswith(tag):
                own += 1
                taken += len(seen.raw)
                continue
            frames.append(seen)
            taken += len(seen.raw)
            if seen.opcode == 8:
                end = CLOSED
                break
            if seen.opcode > 8:
                opcodes[seen.opcode] += 1
    except BrokenRuleError:
        end = VIOLATION
    part = stream[taken:]
    size = _announced(part) if end is None else None
    if size is None:
        part = b""
    elif limit and message + size > limit:
        end, part = VIOLATION, b""
    else:
        kind = part[0] & 15 or kind
        messages += part[0] >> 7
        texts += part[0] >> 7 and kind == 1
    return Reading(tuple(frames), part, own, end, messages, texts, tuple(opcodes))


def _announced(part: bytes) -> int | None:
    """Return the payload size of the data frame that begins with `part`, or None while it is unknown."""
    if len(part) < 2 or part[0] & 8:
        return None
    short = part[1] & 127
    extra = {126: 2, 127: 8}.get(short, 0)
    if len(part) < 2 + extra:
        return None
    return int.from_bytes(part[2 : 2 + extra], "big") if extra else short
