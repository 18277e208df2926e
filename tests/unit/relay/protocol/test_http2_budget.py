"""Costs of HTTP/2 frames, and a client's budget for them."""

from __future__ import annotations

import itertools

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

from wsedge_relay.protocol.http2_budget import PREFACE, Budget, FrameTally

COSTS: list[tuple[Frame, int]] = [
    (DataFrame(1, b"x"), 0),
    (DataFrame(1, b"x" * 16384), 0),
    (DataFrame(1), 1),
    (DataFrame(1, b"x", pad_length=3, flags=["PADDED"]), 0),
    (DataFrame(1, b"", pad_length=0, flags=["PADDED"]), 1),
    (DataFrame(1, b"", pad_length=255, flags=["PADDED"]), 1),
    (HeadersFrame(1, b"head"), 2),
    (ContinuationFrame(1, b"more"), 1),
    (PriorityFrame(1), 1),
    (RstStreamFrame(1), 10),
    (SettingsFrame(0, {1: 1}), 10),
    (PingFrame(0, b"12345678"), 1),
    (WindowUpdateFrame(0, 1), 1),
]


@given(st.lists(st.sampled_from(COSTS), max_size=30), st.lists(st.integers(0, 20000), max_size=10))
def test_frames_cost_the_same_at_any_split(frames: list[tuple[Frame, int]], cuts: list[int]) -> None:
    """The preface and the frames may be split anywhere."""
    stream = PREFACE + b"".join(frame.serialize() for frame, _ in frames)
    tally = FrameTally()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    cost = sum(tally.cost_of(stream[start:end]) for start, end in itertools.pairwise(edges))
    assert cost == sum(cost for _, cost in frames)


def test_a_budget_allows_a_burst_and_then_a_pace() -> None:
    """The budget is 2000 at once, then 100 each second."""
    budget = Budget(0.0)
    assert budget.spend(2000, 0.0)
    assert not budget.spend(1, 0.0)
    assert budget.spend(98, 1.0)
    assert not budget.spend(2, 1.0)


def test_a_budget_is_never_more_than_the_burst() -> None:
    """A long pause does not raise the budget above the burst."""
    budget = Budget(0.0)
    assert not budget.spend(2001, 1000.0)


def test_data_that_was_sent_may_be_answered() -> None:
    """Each DATA frame pays for two window updates."""
    budget = Budget(0.0)
    assert budget.spend(2000, 0.0)
    budget.earn()
    assert budget.spend(2, 0.0)
    assert not budget.spend(1, 0.0)


def test_a_frame_of_more_than_16_kib_is_found_by_its_header() -> None:
    """The payload need not be present: the session ends before the library buffers 16 MiB."""
    tally = FrameTally()
    assert tally.cost_of(PREFACE + b"\x00\x40\x00" + bytes(6)) == 0
    assert not tally.is_overlong
    other = FrameTally()
    assert other.cost_of(PREFACE + b"\x00\x40\x01" + bytes(6)) == 0
    assert other.is_overlong


def test_a_padded_frame_waits_for_the_length_of_its_padding() -> None:
    """The frame's first byte decides whether the frame has data (RFC 9113 section 6.1)."""
    frame = DataFrame(1, b"", pad_length=3, flags=["PADDED"]).serialize()
    tally = FrameTally()
    assert tally.cost_of(PREFACE + frame[:9]) == 0
    assert tally.cost_of(frame[9:]) == 1
    assert tally.cost_of(PingFrame(0, b"12345678").serialize()) == 1
