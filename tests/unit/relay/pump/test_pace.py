"""The pace of a connection's side: a second's worth at once, the rate over time, debts waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.pump.pace import Pace


def test_a_second_may_come_at_once_and_no_more() -> None:
    """However long nothing came."""
    pace = Pace(1000)
    assert pace.room(500.0) == 1000
    assert pace.spend(1000) == pytest.approx(0.25)
    assert pace.room(500.0) == 0
    assert pace.room(9000.0) == 1000


def test_what_is_left_may_be_spent_without_a_pause() -> None:
    """A pause begins when nothing is left."""
    pace = Pace(1000)
    assert (pace.room(1.0), pace.spend(999)) == (1000, 0.0)
    assert (pace.room(1.0), pace.spend(1)) == (1, 0.25)


def test_a_debt_is_waited_for() -> None:
    """A TLS record that was read whole is paid for before the next read."""
    pace = Pace(1000)
    pace.room(1.0)
    assert pace.spend(3000) == pytest.approx(2.25)
    assert pace.room(2.0) == 0
    assert pace.room(3.25) == 250


def test_a_clock_that_stands_still_gives_nothing() -> None:
    """Nor does a rate so low that a quarter of a second is no byte ask for less than one."""
    pace = Pace(1)
    pace.room(1.0)
    assert pace.spend(1) == 1.0
    assert pace.room(1.0) == 0


@given(rate=st.integers(1024, 1 << 30), wants=st.lists(st.integers(1, 65536), max_size=200))
def test_no_more_passes_than_the_rate_and_one_second(rate: int, wants: list[int]) -> None:
    """A sender that always has something: at each moment at most rate x (time + 1) bytes were read."""
    pace, now, passed = Pace(rate), 100.0, 0
    for want in wants:
        size = min(want, pace.room(now))
        assert size > 0
        passed += size
        assert passed <= rate * (now - 100.0 + 1) + 1
        now += pace.spend(size)
