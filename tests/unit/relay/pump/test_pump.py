"""The pump over socket pairs: every byte once, in order, at any split and with small buffers."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.relay.forms import FORMS, form_of
from support.relay.frames import BrokenRuleError, frame, parse, random_frames
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.selector import Form, PumpSelector

KEY = b"\xaa\xbb\xcc\xdd"
TAG = b"test"
SMALL = [0, 1, 5, 125, 126, 300]
LARGE = [0, 1, 125, 126, 127, 1000, 65535, 65536, 70000]


class Bench:
    """One pump with one pair of legs; `client` and `origin` are the far ends."""

    def __init__(
        self,
        form: Form,
        *,
        deflate: bool = False,
        send_buffer: int = 0,
        rests: tuple[bytes, bytes] = (b"", b""),
    ):
        self.epoll = select.epoll()
        self.pump = form.pump(self.epoll, TAG)
        self.client, near_client = socket.socketpair()
        self.origin, near_origin = socket.socketpair()
        self.sockets = [self.client, near_client, self.origin, near_origin]
        for sock in self.sockets:
            sock.setblocking(False)
            if send_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.client_leg = self.pump.leg(near_client, masked=True, deflate=deflate, tunnel=None)
        self.origin_leg = self.pump.leg(near_origin, masked=False, deflate=deflate, tunnel=None)
        self.pump.add(self.client_leg, self.origin_leg, client_rest=rests[0], origin_rest=rests[1])
        self.events: list[pump.Event] = []

    def turn(self, times: int = 1) -> None:
        """Serve what is ready."""
        for _ in range(times):
            assert self.pump.run(0) == []
            self.events += self.pump.take_events()

    def kinds(self) -> list[tuple[int, str, int]]:
        """Return the events as (kind, side, argument)."""
        return [(kind, "client" if leg.mask else "origin", argument) for kind, leg, argument in self.events]

    def close(self) -> None:
        """Close everything."""
        for sock in self.sockets:
            sock.close()
        self.epoll.close()


def received(sock: socket.socket, size: int = 1 << 20) -> bytes:
    """Return the bytes that can be read now, b'' for none or the end."""
    try:
        return sock.recv(size)
    except BlockingIOError:
        return b""


def fill(one: Bench) -> bytes:
    """Send from the client until no socket accepts bytes; return the bytes sent."""
    data = frame(b"x" * 60000, opcode=2, key=KEY) * 20
    at = 0
    for _ in range(200):
        with suppress(BlockingIOError):
            at += one.client.send(data[at:])
        one.turn()
    assert at < len(data)
    return data[:at]


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


@pytest.fixture
def bench(form: Form) -> Iterator[Bench]:
    """Return a pump with one tunnel."""
    one = Bench(form)
    yield one
    one.close()


@pytest.mark.parametrize("seed", range(24))
def test_every_byte_arrives_once_and_in_order(form: Form, seed: int) -> None:
    """Random frames, splits and reads: both ends receive the other's bytes, and all are counted."""
    rng = random.Random(seed)
    big, deflate, swallow = seed % 2 == 1, seed % 3 == 0, seed % 4 < 2
    sizes = LARGE if big else SMALL
    sent_frames = {
        "client": random_frames(rng, masked=True, deflate=deflate, count=50, sizes=sizes),
        "origin": random_frames(rng, masked=False, deflate=deflate, count=50, sizes=sizes),
    }
    streams = {side: b"".join(some) for side, some in sent_frames.items()}
    wanted = {"client": streams["origin"], "origin": streams["client"]}
    if swallow:  # answers to our own pings, strewn in by the client, must not arrive
        own = [frame(TAG + number.to_bytes(4, "big"), opcode=10, key=rng.randbytes(4)) for number in range(5)]
        mixed = list(sent_frames["client"])
        for pong in own:
            mixed.insert(rng.randrange(len(mixed)), pong)
        streams["client"] = b"".join(mixed)
    rests = {side: rng.randrange(30) if seed % 5 == 0 else 0 for side in streams}
    one = Bench(
        form,
        deflate=deflate,
        send_buffer=4096 if seed % 3 == 0 else 0,
        rests=(streams["client"][: rests["client"]], streams["origin"][: rests["origin"]]),
    )
    at, got = dict(rests), {"client": bytearray(), "origin": bytearray()}
    far = {"client": one.client, "origin": one.origin}
    pings = 0
    for _ in range(200_000):
        for side, sock in far.items():
            if at[side] < len(streams[side]) and rng.random() < 0.8:
                size = rng.choice([1, 2, 3, 9, 13, 100, 5000, 70000, 200_000])
                with suppress(BlockingIOError):
                    at[side] += sock.send(streams[side][at[side] : at[side] + size])
        if rng.random() < 0.8:
            one.turn()
        if seed % 6 == 1 and pings < 20 and rng.random() < 0.05:
            pings += one.pump.inject(one.client_leg, frame(b"PINGPING", opcode=9))
        for side, sock in far.items():
            if rng.random() < (0.2 if seed % 3 == 0 else 0.8):
                got[side] += received(sock, rng.choice([100, 1000, 300_000]))
        done = all(at[side] == len(streams[side]) for side in at)
        missing = len(wanted["client"]) + 10 * pings - len(got["client"])
        if done and missing <= 0 and len(got["origin"]) >= len(wanted["origin"]):
            break
    else:
        pytest.fail(f"stuck: sent {at}, got { {side: len(data) for side, data in got.items()} }")
    to_client = bytes(got["client"])
    if pings:
        parts = [seen.raw for seen in parse(to_client, masked=False, deflate=deflate)]
        assert parts.count(b"\x89\x08PINGPING") == pings
        to_client = b"".join(part for part in parts if part != b"\x89\x08PINGPING")
    assert bytes(got["origin"]) == wanted["origin"]
    assert to_client == wanted["client"]
    assert one.client_leg.received == len(streams["client"])
    assert one.client_leg.passed == len(got["origin"])
    assert one.origin_leg.passed == len(got["client"])
    messages = sum(frame_is_final(data) for data in sent_frames["client"])
    assert (one.client_leg.messages, one.client_leg.out, one.pump.backed) == (messages, b"", set())
    assert (
        one.kinds() == ([(pump.PONGED, "client", number) for number in range(5)] if swallow else [])
        or swallow
    )
    one.close()


def frame_is_final(data: bytes) -> bool:
    """Return whether a frame ends a message."""
    return data[0] & 0x88 == 0x80


def test_proper_frames_before_a_violation_arrive(bench: Bench) -> None:
    """Frames before a violation are forwarded; the frame that breaks a rule and all after it are not."""
    good = frame(b"abc", opcode=2, key=KEY)
    bench.client.send(good + frame(b"unmasked") + good)
    bench.turn()
    bench.client.send(good)
    bench.turn()
    assert received(bench.origin) == good
    assert bench.kinds() == [(pump.VIOLATION, "client", frames.WRONG_MASKING)]


def test_a_close_is_the_last_frame(bench: Bench) -> None:
    """No bytes follow a Close; its code is reported, and the other leg's Close counts as sent."""
    close = frames.close(1000, "bye", KEY)
    bench.client.send(close + frame(b"late", key=KEY))
    bench.turn()
    assert received(bench.origin) == close
    assert bench.kinds() == [(pump.CLOSED, "client", 1000)]
    assert not bench.pump.inject(bench.origin_leg, frames.close(1001, "", KEY), last=True)


def test_injected_frames_wait_for_the_end_of_a_frame(bench: Bench) -> None:
    """A ping that is injected during a frame is sent right behind that frame."""
    long = frame(b"x" * 1000)
    ping = frame(b"", opcode=9)
    bench.origin.send(long[:500])
    bench.turn()
    assert bench.pump.inject(bench.client_leg, ping)
    bench.turn()
    assert received(bench.client) == long[:500]
    bench.origin.send(long[500:] + long)
    bench.turn()
    assert received(bench.client) == long[500:] + ping + long


def test_a_close_that_waits_mutes_what_comes_behind_it(bench: Bench) -> None:
    """An injected Close ends the direction; frames of the muted leg are still parsed."""
    long = frame(b"x" * 100)
    close = frames.close(1001, "", None)
    bench.origin.send(long[:50])
    bench.turn()
    assert bench.pump.inject(bench.client_leg, close, last=True)
    assert not bench.pump.inject(bench.client_leg, frame(b"", opcode=9))
    bench.origin.send(long[50:] + long + frames.close(1000, "", None))
    bench.turn()
    assert received(bench.client) == long + close
    assert bench.kinds() == [(pump.CLOSED, "origin", 1000)]


def test_no_boundary_comes_after_an_end_in_a_frame(bench: Bench) -> None:
    """A stream that ends inside a frame leaves no place for a Close towards the other leg."""
    bench.origin.send(frame(b"x" * 1000)[:500])
    bench.origin.shutdown(socket.SHUT_WR)
    bench.turn(2)
    assert bench.kinds() == [(pump.END, "origin", 0)]
    assert not bench.pump.inject(bench.client_leg, frames.close(1001, "", None), last=True)


def test_a_full_peer_stops_the_reading_of_the_other(form: Form) -> None:
    """The backlog never exceeds one buffer, and all bytes arrive once the peer reads."""
    one = Bench(form, send_buffer=4096)
    data = fill(one)
    assert 0 < len(one.origin_leg.out) <= 65536
    assert one.pump.backed == {one.origin_leg}
    assert one.client_leg.stopped
    got = b""
    for _ in range(1000):
        got += received(one.origin)
        one.turn()
    assert (got, one.pump.backed, one.pump.pauses > 0) == (data, set(), True)
    one.close()


def test_an_end_is_reported_after_the_backlog(form: Form) -> None:
    """The end of a stream is reported when the other leg's backlog is empty."""
    one = Bench(form, send_buffer=4096)
    data = fill(one)
    one.client.shutdown(socket.SHUT_WR)
    one.turn(4)
    assert one.kinds() == []
    got = b""
    for _ in range(1000):
        got += received(one.origin, 1000)
        one.turn()
    assert got == data
    assert one.kinds() == [(pump.END, "client", 0)]
    one.close()


def test_bytes_from_before_a_reset_are_read(bench: Bench) -> None:
    """A failed send does not lose the Close that the peer had sent before."""
    close = frames.close(1011, "crash", None)
    bench.origin.send(close)
    bench.origin.close()
    bench.client.send(frame(b"hello", key=KEY))
    bench.turn(3)
    assert received(bench.client) == close
    assert bench.kinds()[0] == (pump.CLOSED, "origin", 1011)
    assert bench.origin_leg.deaf


def test_an_end_is_reported_once(bench: Bench) -> None:
    """Neither a failed send to the other leg nor its error reports the end of a stream again."""
    bench.origin.close()
    bench.turn()
    bench.client.close()
    bench.pump.inject(bench.client_leg, frame(b"", opcode=9))
    bench.turn(2)
    bench.pump.abandon(bench.client_leg)
    bench.turn()
    assert [event for event in bench.kinds() if event[1] == "origin"] == [(pump.END, "origin", 0)]


def test_an_end_is_reported_once_over_many_backlogs(form: Form) -> None:
    """Frames that are injected and backlogged after the end of a stream do not report it again."""
    one = Bench(form, send_buffer=4096)
    one.origin.shutdown(socket.SHUT_WR)
    one.turn()
    while not one.client_leg.out:
        one.pump.inject(one.client_leg, frame(b"x" * 100, opcode=9))
    while received(one.client):
        one.turn()
    assert one.kinds() == [(pump.END, "origin", 0)]
    one.close()


def test_an_abandoned_leg_is_sent_nothing(bench: Bench) -> None:
    """Bytes for an abandoned leg are read and dropped, on the fast path too."""
    bench.pump.abandon(bench.client_leg)
    bench.origin.send(frame(b"x" * 100) * 3)
    bench.turn()
    assert (received(bench.client), bench.origin_leg.messages, bench.origin_leg.passed) == (b"", 3, 0)


def test_a_hang_up_does_not_spin(bench: Bench) -> None:
    """A leg that ended and waits for the other is not in epoll, so it causes no events."""
    bench.origin.close()
    bench.turn(2)
    assert bench.kinds() == [(pump.END, "origin", 0)]
    assert bench.epoll.poll(0) == []


def test_finishing_sends_what_is_held_then_shuts(form: Form) -> None:
    """The sending side is shut after the backlog, and SHUT is reported."""
    one = Bench(form, send_buffer=4096)
    data = fill(one)
    one.pump.finish(one.client_leg)
    one.pump.finish(one.origin_leg)
    until = one.client_leg.passed + len(one.origin_leg.out)
    one.turn(4)
    assert one.kinds() == [(pump.SHUT, "client", 0)]
    got = b""
    for _ in range(100):
        got += received(one.origin)
        one.turn()
    assert (got, one.origin.recv(1)) == (data[:until], b"")
    assert one.kinds()[1:] == [(pump.SHUT, "origin", 0)]
    one.close()


def test_removed_legs_are_forgotten(bench: Bench) -> None:
    """After `remove` the pump has neither leg, and epoll has neither descriptor."""
    bench.pump.remove(bench.client_leg)
    bench.client.send(frame(b"x", key=KEY))
    bench.origin.send(frame(b"x"))
    assert (any(bench.pump.legs), bench.epoll.poll(0)) == (False, [])


OWN = TAG + b"\x00\x00\x00\x07"
MISMASKED = {
    "a client's without a mask": ("client", frame(OWN, opcode=10)),
    "an origin's with a mask": ("origin", frame(OWN, opcode=10, key=b"\x01\x02\x03\x04")),
}


def test_an_idle_leg_has_no_state_of_limits_or_of_its_end(form: Form) -> None:
    """Most of 200,000 legs are idle: two open tunnels, over one of which messages passed, share one state."""
    used, fresh = Bench(form), Bench(form)
    try:
        used.client.sendall(frame(b"x", key=KEY) + frame(b"", opcode=9, key=KEY))
        used.turn()
        legs = [used.client_leg, used.origin_leg, fresh.client_leg, fresh.origin_leg]
        assert len({id(leg.ending) for leg in legs}) == 1
        assert [leg.bounds for leg in legs] == [None] * 4
        used.pump.pace(used.client_leg, Room(333))
        assert used.client_leg.bounds is not None
        used.pump.pace(used.client_leg, None)
        assert used.client_leg.bounds is None
    finally:
        used.close()
        fresh.close()


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize("case", MISMASKED)
def test_a_pong_with_the_relays_payload_ends_here_whatever_its_mask(
    bench: Bench, case: str, step: int
) -> None:
    """At any split, between other frames, which pass."""
    side, pong = MISMASKED[case]
    key = KEY if side == "client" else None
    far, other = (bench.client, bench.origin) if side == "client" else (bench.origin, bench.client)
    before, after = frame(b"before", key=key), frame(b"after", key=key)
    stream = before + pong + pong + after
    for at in range(0, len(stream), step):
        far.send(stream[at : at + step])
        bench.turn()
    assert received(other) == before + after
    assert bench.kinds() == [(pump.PONGED, side, 7)] * 2
    leg = bench.client_leg if side == "client" else bench.origin_leg
    assert (leg.messages, leg.received) == (2, len(stream))


OTHER_PONGS = {
    "of another payload": frame(b"x" * 8, opcode=10),
    "of a payload that begins as the relay's": frame(TAG[:3] + b"xxxxx", opcode=10),
    "of the relay's payload and more": frame(OWN + b"x", opcode=10),
    "without a payload": frame(b"", opcode=10),
    "in fragments": frame(OWN, opcode=10, fin=False),
    "with a reserved bit": frame(OWN, opcode=10, rsv=2),
    "that is a ping": frame(OWN, opcode=9),
}


@pytest.mark.parametrize("step", [1, 100])
@pytest.mark.parametrize("case", OTHER_PONGS)
def test_another_frame_without_a_mask_breaks_the_rule(bench: Bench, case: str, step: int) -> None:
    """It would reach the origin, and masks protect what is between the client and the origin."""
    data = OTHER_PONGS[case]
    for at in range(0, len(data), step):
        bench.client.send(data[at : at + step])
        bench.turn()
    assert bench.kinds() == [(pump.VIOLATION, "client", frames.WRONG_MASKING)]
    assert received(bench.origin) == b""


def test_a_tag_has_four_bytes(form: Form) -> None:
    """A shorter tag could match pongs of the peer."""
    with select.epoll() as epoll, pytest.raises(ValueError, match="4"):
        form.pump(epoll, b"long tag")


def test_the_selector_serves_both_asyncio_and_the_pump(form: Form) -> None:
    """Descriptors of asyncio are returned with their keys, and the pump's events go to `notify`."""
    selector = PumpSelector(TAG, form=form)
    heard: list[pump.Event] = []
    selector.notify = heard.extend
    pairs = [socket.socketpair() for _ in range(3)]
    for pair in pairs:
        for sock in pair:
            sock.setblocking(False)
    (client, near_client), (origin, near_origin), (other, near_other) = pairs
    key = selector.register(near_other, 1)
    legs = [selector.pump.leg(near_client, masked=True, deflate=False, tunnel=None)]
    legs.append(selector.pump.leg(near_origin, masked=False, deflate=False, tunnel=None))
    selector.pump.add(*legs)
    client.send(frame(b"hi", key=KEY) + frames.close(1000, "", KEY))
    assert selector.select(10) == []
    assert [kind for kind, _, _ in heard] == [pump.CLOSED]
    assert selector.select(0.001) == []
    other.send(b"x")
    assert selector.select(None) == [(key, 1)]
    assert received(origin) == frame(b"hi", key=KEY) + frames.close(1000, "", KEY)
    selector.close()
    for pair in pairs:
        for sock in pair:
            sock.close()


HEADERS = st.builds(
    lambda first, size, payload: bytes([first, 0x80 | size]) + payload,
    st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0x83]) | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 8, 125, 126, 127]),
    st.binary(max_size=30),
)
PROPER = st.builds(
    lambda payload, opcode, fin, key: frame(payload, opcode=opcode, fin=fin or opcode > 2, key=key),
    st.binary(max_size=20),
    st.sampled_from([0, 1, 2, 9, 10]),
    st.booleans(),
    st.binary(min_size=4, max_size=4),
)


@given(st.lists(PROPER | HEADERS, max_size=10), st.lists(st.integers(1, 40), max_size=10), st.booleans())
def test_any_stream_cut_anywhere_passes_as_the_rfc_reads_it(
    form: Form, parts: list[bytes], cuts: list[int], deflate: bool
) -> None:
    """Whole frames are forwarded up to a violation or Close, and the received part of an unfinished frame."""
    stream = b"".join(parts)
    whole, end = b"", None
    try:
        for seen in parse(stream, masked=True, deflate=deflate):
            whole += seen.raw
            if seen.opcode == 8:
                end = pump.CLOSED
                break
    except BrokenRuleError:
        end = pump.VIOLATION
    one = Bench(form, deflate=deflate)
    rest = stream
    for cut in [*cuts, len(stream)]:
        one.client.send(rest[:cut])
        one.turn()
        rest = rest[cut:]
    got = received(one.origin)
    assert [kind for kind, _, _ in one.events] == ([] if end is None else [end])
    if end is None:
        assert got.startswith(whole)
        assert stream.startswith(got)
    else:
        assert got == whole
    one.close()


class Room:
    """A pace that allows some bytes, then requires a pause."""

    def __init__(self, size: int) -> None:
        self.left = size

    def room(self, _now: float) -> int:
        """Return the bytes left."""
        return self.left

    def spend(self, size: int) -> float:
        """Require a pause when no bytes are left."""
        self.left -= size
        return 0.0 if self.left else 0.0301


def test_a_leg_that_spent_its_pace_is_not_read_until_it_is_resumed(bench: Bench) -> None:
    """The allowed bytes pass, the rest waits in the socket; then all bytes arrive in order."""
    data = b"".join(frame(bytes([65 + number]) * 50, opcode=1, key=KEY) for number in range(20))
    bench.pump.pace(bench.client_leg, Room(333))
    bench.client.send(data)
    bench.turn(5)
    assert bench.kinds() == [(pump.THROTTLED, "client", 31)]
    assert (bench.client_leg.received, bench.client_leg.stopped) == (333, True)
    got = received(bench.origin)
    assert data.startswith(got)
    bench.pump.pace(bench.client_leg, Room(len(data)))
    bench.turn(5)
    assert got + received(bench.origin) == data
    bench.origin.send(frame(b"back"))
    bench.turn()
    assert received(bench.client) == frame(b"back")


def test_a_pace_that_is_lifted_lets_a_leg_be_read_at_once(bench: Bench) -> None:
    """Removing the pace ends the pause."""
    bench.pump.pace(bench.client_leg, Room(10))
    bench.client.send(frame(b"x" * 100, key=KEY))
    bench.turn(2)
    bench.pump.pace(bench.client_leg, None)
    bench.turn()
    assert received(bench.origin) == frame(b"x" * 100, key=KEY)
    bench.pump.resume(bench.client_leg)  # late, as a timer's would be
    assert not bench.client_leg.stopped


def test_bytes_behind_a_close_are_not_paced(bench: Bench) -> None:
    """Bytes after its Close are dropped without a pace, so that its end is detected at once."""
    bench.pump.pace(bench.client_leg, Room(len(frame(b"", opcode=8, key=KEY))))
    bench.client.send(frame(b"", opcode=8, key=KEY))
    bench.turn()
    bench.client.send(b"more")
    bench.client.close()
    bench.turn(3)
    assert (pump.END, "client", 0) in bench.kinds()
