"""The limit of a message's length: independent of the split of bytes, free for short messages."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.relay.forms import FORMS, form_of
from support.relay.frames import Seen, frame, parse, random_frames
from wsedge_relay.pump import frames, pump
from wsedge_relay.pump.frames import Walk
from wsedge_relay.pump.selector import Form

KEY = b"\xaa\xbb\xcc\xdd"


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("limit", [0, 65535, 65536, 1 << 30])
def test_a_limit_that_no_step_can_break_leaves_the_steps_alone(masked: bool, limit: int) -> None:
    """Whole messages of up to 65535 bytes stay on the fast path."""
    assert Walk(masked=masked, deflate=False, limit=limit).steps is Walk(masked=masked, deflate=False).steps


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("limit", [1, 124, 125, 126, 65534])
def test_a_small_limit_leaves_short_frames_their_step(masked: bool, limit: int) -> None:
    """Frames within 125 bytes and the limit stay on the fast path; longer frames are parsed."""
    free = Walk(masked=masked, deflate=False)
    bound = Walk(masked=masked, deflate=False, limit=limit)
    mark = 0x80 if masked else 0
    for size in range(128):
        at = mark | size
        assert bound.steps[at] == (free.steps[at] if size <= min(limit, 125) else 0)
        assert not bound.steps[at ^ 0x80]
    assert bound.steps is Walk(masked=masked, deflate=False, limit=limit).steps


MESSAGES = {
    "a message of the limit": ([frame(b"x" * 10)], True),
    "a message of one more": ([frame(b"x" * 11)], False),
    "fragments of the limit": ([frame(b"x" * 5, fin=False), frame(b"x" * 5, opcode=0)], True),
    "fragments of one more": ([frame(b"x" * 5, fin=False), frame(b"x" * 6, opcode=0)], False),
    "messages one after another": ([frame(b"x" * 10)] * 3, True),
    "fragments one after another": ([frame(b"x" * 5, fin=False), frame(b"x" * 5, opcode=0)] * 3, True),
    "control frames between fragments": (
        [frame(b"x" * 9, fin=False), frame(b"p" * 100, opcode=9), frame(b"x", opcode=0)],
        True,
    ),
    "fragments that end empty": ([frame(b"x" * 10, fin=False), frame(b"", opcode=0)], True),
    "a long control frame": ([frame(b"p" * 125, opcode=9)], True),
    "a gigabyte that is only announced": ([b"\x82\x7f" + (1 << 30).to_bytes(8, "big")], False),
}


@pytest.mark.parametrize(("stream", "passes"), MESSAGES.values(), ids=MESSAGES.keys())
def test_messages_are_measured_over_their_frames(stream: list[bytes], passes: bool) -> None:
    """Payloads of data frames are summed from a message's first frame to its last."""
    one = Walk(masked=False, deflate=False, limit=10)
    sizes = [one.header(data, 0, len(data)) for data in stream]
    assert (frames.TOO_LONG not in sizes) is passes


class Legs:
    """A pump with one tunnel whose client leg has a limit."""

    def __init__(self, form: Form, limit: int) -> None:
        self.epoll = select.epoll()
        self.pump = form.pump(self.epoll, b"test")
        self.client, near_client = socket.socketpair()
        self.origin, near_origin = socket.socketpair()
        self.sockets = [self.client, near_client, self.origin, near_origin]
        for sock in self.sockets:
            sock.setblocking(False)
        leg = self.pump.leg(near_client, masked=True, deflate=False, tunnel=None, limit=limit)
        self.pump.add(leg, self.pump.leg(near_origin, masked=False, deflate=False, tunnel=None))

    def close(self) -> None:
        """Close everything."""
        for sock in self.sockets:
            sock.close()
        self.epoll.close()


def allowed(stream: list[bytes], limit: int) -> Iterator[bytes]:
    """Yield the frames before the first frame that makes its message too long: slow and obvious."""
    size = 0
    for raw in stream:
        (seen,) = parse(raw, masked=True) if raw[0] & 15 else parse_continuation(raw)
        if seen.opcode < 8:
            size = len(seen.payload) if seen.opcode else size + len(seen.payload)
            if size > limit:
                return
        yield raw


def parse_continuation(raw: bytes) -> Iterator[Seen]:
    """Parse a continuation alone: as a first frame, then with its own opcode."""
    for seen in parse(bytes([raw[0] | 2]) + raw[1:], masked=True):
        yield type(seen)(0, seen.fin, seen.payload, raw)


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10_000), st.sampled_from([1, 100, 125, 126, 200, 1000, 65535]), st.booleans())
def test_any_cut_of_the_bytes_is_cut_off_at_the_same_frame(
    form: Form, seed: int, limit: int, slowly: bool
) -> None:
    """All frames before the one that breaks the limit are forwarded, and the violation names the limit."""
    rng = random.Random(seed)
    sizes = [0, 1, limit // 2, limit - 1, limit, limit + 1]
    sent = random_frames(rng, masked=True, deflate=False, count=12, sizes=sizes)
    expected = b"".join(allowed(sent, limit))
    stream, got = b"".join(sent), bytearray()
    with closing(Legs(form, limit)) as legs:
        while stream:
            size = rng.randint(1, limit // 50 + 40 if slowly else 5000)
            legs.client.send(stream[:size])
            stream = stream[size:]
            legs.pump.run(0)
            with suppress(BlockingIOError):
                got += legs.origin.recv(1 << 20)
        kinds = [(kind, argument) for kind, _, argument in legs.pump.take_events()]
    assert bytes(got) == expected
    broken = len(expected) < len(b"".join(sent))
    assert kinds == ([(pump.VIOLATION, frames.TOO_LONG)] if broken else [])
