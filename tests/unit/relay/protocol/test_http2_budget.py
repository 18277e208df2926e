"""Costs of HTTP/2 frames, and a client's budget for them."""

from __future__ import annotations

import itertools

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.protocol.http2_budget import PREFACE, Budget, FrameTally, Taken

# A frame, its cost, and the answers to sent bytes that it is.
COSTS: list[tuple[Frame, int, int]] = [
    (DataFrame(1, b"x"), 0, 0),
    (DataFrame(1, b"x" * 16384), 0, 0),
    (DataFrame(1), 1, 0),
    (DataFrame(1, b"x", pad_length=3, flags=["PADDED"]), 0, 0),
    (DataFrame(1, b"", pad_length=0, flags=["PADDED"]), 1, 0),
    (DataFrame(1, b"", pad_length=255, flags=["PADDED"]), 1, 0),
    (HeadersFrame(1, b"head"), 2, 0),
    (ContinuationFrame(1, b"more"), 1, 0),
    (PriorityFrame(1), 1, 0),
    (RstStreamFrame(1), 10, 0),
    (SettingsFrame(0, {1: 1}), 10, 0),
    (PingFrame(0, b"12345678"), 0, 1),
    (WindowUpdateFrame(0, 1), 0, 1),
]
MANY = 1 << 20


@given(
    st.lists(st.sampled_from(COSTS), max_size=30),
    st.lists(st.integers(0, 20000), max_size=10),
    st.integers(1, 40),
)
def test_frames_cost_the_same_at_any_split(
    frames: list[tuple[Frame, int, int]], cuts: list[int], most: int
) -> None:
    """The preface and the frames may be split anywhere, and be taken in parts of any number of frames."""
    stream = PREFACE + b"".join(frame.serialize() for frame, _, _ in frames)
    tally = FrameTally()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    cost = answers = 0
    for start, end in itertools.pairwise(edges):
        at = start
        while at < end:
            taken = tally.take(stream[at:end], most)
            assert 0 < taken.size <= end - at
            at += taken.size
            cost, answers = cost + taken.cost, answers + taken.answers
    assert cost == sum(cost for _, cost, _ in frames)
    assert answers == sum(answers for _, _, answers in frames)


def test_no_more_frames_are_taken_than_asked_for() -> None:
    """The next call begins with the next frame, whose header may be split."""
    ping = PingFrame(0, b"12345678").serialize()
    tally = FrameTally()
    assert tally.take(PREFACE + ping[:5], 1) == Taken(len(PREFACE) + 5, 0, 0)
    assert tally.take(ping[5:] + ping * 3, 1) == Taken(len(ping) - 5, 0, 1)
    assert tally.take(ping * 3, 2) == Taken(2 * len(ping), 0, 2)
    assert tally.take(ping, 1) == Taken(len(ping), 0, 1)


def costing(cost: int = 0, answers: int = 0) -> Taken:
    """Return frames of these costs."""
    return Taken(0, cost, answers)


def test_a_budget_allows_a_burst_and_then_a_pace() -> None:
    """The budget is 2000 at once, then 100 each second."""
    budget = Budget(0.0)
    assert budget.spend(costing(2000), 0.0)
    assert not budget.spend(costing(1), 0.0)
    assert budget.spend(costing(98), 1.0)
    assert not budget.spend(costing(2), 1.0)


def test_a_budget_is_never_more_than_the_burst() -> None:
    """A long pause does not raise the budget above the burst."""
    budget = Budget(0.0)
    assert not budget.spend(costing(2001), 1000.0)


def empty() -> Budget:
    """Return a budget that is spent."""
    budget = Budget(0.0)
    assert budget.spend(costing(2000), 0.0)
    return budget


# Sizes of sent DATA frames, whether the window cut them, and the answers that they pay for.
SENT = {
    "a small frame": ([20], False, 2),
    "a frame of 16 KiB": ([16384], False, 66),
    "a small frame, cut": ([20], True, 0),
    "single bytes, cut": ([1] * 256, True, 1),
    "a frame of 4 KiB, cut": ([4096], True, 16),
    "a megabyte": ([16384] * 64, False, 64 * 66),
}


@pytest.mark.parametrize("case", SENT)
def test_sent_data_pays_for_its_answers(case: str) -> None:
    """Each piece of 512 bytes pays for two window updates, and so does each frame that is not cut."""
    sizes, is_cut, answers = SENT[case]
    budget = empty()
    for size in sizes:
        budget.sent(size, is_cut=is_cut)
    assert budget.spend(costing(answers=answers), 0.0)
    assert not budget.spend(costing(answers=1), 0.0)


def test_sent_data_pays_for_nothing_but_answers() -> None:
    """A reset costs the same however much was sent."""
    budget = empty()
    budget.sent(1 << 30, is_cut=False)
    assert not budget.spend(costing(10), 0.0)


def test_an_answered_request_pays_for_its_frames() -> None:
    """HEADERS and RST_STREAM of a request that got its answer cost nothing."""
    budget = empty()
    budget.answered()
    assert budget.spend(costing(15), 0.0)
    assert not budget.spend(costing(1), 0.0)


def test_a_frame_of_more_than_16_kib_is_found_by_its_header() -> None:
    """The payload need not be present: the session ends before the library buffers 16 MiB."""
    tally = FrameTally()
    assert tally.take(PREFACE + b"\x00\x40\x00" + bytes(6), MANY).cost == 0
    assert not tally.is_overlong
    other = FrameTally()
    assert other.take(PREFACE + b"\x00\x40\x01" + bytes(6), MANY).cost == 0
    assert other.is_overlong


def test_a_padded_frame_waits_for_the_length_of_its_padding() -> None:
    """The frame's first byte decides whether the frame has data (RFC 9113 section 6.1)."""
    frame = DataFrame(1, b"", pad_length=3, flags=["PADDED"]).serialize()
    tally = FrameTally()
    assert tally.take(PREFACE + frame[:9], MANY).cost == 0
    assert tally.take(frame[9:], MANY).cost == 1
    assert tally.take(PingFrame(0, b"12345678").serialize(), MANY).answers == 1
