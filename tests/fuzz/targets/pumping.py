"""The pump over socket pairs, driven by a fuzzer's bytes, in every form at once, against the model."""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from fuzz.targets.model import CLOSED, RENEWED, VIOLATION, Allowance, Rates, Reading, read
from support.relay.frames import frame, parse
from support.relay.virtual import SIDES, TAG
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.pace import FrameRates
from wsedge_relay.pump.pump import Pump

KEY = b"\x01\x02\x03\x04"
LIMITS = (0, 0, 0, 1, 125, 126, 300, 66000)
# Of each side: frames and messages per second.
RATES: tuple[Rates | None, ...] = (None, (4, None), (None, 2), (20, 5))
SIZES = (0, 1, 8, 125, 126, 127, 1000, 65535, 65536, 70000)
FIRSTS = (0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0xC1, 0x41, 0x88, 0x82)
_OF_RATES = (frames.TOO_MANY_FRAMES, frames.TOO_MANY_CONTROLS, frames.TOO_MANY_MESSAGES)
_MOST_STEPS = 64
_MOST_BYTES = 400_000

# The forms of a run. The plain one is always present; a caller adds a compiled one.
FORMS: dict[str, type[Pump]] = {"plain": pump.Pump}


@dataclass(frozen=True)
class Step:
    """One event: its kind, its side, and its bytes or number."""

    what: str
    side: str
    data: bytes = b""
    number: int = 0


@dataclass
class Script:
    """The meaning of a fuzzer's bytes."""

    deflate: bool
    limit: int
    small_buffers: bool
    rests: tuple[bytes, bytes]
    rates: Rates | None = None
    steps: list[Step] = field(default_factory=list)


@dataclass
class Outcome:
    """One form's result of a script, by side: the bytes at the far end, and the counts."""

    sent: dict[str, bytearray] = field(default_factory=lambda: {side: bytearray() for side in SIDES})
    got: dict[str, bytearray] = field(default_factory=lambda: {side: bytearray() for side in SIDES})
    injected: dict[str, list[bytes]] = field(default_factory=lambda: {side: [] for side in SIDES})
    parted: dict[str, bytes] = field(default_factory=dict)
    disturbed: set[str] = field(default_factory=set)
    shut: set[str] = field(default_factory=set)
    spent: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: {side: [] for side in SIDES})
    events: list[tuple[int, str, int]] = field(default_factory=list)
    counts: dict[str, tuple[Any, ...]] = field(default_factory=dict)


def stream(data: bytes) -> None:
    """Run the script in `data` in every form; compare each with the model, and with each other."""
    script = script_of(data)
    outcomes = {}
    for name, form in FORMS.items():
        with ExitStack() as stack:
            outcomes[name] = _Run(form, script, stack).play()
        _check(script, outcomes[name])
    first, *others = outcomes.values()
    for other in others:
        assert other == first, "the forms differ"


def script_of(data: bytes) -> Script:
    """Parse a script: flags, then steps of one byte, some followed by a size and bytes."""
    source = Source(data)
    flags = source.byte()
    rests = (b"", b"")
    if flags & 0x20:
        rests = (source.bytes(source.byte()), source.bytes(source.byte()))
    script = Script(bool(flags & 1), LIMITS[flags >> 1 & 7], bool(flags & 0x10), rests, RATES[flags >> 6])
    budget = _MOST_BYTES
    while source.left and len(script.steps) < _MOST_STEPS:
        step = _step(source, number=len(script.steps))
        budget -= len(step.data)
        if budget < 0:
            break
        script.steps.append(step)
    return script


def _step(source: Source, *, number: int) -> Step:
    first = source.byte()
    side, what, low = SIDES[first >> 7], first >> 4 & 7, first & 15
    if what == 0:
        return Step("send", side, source.bytes(low + 1))
    if what == 1:
        return Step("send", side, source.bytes(source.byte()))
    if what == 2:
        return Step("send", side, made_frame(side, source.byte(), low))
    if what == 3 and low > 11:
        return Step("renew", side) if low == 15 else Step("wait", side, number=low - 11)
    if what == 3:
        return Step("turn", side, number=low % 4 + 1)
    if what == 4:
        return Step("read", side, number=1 << low)
    if what == 5:
        payload = b"own%05d" % number
        return Step("part" if low == 15 else "inject", side, payload)
    if what == 6:
        masked = (side == "client") is not (low == 15)  # 15: the mask of the other side
        pong = frame(TAG + number.to_bytes(4, "big"), opcode=10, key=KEY if masked else None)
        return Step("send", side, pong)
    return Step(("end", "end", "finish", "abandon", "break")[low % 5], side)


def made_frame(side: str, choice: int, low: int) -> bytes:
    """Return a frame with a valid mask and length; its first byte may be invalid."""
    first = FIRSTS[choice % len(FIRSTS)]
    size = SIZES[low % len(SIZES)]
    if first & 8:
        size = min(size, 125)
    payload = b"\x03\xe8" + b"x" * (size - 2) if size > 1 else b"x" * size
    return frame(payload, opcode=first & 15, fin=bool(first & 0x80), rsv=first >> 4 & 7, key=_key(side))


def _key(side: str) -> bytes | None:
    return KEY if side == "client" else None


class Source:
    """Reads a fuzzer's bytes; zeros follow their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        """Return whether bytes are left."""
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def bytes(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        self._at += size
        return self._data[self._at - size : self._at]


class _Rates(FrameRates):
    """Buckets by the script's clock, `seconds[0]`; they record each counted frame and its time."""

    def __init__(self, rates: Rates, seconds: list[float], spent: list[tuple[float, int]]) -> None:
        super().__init__(*rates)
        self._seconds = seconds
        self._spent = spent

    def refill(self, now: float) -> None:
        """Refill by the script's clock."""
        super().refill(self._seconds[0])

    def spend(self, first: int) -> int:
        """Count a frame."""
        self._spent.append((self._seconds[0], first))
        return super().spend(first)


class _Run:
    """One pump with one tunnel, and its events."""

    def __init__(self, form: type[Pump], script: Script, stack: ExitStack) -> None:
        self._script = script
        self._epoll = stack.enter_context(select.epoll())
        self._pump = form(self._epoll, TAG)
        self._far: dict[str, socket.socket] = {}
        self._legs = {}
        self._outcome = Outcome()
        self._seconds = [0.0]
        for side in SIDES:
            far, near = socket.socketpair()
            for sock in (far, near):
                stack.enter_context(sock)
                sock.setblocking(False)
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_SNDBUF, 4096 if script.small_buffers else 1 << 20
                )
            self._far[side] = far
            self._legs[side] = self._pump.leg(
                near,
                masked=side == "client",
                deflate=script.deflate,
                tunnel=None,
                limit=script.limit,
                rates=self._rates(side),
            )
            self._legs[side].opcodes = [0] * 16

    def play(self) -> Outcome:
        """Run the script to its end, deliver all pending bytes, and remove the tunnel."""
        client, origin = (self._legs[side] for side in SIDES)
        for side, rest in zip(SIDES, self._script.rests, strict=True):
            self._outcome.sent[side] += rest
        self._pump.add(client, origin, client_rest=self._script.rests[0], origin_rest=self._script.rests[1])
        self._turn(0)
        for step in self._script.steps:
            getattr(self, f"_{step.what}")(step)
        self._settle()
        for side, leg in self._legs.items():
            self._outcome.counts[side] = (
                leg.received, leg.passed, leg.messages, leg.texts, tuple(leg.opcodes), leg.need,
                leg.at_boundary, leg.out
            )  # fmt: skip
            assert leg.frames >= leg.partial >= 0
            assert not leg.out or leg.peer.stopped
        assert {leg for leg in self._legs.values() if leg.out} == self._pump.backed
        self._pump.remove(client)
        assert not any(self._pump.legs)
        assert (self._pump.backed, self._epoll.poll(0)) == (set(), [])
        return self._outcome

    def _send(self, step: Step) -> None:
        data = step.data
        if step.side in self._outcome.shut:
            return
        for _ in range(1000):
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                taken = self._far[step.side].send(data)
                self._outcome.sent[step.side] += data[:taken]
                data = data[taken:]
            if not data:
                return
            self._turn(1)
            self._read(Step("read", _other(step.side), number=1 << 15))

    def _turn(self, step: Step | int) -> None:
        for _ in range(step if isinstance(step, int) else step.number):
            assert self._pump.run(0) == []
            self._events()

    def _wait(self, step: Step) -> None:
        self._seconds[0] += step.number / 4

    def _renew(self, step: Step) -> None:
        """Limit the side anew, as a change of the configuration does."""
        if self._script.rates is not None:
            self._outcome.spent[step.side].append(RENEWED)
            self._pump.limit(self._legs[step.side], self._rates(step.side))

    def _rates(self, side: str) -> _Rates | None:
        if self._script.rates is None:
            return None
        return _Rates(self._script.rates, self._seconds, self._outcome.spent[side])

    def _read(self, step: Step) -> None:
        with suppress(OSError):
            self._outcome.got[step.side] += self._far[step.side].recv(step.number)

    def _inject(self, step: Step) -> None:
        ping = frames.control(frames.PING, step.data, None if step.side == "client" else KEY)
        if self._pump.inject(self._legs[step.side], ping):
            self._outcome.injected[step.side].append(ping)

    def _part(self, step: Step) -> None:
        close = frames.close(1001, step.data.decode(), None if step.side == "client" else KEY)
        if self._pump.inject(self._legs[step.side], close, last=True):
            self._outcome.parted[step.side] = close

    def _end(self, step: Step) -> None:
        self._outcome.shut.add(step.side)
        with suppress(OSError):
            self._far[step.side].shutdown(socket.SHUT_WR)

    def _finish(self, step: Step) -> None:
        self._outcome.disturbed.add(step.side)
        self._pump.finish(self._legs[step.side])

    def _abandon(self, step: Step) -> None:
        self._outcome.disturbed |= set(SIDES)
        if not self._legs[step.side].dead:
            self._pump.abandon(self._legs[step.side])

    def _break(self, step: Step) -> None:
        self._outcome.disturbed |= set(SIDES)
        self._outcome.shut.add(step.side)
        self._far[step.side].close()
        self._far[step.side] = socket.socket()
        self._far[step.side].setblocking(False)

    def _events(self) -> None:
        for kind, leg, argument in self._pump.take_events():
            self._outcome.events.append(
                (kind, "client" if leg is self._legs["client"] else "origin", argument)
            )

    def _settle(self) -> None:
        """Turn and read until no bytes arrive."""
        idle = 0
        while idle < 3:
            before = self._moved()
            self._turn(1)
            for side in SIDES:
                self._read(Step("read", side, number=1 << 20))
            idle = idle + 1 if before == self._moved() else 0
        for far in self._far.values():
            far.close()

    def _moved(self) -> int:
        read = sum(leg.received for leg in self._legs.values())
        return read + sum(len(got) for got in self._outcome.got.values())


def _other(side: str) -> str:
    return SIDES[side == "client"]


def _check(script: Script, outcome: Outcome) -> None:
    for side in SIDES:
        allowance = Allowance(script.rates, outcome.spent[side])
        reading = read(
            bytes(outcome.sent[side]),
            masked=side == "client",
            deflate=script.deflate,
            limit=script.limit,
            tag=TAG,
            allowance=allowance,
        )
        assert outcome.disturbed or not allowance.left, "a frame is counted that is none"
        _check_passed(script, outcome, side, reading)
        _check_events(outcome, side, reading)


def _check_passed(script: Script, outcome: Outcome, side: str, reading: Reading) -> None:
    """Assert that the bytes from `side` arrived at the other, with the relay's frames at frame boundaries."""
    other = _other(side)
    got = bytes(outcome.got[other])
    put = _without(got, outcome, side, deflate=script.deflate)
    assert put.places <= reading.boundaries(), "put into a frame"
    if outcome.disturbed or other in outcome.parted:
        # The far end may have closed in the middle of an inserted frame.
        cut = any(frame.startswith(put.rest) for frame in put.waiting)
        assert reading.passed.startswith(put.plain + put.rest) or (
            cut and reading.passed.startswith(put.plain)
        )
        assert not put.parted or (len(put.plain) in reading.boundaries() and not put.rest)
        return
    assert put.plain + put.rest == reading.passed
    received, passed, messages, texts, opcodes, need, _, out = outcome.counts[side]
    assert (received, passed, out) == (len(outcome.sent[side]), len(got), b"")
    assert (messages, texts, opcodes) == (reading.messages, reading.texts, reading.opcodes)
    if reading.end is None and not reading.part:
        assert need == 0


@dataclass
class Put:
    """The bytes at a far end, separated: those of the other peer, and the positions of the relay's frames.

    `rest` is the beginning of a frame of either kind; `waiting` are inserted frames that have not arrived
    whole.
    """

    waiting: list[bytes]
    plain: bytes = b""
    rest: bytes = b""
    places: set[int] = field(default_factory=set)
    parted: bool = False


def _without(got: bytes, outcome: Outcome, side: str, *, deflate: bool) -> Put:
    other = _other(side)
    close = outcome.parted.get(other)
    put = Put([*outcome.injected[other], *([close] if close is not None else [])])
    at = 0
    for seen in parse(got, masked=side == "client", deflate=deflate):
        assert not put.parted, "something follows a Close"
        at += len(seen.raw)
        if seen.raw in put.waiting:
            assert seen.raw in (put.waiting[0], close), "frames put in are out of order"
            put.waiting.remove(seen.raw)
            put.places.add(len(put.plain))
            put.parted = seen.raw == close
        else:
            put.plain += seen.raw
    put.rest = got[at:]
    return put


def _check_events(outcome: Outcome, side: str, reading: Reading) -> None:
    kinds = [kind for kind, name, _ in outcome.events if name == side]
    broken = [rule for kind, name, rule in outcome.events if name == side and kind == pump.VIOLATION]
    if broken and (reading.exceeded or broken[0] in _OF_RATES):
        assert frames.VIOLATIONS[broken[0]] == reading.exceeded
    for once in (pump.CLOSED, pump.VIOLATION, pump.ERROR, pump.SHUT, pump.END):
        assert kinds.count(once) <= 1
    ends = kinds.count(pump.CLOSED), kinds.count(pump.VIOLATION)
    wanted = (int(reading.end == CLOSED), int(reading.end == VIOLATION))
    if outcome.disturbed:
        assert ends <= wanted or ends == (0, 0)
        assert kinds.count(pump.PONGED) <= reading.own
        return
    assert ends == wanted
    assert kinds.count(pump.PONGED) == reading.own
    assert (pump.END in kinds) == (side in outcome.shut), (kinds, outcome.shut)
