"""The bytes that a direction of a tunnel must pass: the frame rules as a slow, obvious model."""

from __future__ import annotations

from dataclasses import dataclass, field

from support.relay.frames import BrokenRuleError, Seen, parse

CLOSED = "closed"
VIOLATION = "violation"
# The most frames and messages in a second; None: no limit.
Rates = tuple[int | None, int | None]
# Stands in a record of counted frames for a new limit, under which all may be sent at once again.
RENEWED = (-1.0, -1)


@dataclass
class Allowance:
    """Which frames the rates allow, by the record of the frames that the relay counted: seconds, first byte.

    A frame exceeds a rate if there is a time since which the frames are more than those of one second and of
    the time that has passed.
    """

    rates: Rates | None
    record: list[tuple[float, int]]
    _asked: int = 0
    _times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Return how many counted frames were not asked for yet."""
        return sum(each != RENEWED for each in self.record[self._asked :])

    def exceeded(self, first: int) -> str:
        """Return the name of the rate that a frame with this first byte exceeds, or nothing."""
        if not self.left:
            return ""  # no rate, or the relay has not parsed the frame
        while self.record[self._asked] == RENEWED:
            self._asked += 1
            self._times.clear()
        seconds, counted = self.record[self._asked]
        self._asked += 1
        assert counted == first, "another frame is counted"
        assert self.rates is not None
        frames, messages = self.rates
        if first & 8:
            return self._over("control frames per second", frames, seconds)
        if name := self._over("frames per second", frames, seconds):
            return name
        return self._over("messages per second", messages, seconds) if first & 0x80 else ""

    def _over(self, name: str, rate: int | None, now: float) -> str:
        times = self._times.setdefault(name, [])
        times.append(now)
        if rate is None:
            return ""
        return (
            name if any(len(times) - at > rate * (1 + now - since) for at, since in enumerate(times)) else ""
        )


@dataclass(frozen=True)
class Reading:
    """A stream as the relay must read it.

    `frames` pass, `part` is the beginning of a data frame that passes too, `own` is the number of pongs to
    the relay's own pings, `end` is CLOSED, VIOLATION or None; `exceeded` names the rate that a VIOLATION is
    of, if any. `messages` counts complete messages, `texts`
    those of text, `opcodes` the frames in the metrics by opcode.
    """

    frames: tuple[Seen, ...]
    part: bytes
    own: int
    end: str | None
    exceeded: str
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


def read(
    stream: bytes, *, masked: bool, deflate: bool, limit: int, tag: bytes, allowance: Allowance
) -> Reading:
    """Read one side's bytes."""
    frames: list[Seen] = []
    end: str | None = None
    exceeded = ""
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
                if exceeded := allowance.exceeded(seen.raw[0]):
                    raise BrokenRuleError(exceeded)
                kind = seen.opcode or kind
                if seen.fin:
                    message = 0
                    messages += 1
                    texts += kind == 1
            elif seen.opcode == 10 and len(seen.payload) == 8 and seen.payload.startswith(tag):
                own += 1
                taken += len(seen.raw)
                continue
            elif seen.opcode > 8 and (exceeded := allowance.exceeded(seen.raw[0])):
                raise BrokenRuleError(exceeded)
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
    elif (limit and message + size > limit) or (exceeded := allowance.exceeded(part[0])):
        end, part = VIOLATION, b""
    else:
        kind = part[0] & 15 or kind
        messages += part[0] >> 7
        texts += part[0] >> 7 and kind == 1
    return Reading(tuple(frames), part, own, end, exceeded, messages, texts, tuple(opcodes))


def _announced(part: bytes) -> int | None:
    """Return the payload size of the data frame that begins with `part`, or None while it is unknown."""
    if len(part) < 2 or part[0] & 8:
        return None
    short = part[1] & 127
    extra = {126: 2, 127: 8}.get(short, 0)
    if len(part) < 2 + extra:
        return None
    return int.from_bytes(part[2 : 2 + extra], "big") if extra else short
