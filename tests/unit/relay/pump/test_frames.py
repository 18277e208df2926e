"""The parser of frame headers: every rule that a header alone can break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.relay.frames import BrokenRuleError, frame, parse
from wsedge_relay.pump import frames
from wsedge_relay.pump.frames import Walk

KEY = b"\x01\x02\x03\x04"

BROKEN = {
    "a client does not mask": (frame(b"hi"), True, frames.WRONG_MASKING),
    "an origin masks": (frame(b"hi", key=KEY), False, frames.WRONG_MASKING),
    "a reserved data opcode": (frame(b"hi", opcode=3), False, frames.BAD_OPCODE),
    "the last reserved data opcode": (frame(b"hi", opcode=7), False, frames.BAD_OPCODE),
    "a reserved control opcode": (frame(b"", opcode=11), False, frames.BAD_OPCODE),
    "a fragmented ping": (frame(b"", opcode=9, fin=False), False, frames.BAD_CONTROL),
    "a ping of 126 bytes": (frame(b"x" * 126, opcode=9), False, frames.BAD_CONTROL),
    "a close with half a code": (frame(b"\x03", opcode=8), False, frames.BAD_CONTROL),
    "reserved bits on a ping": (frame(b"", opcode=9, rsv=4), False, frames.BAD_RSV),
    "RSV1 that was not agreed on": (frame(b"hi", rsv=4), False, frames.BAD_RSV),
    "RSV2": (frame(b"hi", rsv=2), False, frames.BAD_RSV),
    "RSV3": (frame(b"hi", rsv=1), False, frames.BAD_RSV),
    "a continuation of nothing": (frame(b"hi", opcode=0), False, frames.BAD_SEQUENCE),
    "125 bytes said in 16 bits": (frame(b"x" * 125, length_bytes=2), False, frames.BAD_LENGTH),
    "65535 bytes said in 64 bits": (frame(b"x" * 65535, length_bytes=8), False, frames.BAD_LENGTH),
    "a length over 2**63": (b"\x82\x7f\xff" + bytes(7), False, frames.BAD_LENGTH),
}

PROPER = {
    "an empty text": frame(b""),
    "125 bytes": frame(b"x" * 125),
    "126 bytes": frame(b"x" * 126),
    "65535 bytes": frame(b"x" * 65535, opcode=2),
    "65536 bytes": frame(b"x" * 65536, opcode=2),
    "a ping of 125 bytes": frame(b"x" * 125, opcode=9),
    "a close without a code": frame(b"", opcode=8),
    "a close with a code": frame(b"\x03\xe8", opcode=8),
}


def walk(*, masked: bool = False, deflate: bool = False) -> Walk:
    """Return a walk at the start of a stream."""
    return Walk(masked=masked, deflate=deflate)


@pytest.mark.parametrize("case", BROKEN)
def test_broken_rules_are_distinguished(case: str) -> None:
    """Each rule has its own violation."""
    data, masked, violation = BROKEN[case]
    assert walk(masked=masked).header(data, 0, len(data)) == violation
    assert frames.VIOLATIONS[violation]


@pytest.mark.parametrize("case", PROPER)
def test_proper_frames_have_their_length(case: str) -> None:
    """The parser returns the length of a valid frame at any place of the buffer."""
    data = PROPER[case]
    assert walk().header(b"\x00" * 5 + data, 5, len(data)) == len(data)


def test_half_a_header_asks_for_more() -> None:
    """An incomplete header does not change the state."""
    data = frame(b"x" * 70000, opcode=2)
    one = walk()
    assert [one.header(data, 0, left) for left in range(10)] == [0] * 10
    assert (one.frames, one.header(data, 0, 10)) == (0, len(data))


def test_a_message_in_fragments_takes_control_frames_between() -> None:
    """Text, ping, continuation, final continuation, text: all are valid and make two messages."""
    one = walk()
    for data in (
        frame(b"a", fin=False),
        frame(b"", opcode=9),
        frame(b"b", opcode=0, fin=False),
        frame(b"c", opcode=0),
        frame(b"d"),
    ):
        assert one.header(data, 0, len(data)) == len(data)
    assert (one.frames, one.partial) == (4, 2)  # control frames are the pump's to count


def test_a_new_message_may_not_begin_inside_another() -> None:
    """A text frame after an unfinished one breaks the sequence."""
    one = walk()
    assert one.header(frame(b"a", fin=False), 0, 3) == 3
    assert one.header(frame(b"b"), 0, 3) == frames.BAD_SEQUENCE


def test_compression_marks_the_first_frame_alone() -> None:
    """With permessage-deflate RSV1 is valid on a message's first frame and invalid on a continuation."""
    one = walk(deflate=True)
    assert one.header(frame(b"a", rsv=4, fin=False), 0, 3) == 3
    assert one.header(frame(b"b", opcode=0, rsv=4), 0, 3) == frames.BAD_RSV
    assert walk(deflate=True).header(frame(b"a", rsv=6), 0, 3) == frames.BAD_RSV


@given(st.data(), st.booleans(), st.booleans())
def test_the_walk_agrees_with_a_slow_reading_of_the_rfc(
    data: st.DataObject, masked: bool, deflate: bool
) -> None:
    """On any bytes the parser and the model accept the same frames and stop at the same violation."""
    headers = st.builds(
        lambda first, mark, size, extra: bytes([first, (0x80 if mark else 0) | size]) + extra,
        st.integers(0, 255),
        st.just(masked) | st.booleans(),
        st.sampled_from([0, 1, 2, 125, 126, 127]) | st.integers(0, 127),
        st.binary(max_size=12),
    )
    stream = b"".join(data.draw(st.lists(headers | st.binary(max_size=20), max_size=8)))
    one = walk(masked=masked, deflate=deflate)
    at, taken, broken = 0, [], False
    while at < len(stream):
        size = one.header(stream, at, len(stream) - at)
        if size <= 0 or at + size > len(stream):
            broken = size < 0
            break
        taken.append(stream[at : at + size])
        at += size
    expected: list[bytes] = []
    rule_broken = False
    try:
        expected.extend(seen.raw for seen in parse(stream, masked=masked, deflate=deflate))
    except BrokenRuleError:
        rule_broken = True
    assert (taken, broken) == (expected, rule_broken)


@given(st.binary(max_size=125), st.binary(min_size=4, max_size=4))
def test_control_frames_read_back(payload: bytes, key: bytes) -> None:
    """The payload of a built control frame, masked or not, is unchanged."""
    for mask in (None, key):
        built = frames.control(frames.PING, payload, mask)
        assert built == frame(payload, opcode=9, key=mask)
        assert frames.payload_of(built) == payload


def test_close_frames_carry_a_code() -> None:
    """The code of a masked Close is returned; 1005 stands for no code."""
    assert frames.close_code(frames.close(1001, "going away", KEY)) == 1001
    assert frames.close_code(frame(b"", opcode=8)) == 1005


def test_control_frames_are_short() -> None:
    """A payload of more than 125 bytes is an error of the caller."""
    with pytest.raises(ValueError, match="125"):
        frames.control(frames.PING, b"x" * 126, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2]), st.integers(0, 3), st.booleans(), st.sampled_from([0, 126, 70000]))
    ),
    st.booleans(),
)
def test_messages_are_counted_by_type(messages: list[tuple[int, int, bool, int]], masked: bool) -> None:
    """Messages are whole or in fragments, with pings between them, compressed or not."""
    one = walk(masked=masked, deflate=True)
    key = KEY if masked else None
    for opcode, fragments, compressed, size in messages:
        for number in range(fragments + 1):
            data = frame(
                b"x" * size,
                opcode=0 if number else opcode,
                fin=number == fragments,
                rsv=4 if compressed and not number else 0,
                key=key,
            )
            assert one.payload_of(one.header(data, 0, 14)) == size
        ping = frame(b"", opcode=9, key=key)
        assert one.header(ping, 0, len(ping)) == len(ping)
    texts = sum(message[0] == 1 for message in messages)
    assert (one.messages, one.texts) == (len(messages), texts)
