"""How long all rollouts wait after failures in several accounts."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import NOW
from wsedge_operator.reconcile.pausing import Pause

MINUTES = timedelta(minutes=1)
NEW = Pause(10 * MINUTES)


def test_one_account_pauses_nobody() -> None:
    """Failures in one account hold nothing, and none later; without any failure nothing happens."""
    assert NEW.failed(set(), NOW) is NEW
    first = NEW.failed({"a"}, NOW)
    assert not first.is_held(NOW)
    assert first.failed({"a"}, NOW) is first


def test_pauses_become_longer_and_short_again() -> None:
    """Each further account pauses for twice as long, six times at most; a success makes that short."""
    pause, failed, lengths = NEW.failed({"0"}, NOW), {"0"}, []
    for number in range(1, 7):
        failed.add(str(number))
        pause = pause.failed(failed, NOW)
        assert pause.until is not None
        lengths.append((pause.until - NOW) / MINUTES)
    assert lengths == [10, 20, 40, 60, 60, 60]
    assert pause.completed("3") is pause
    again = pause.completed("x").failed({*failed, "y"}, NOW)
    assert again.until == NOW + 10 * MINUTES


def test_a_clock_that_is_set_back_does_not_prolong_a_pause() -> None:
    """All wait from the failure to the end; more than the longest pause before it nothing waits."""
    pause = NEW.failed({"a", "b"}, NOW)
    held = [pause.is_held(NOW + minutes * MINUTES) for minutes in (-51, -50, 0, 9, 10)]
    assert held == [False, True, True, True, False]


events = st.lists(
    st.tuples(st.integers(0, 100), st.sets(st.sampled_from("abcdef")), st.sampled_from("abcdefgh")),
    max_size=30,
)


@given(events)
def test_an_account_pauses_the_others_once(happened: list[tuple[int, set[str], str]]) -> None:
    """Whatever fails and recovers in whatever order, all wait no longer than an hour for each account."""
    pause, now, held = NEW, NOW, timedelta(0)
    for minutes, failed, completed in happened:
        for _ in range(minutes):
            held += MINUTES if pause.is_held(now) else timedelta(0)
            now += MINUTES
        pause = pause.failed(failed, now).completed(completed)
    assert held <= len(pause.accounts) * 60 * MINUTES
    ever = {account for _, failed, _ in happened for account in failed}
    assert pause.accounts == ever
