"""The pace of one side: a second's bytes at once, the rate over time, a wait for debts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.pump.frames import TOO_MANY_CONTROLS, TOO_MANY_FRAMES, TOO_MANY_MESSAGES
from wsedge_relay.pump.pace import FrameRates, Pace


def test_a_second_may_come_at_once_and_no_more() -> None:
    """A pause of any length does not raise the burst above one second's bytes."""
    pace = Pace(1000)
    assert pace.room(500.0) == 1000
    assert pace.spend(1000) == pytest.approx(0.25)
    assert pace.room(500.0) == 0
    assert pace.room(9000.0) == 1000


def test_the_rest_of_a_bucket_may_be_spent_without_a_pause() -> None:
    """The wait begins when the bucket is empty."""
    pace = Pace(1000)
    assert (pace.room(1.0), pace.spend(999)) == (1000, 0.0)
    assert (pace.room(1.0), pace.spend(1)) == (1, 0.25)


def test_a_debt_is_waited_for() -> None:
    """After a TLS record that exceeded the room, the wait covers the debt."""
    pace = Pace(1000)
    pace.room(1.0)
    assert pace.spend(3000) == pytest.approx(2.25)
    assert pace.room(2.0) == 0
    assert pace.room(3.25) == 250


def test_a_clock_that_stands_still_gives_nothing() -> None:
    """A stopped clock refills nothing; at a very low rate the wait is for one byte at least."""
    pace = Pace(1)
    pace.room(1.0)
    assert pace.spend(1) == 1.0
    assert pace.room(1.0) == 0


@given(rate=st.integers(1024, 1 << 30), wants=st.lists(st.integers(1, 65536), max_size=200))
def test_no_more_passes_than_the_rate_and_one_second(rate: int, wants: list[int]) -> None:
    """For a sender without pauses, at most rate x (time + 1) bytes are read at any time."""
    pace, now, passed = Pace(rate), 100.0, 0
    for want in wants:
        size = min(want, pace.room(now))
        assert size > 0
        passed += size
        assert passed <= rate * (now - 100.0 + 1) + 1
        now += pace.spend(size)


WHOLE, BEGUN, CONTINUED, LAST, PING = 0x81, 0x01, 0x00, 0x80, 0x89

# Limits of frames and messages, first bytes of frames that are within them, and one more with its violation.
RATES: dict[str, tuple[int | None, int | None, list[int], int, int]] = {
    "frames": (3, None, [WHOLE] * 3, WHOLE, TOO_MANY_FRAMES),
    "fragments are frames": (3, None, [BEGUN, CONTINUED, CONTINUED], LAST, TOO_MANY_FRAMES),
    "messages": (None, 2, [WHOLE] * 2, WHOLE, TOO_MANY_MESSAGES),
    "a message counts by its last frame": (
        None,
        1,
        [BEGUN] + [CONTINUED] * 50 + [LAST],
        LAST,
        TOO_MANY_MESSAGES,
    ),
    "control frames": (2, None, [PING] * 2, PING, TOO_MANY_CONTROLS),
    "control frames do not use up frames": (2, 2, [PING, WHOLE, PING, WHOLE], WHOLE, TOO_MANY_FRAMES),
    "frames do not use up control frames": (2, 9, [WHOLE, WHOLE, PING, PING], PING, TOO_MANY_CONTROLS),
}


@pytest.mark.parametrize("case", RATES)
def test_frames_and_messages_are_counted(case: str) -> None:
    """As many as in one second may come at once; the next one is the violation."""
    frames, messages, within, more, violation = RATES[case]
    rates = FrameRates(frames, messages)
    rates.refill(5.0)
    assert [rates.spend(first) for first in within] == [0] * len(within)
    assert rates.spend(more) == violation


def test_control_frames_have_no_limit_of_messages() -> None:
    """They are no messages."""
    rates = FrameRates(None, 1)
    assert not any(rates.spend(PING) for _ in range(1000))


def test_time_refills_up_to_one_second() -> None:
    """A long pause allows no more than one second's frames, and a clock that goes back gives nothing."""
    rates = FrameRates(4, 4)
    rates.refill(1.0)
    assert [rates.spend(WHOLE) for _ in range(4)] == [0] * 4
    rates.refill(1.5)
    assert [rates.spend(WHOLE) for _ in range(3)] == [0, 0, TOO_MANY_FRAMES]
    rates.refill(0.5)
    assert rates.spend(WHOLE) == TOO_MANY_FRAMES
    rates.refill(1000.0)
    assert [rates.spend(WHOLE) for _ in range(5)] == [0] * 4 + [TOO_MANY_FRAMES]
