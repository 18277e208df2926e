"""The order and pace of a drain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.tunnel.drain import due, seconds_left, spread


@given(st.integers(0, 1000), st.floats(0, 3600), st.lists(st.floats(0, 4000), max_size=20))
def test_closes_are_spread_and_all_done_in_time(count: int, seconds: float, moments: list[float]) -> None:
    """The number to be closed never falls, never passes the count, and is the count at the end."""
    done = [due(count, elapsed=elapsed, seconds=seconds) for elapsed in sorted(moments)]
    assert done == sorted(done)
    assert all(0 <= number <= count for number in done)
    assert due(count, elapsed=seconds, seconds=seconds) == count


@pytest.mark.parametrize(("elapsed", "number"), [(0, 1), (2.4, 1), (2.5, 2), (9.9, 4)])
def test_ten_seconds_for_four(elapsed: float, number: int) -> None:
    """The first tunnel is closed at once, then one every two and a half seconds."""
    assert due(4, elapsed=elapsed, seconds=10) == number


@pytest.mark.parametrize("seconds", [0, 0.02])
async def test_every_item_is_closed_once_in_order(seconds: float) -> None:
    """No item is left, and none comes twice."""
    closed: list[int] = []
    await spread(range(50), seconds, closed.append)
    assert closed == list(range(50))


@given(st.integers(1, 604800), st.floats(0, 604800), st.floats(0, 1))
def test_an_age_is_within_a_tenth_of_the_maximum(max_age: int, lived: float, chance: float) -> None:
    """A tunnel ends between 0.9 and 1.1 of the age; one that exceeds it, within a tenth of it from now."""
    left = seconds_left(max_age, lived=lived, chance=chance)
    assert left >= 0
    if lived < 0.9 * max_age:
        assert 0.899 * max_age <= lived + left <= 1.101 * max_age
    if lived > 1.1 * max_age:
        assert left <= 0.1 * max_age
