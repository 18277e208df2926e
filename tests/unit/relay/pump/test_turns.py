"""The work of one turn is bounded by frames as well as by bytes, and no byte is lost by it."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from support.relay.forms import FORMS, form_of
from support.relay.frames import frame
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.pace import FrameRates
from wsedge_relay.pump.selector import Form

KEY = b"\xaa\xbb\xcc\xdd"
TAG = b"test"
# The most whole messages, and the most other frames, that one turn serves of a leg.
MESSAGES, FRAMES = 2048, 256
AREA = 1 << 16


class Pair:
    """A tunnel between pairs of sockets; `client` and `origin` are the far ends."""

    def __init__(
        self, bench: Bench, *, send_buffer: int = 0, rest: bytes = b"", rates: FrameRates | None = None
    ) -> None:
        self.client, near_client = socket.socketpair()
        self.origin, near_origin = socket.socketpair()
        for sock in (self.client, near_client, self.origin, near_origin):
            bench.stack.enter_context(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer or 1 << 20)
        self.client_leg = bench.pump.leg(near_client, masked=True, deflate=False, tunnel=None, rates=rates)
        self.origin_leg = bench.pump.leg(near_origin, masked=False, deflate=False, tunnel=None)
        bench.pump.add(self.client_leg, self.origin_leg, client_rest=rest)


class Bench:
    """One pump and its tunnels."""

    def __init__(self, form: Form) -> None:
        self.stack = ExitStack()
        self.epoll = self.stack.enter_context(select.epoll())
        self.pump = form.pump(self.epoll, TAG)
        self.events: list[pump.Event] = []

    def turn(self) -> None:
        """Serve each leg once."""
        assert self.pump.run(0) == []
        self.events += self.pump.take_events()

    def carry(self, pair: Pair, data: bytes = b"") -> bytes:
        """Send `data` from the client; return what arrives at the origin in all turns that it needs."""
        at, got = 0, bytearray()
        while True:
            if at < len(data):
                with suppress(BlockingIOError):
                    at += pair.client.send(data[at : at + 100_000])
            self.turn()
            try:
                got += pair.origin.recv(1 << 20)
            except BlockingIOError:
                if at == len(data) and not pair.client_leg.rest and not self.epoll.poll(0):
                    return bytes(got)


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


@pytest.fixture
def bench(form: Form) -> Iterator[Bench]:
    """Return a pump without tunnels."""
    one = Bench(form)
    with one.stack:
        yield one


# Frames of one side that are sent without end, what comes before them, and the most in one turn.
FLOODS = {
    "empty continuations": (frame(opcode=0, fin=False, key=KEY), frame(fin=False, key=KEY), FRAMES),
    "empty pings": (frame(opcode=9, key=KEY), b"", FRAMES),
    "empty pongs": (frame(opcode=10, key=KEY), b"", FRAMES),
    "pongs that answer the relay's own pings": (frame(TAG + bytes(4), opcode=10, key=KEY), b"", FRAMES),
    "empty texts": (frame(key=KEY), b"", MESSAGES),
    "empty binary messages": (frame(opcode=2, key=KEY), b"", MESSAGES),
    "texts of one byte": (frame(b"x", key=KEY), b"", MESSAGES),
    "empty texts behind pings": (frame(opcode=9, key=KEY) + frame(key=KEY), b"", FRAMES),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_turn_serves_a_bounded_number_of_frames(bench: Bench, case: str) -> None:
    """A flood gets its share of each turn, and another tunnel's message passes in one turn."""
    tiny, first, most = FLOODS[case]
    one, other = Pair(bench), Pair(bench)
    flood = first + tiny * (AREA // len(tiny))
    one.client.send(flood)
    served = 0
    for turn in range(2):
        other.client.send(frame(b"hello", key=KEY))
        bench.turn()
        assert other.origin.recv(1000) == frame(b"hello", key=KEY), f"turn {turn}"
        assert one.client_leg.frames - served <= most, f"turn {turn}"
        assert one.client_leg.frames > served, f"turn {turn}"
        served = one.client_leg.frames
    assert one.client_leg.rest
    assert bench.pump.run(-1) == []  # a rest needs no event of epoll, so `run` does not wait for one


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_arrives_whole(bench: Bench, case: str) -> None:
    """All frames of a flood are forwarded and counted, in their order."""
    tiny, first, _ = FLOODS[case]
    one = Pair(bench)
    flood = first + tiny * (3 * AREA // len(tiny))
    swallowed = case.startswith("pongs that answer")
    got = bench.carry(one, flood)
    assert got == (b"" if swallowed else flood)
    assert one.client_leg.received == len(flood)
    assert one.client_leg.passed == len(got)


@pytest.mark.parametrize("seed", range(8))
def test_mixed_tiny_frames_arrive_whole(form: Form, seed: int) -> None:
    """Random tiny frames arrive at any split and with small buffers, and are counted."""
    rng = random.Random(seed)
    kinds = [frame(b"x" * size, opcode=opcode, key=KEY) for size in range(4) for opcode in (1, 2, 9, 10)]
    weights = [rng.choice((1, 1, 1000)) for _ in kinds]
    some = rng.choices(kinds, weights, k=12_000)
    some.insert(8_000, frame(b"y" * 70_000, opcode=2, key=KEY))
    data = b"".join(some)
    rest = rng.choice((0, 1, 5000, 100_000))
    one = Bench(form)
    with one.stack:
        pair = Pair(one, send_buffer=rng.choice((0, 4096)), rest=data[:rest])
        got = bytearray()
        at = rest
        for _ in range(20_000):
            with suppress(BlockingIOError):
                at += pair.client.send(data[at : at + rng.choice((7, 3000, 200_000))])
            one.turn()
            with suppress(BlockingIOError):
                got += pair.origin.recv(rng.choice((1000, 10_000, 1 << 20)))
            if len(got) == len(data):
                break
        assert bytes(got) == data
        controls = sum(data[0] & 8 > 0 for data in some)
        assert (pair.client_leg.frames, pair.client_leg.messages) == (len(some), len(some) - controls)
        assert (pair.client_leg.passed, pair.client_leg.rest, one.events) == (len(data), b"", [])


def test_a_close_behind_a_flood_is_the_last_frame(bench: Bench) -> None:
    """The Close comes after the flood, and bytes behind it are dropped."""
    one = Pair(bench)
    flood = frame(opcode=9, key=KEY) * 5000 + frames.close(1000, "", KEY)
    assert bench.carry(one, flood + frame(b"late", key=KEY) * 1000) == flood
    assert [(kind, argument) for kind, _, argument in bench.events] == [(pump.CLOSED, 1000)]


def test_a_violation_behind_a_flood_is_found(bench: Bench) -> None:
    """Frames before it are forwarded."""
    one = Pair(bench)
    flood = frame(opcode=9, key=KEY) * 5000
    assert bench.carry(one, flood + frame(b"unmasked")) == flood
    assert [(kind, argument) for kind, _, argument in bench.events] == [
        (pump.VIOLATION, frames.WRONG_MASKING)
    ]


def test_the_end_behind_a_flood_is_told_after_it(bench: Bench) -> None:
    """The end of a stream is reported once all of its frames are forwarded."""
    one = Pair(bench)
    flood = frame(opcode=9, key=KEY) * 5000
    one.client.send(flood)
    one.client.close()
    bench.turn()
    assert bench.events == []
    assert one.client_leg.rest
    assert bench.carry(one) == flood
    assert [kind for kind, _, _ in bench.events] == [pump.END]


def test_a_flooding_leg_that_is_finished_has_no_rest(bench: Bench) -> None:
    """The rest of a leg that is closed is dropped, with its later bytes."""
    one = Pair(bench)
    one.client.send(frame(opcode=9, key=KEY) * 5000)
    bench.turn()
    bench.pump.finish(one.client_leg)
    passed = one.client_leg.passed
    one.client.send(frame(opcode=9, key=KEY))
    for _ in range(3):
        bench.turn()
    assert (one.client_leg.rest, one.client_leg.passed) == (b"", passed)
    assert one.client_leg.received == 5001 * 6


def test_a_removed_flooding_leg_is_forgotten(bench: Bench) -> None:
    """The pump serves nothing of a tunnel that was removed, and may wait again."""
    one = Pair(bench)
    one.client.send(frame(opcode=9, key=KEY) * 5000)
    bench.turn()
    counted = one.client_leg.frames
    bench.pump.remove(one.client_leg)
    bench.turn()
    assert (one.client_leg.frames, any(bench.pump.legs), bench.epoll.poll(0)) == (counted, False, [])


def test_an_injected_frame_does_not_wait_for_the_rest(bench: Bench) -> None:
    """A ping for the origin is sent between two turns of a flood."""
    one = Pair(bench)
    tiny, ping = frame(opcode=9, key=KEY), frame(b"own", opcode=9, key=b"abcd")
    one.client.send(tiny * 5000)
    bench.turn()
    assert bench.pump.inject(one.origin_leg, ping)
    got = one.origin.recv(1 << 20)
    assert got == tiny * FRAMES + ping
    assert bench.carry(one) == tiny * (5000 - FRAMES)


def test_a_leg_with_a_rest_is_not_silent(bench: Bench) -> None:
    """It is not read, so the heartbeat must not take it for a dead one."""
    one = Pair(bench)
    one.client.send(frame(opcode=9, key=KEY) * 5000)
    bench.turn()
    assert one.client_leg.stopped
    bench.carry(one)
    assert not one.client_leg.stopped


class Stopped(FrameRates):
    """Rates whose clock stands still, so that the turns of a test may take any time."""

    def refill(self, now: float) -> None:
        """Add nothing."""


def test_frames_within_a_rate_pass_and_the_next_does_not(bench: Bench) -> None:
    """The frame that exceeds the rate is a violation, which is neither forwarded nor counted."""
    one = Pair(bench)
    bench.pump.limit(one.client_leg, Stopped(100, 50))
    message = frame(b"x", fin=False, key=KEY) + frame(opcode=0, key=KEY)
    assert bench.carry(one, message * 40 + frame(opcode=9, key=KEY) * 100) != b""
    assert bench.carry(one, frame(b"y", key=KEY) * 30) == frame(b"y", key=KEY) * 10
    assert [(kind, argument) for kind, _, argument in bench.events] == [
        (pump.VIOLATION, frames.TOO_MANY_MESSAGES)
    ]
    assert (one.client_leg.messages, one.client_leg.texts) == (50, 50)


def test_a_leg_may_have_a_rate_from_the_beginning(bench: Bench) -> None:
    """Frames that came behind the handshake count, and no frame passes uncounted before the first turn."""
    said = frame(b"x", key=KEY)
    one = Pair(bench, rest=said * 30, rates=Stopped(None, 50))
    assert one.client_leg.special
    assert bench.carry(one, said * 30) == said * 50
    assert [argument for _, _, argument in bench.events] == [frames.TOO_MANY_MESSAGES]


def test_pings_have_a_rate_of_their_own(bench: Bench) -> None:
    """Answers to the relay's own pings do not count."""
    one = Pair(bench)
    bench.pump.limit(one.client_leg, Stopped(1000, None))
    own = frame(TAG + bytes(4), opcode=10, key=KEY)
    pings = frame(opcode=9, key=KEY) * 1000
    assert bench.carry(one, own * 5000 + pings * 3) == pings
    assert bench.events[-1][::2] == (pump.VIOLATION, frames.TOO_MANY_CONTROLS)


def test_a_rate_may_be_removed(bench: Bench) -> None:
    """The leg is on the fast path again."""
    one = Pair(bench)
    bench.pump.limit(one.client_leg, Stopped(1, None))
    assert one.client_leg.special
    bench.pump.limit(one.client_leg, None)
    assert not one.client_leg.special
    flood = frame(b"x", key=KEY) * 5000
    assert bench.carry(one, flood) == flood
