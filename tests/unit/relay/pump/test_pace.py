"""The pace of one side: a second's bytes at once, the rate over time, a wait for debts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.pump.pace import Pace


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
