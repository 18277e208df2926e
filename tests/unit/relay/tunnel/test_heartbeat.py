"""Heartbeat: checks of legs, and the wheel that schedules them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.tunnel.heartbeat import TICK_SECONDS, Beat, Wheel, check_leg, ticks_per_check


@dataclass
class Leg:
    """A leg, as far as the heartbeat needs it."""

    received: int = 0
    mark: int = 0
    quiet: int = 0
    need: int = 0
    out: bytes = b""
    inject: bytes = b""
    stopped: bool = False


@dataclass(eq=False)
class Entry:
    """An entry of the wheel."""

    name: int
    due: int = 0


def test_a_silent_leg_is_pinged_once_then_dead() -> None:
    """Three checks without a byte cause a ping, four more the end: within two intervals of the last byte."""
    leg = Leg()
    beats = [check_leg(leg) for _ in range(7)]
    assert beats == [*[Beat.NOTHING] * 2, Beat.PING, *[Beat.NOTHING] * 3, Beat.DEAD]


def test_an_idle_leg_that_answers_is_pinged_once_an_interval() -> None:
    """When each ping is answered, there are four checks, an interval, from ping to ping."""
    leg = Leg()
    beats = []
    for _ in range(12):
        beats.append(check_leg(leg))
        leg.received += 10 * (beats[-1] is Beat.PING)
    assert [number for number, beat in enumerate(beats) if beat is Beat.PING] == [2, 6, 10]


def test_any_byte_is_a_sign_of_life() -> None:
    """A pong, or data, resets the count."""
    leg = Leg()
    for _ in range(6):
        check_leg(leg)
    leg.received += 1
    assert [check_leg(leg) for _ in range(4)] == [*[Beat.NOTHING] * 3, Beat.PING]


@pytest.mark.parametrize("state", [{"stopped": True}, {"out": b"x"}, {"inject": b"x"}])
def test_a_paused_leg_is_not_dead(state: dict[str, object]) -> None:
    """Silence does not count while the relay does not read the leg or has not sent the ping."""
    leg = Leg(**state)  # type: ignore[arg-type]
    assert {check_leg(leg) for _ in range(20)} == {Beat.NOTHING}


def test_a_leg_that_stops_inside_a_frame_is_dead() -> None:
    """A leg cannot answer inside its own frame, so a ping that waits for the other leg does not excuse it."""
    leg = Leg(need=100)
    beats = []
    for _ in range(7):
        beats.append(check_leg(leg))
        if beats[-1] is Beat.PING:
            leg.inject = b"ping"
    assert beats == [*[Beat.NOTHING] * 2, Beat.PING, *[Beat.NOTHING] * 3, Beat.DEAD]


@pytest.mark.parametrize(("seconds", "ticks"), [(1, 1), (2, 2), (60, 60), (300, 300)])
def test_an_interval_has_four_looks(seconds: int, ticks: int) -> None:
    """Checks are a quarter of an interval apart."""
    assert ticks_per_check(seconds) == ticks
    assert ticks * TICK_SECONDS * 4 == seconds


@given(st.lists(st.integers(1, 50), max_size=30), st.lists(st.integers(1, 20), max_size=20))
def test_entries_come_up_at_their_tick(delays: list[int], turns: list[int]) -> None:
    """However the wheel is turned, each entry becomes due once, in order, and never early."""
    wheel: Wheel[Entry] = Wheel()
    for name, delay in enumerate(delays):
        wheel.add(Entry(name), ticks=delay)
    came: list[tuple[int, int]] = []
    for ticks in turns:
        came += [(wheel.tick, entry.name) for entry in wheel.turn(ticks)]
    expected = sorted(((delay, name) for name, delay in enumerate(delays) if delay <= sum(turns)))
    assert came == expected


def test_a_moved_entry_comes_up_at_its_new_tick_alone() -> None:
    """Adding an entry again moves it, even back to its first tick."""
    wheel: Wheel[Entry] = Wheel()
    moved, same, removed = Entry(1), Entry(2), Entry(3)
    for entry in (moved, same, removed):
        wheel.add(entry, ticks=5)
    wheel.add(moved, ticks=2)
    wheel.add(same, ticks=5)
    wheel.remove(removed)
    seen = []
    for tick in range(1, 10):
        seen += [(tick, entry.name) for entry in wheel.turn(1)]
    assert seen == [(2, 1), (5, 2)]


def test_entries_of_one_tick_share_its_number() -> None:
    """An int has 32 bytes, and a relay 100,000 entries."""
    wheel: Wheel[Entry] = Wheel()
    entries = [Entry(number) for number in range(3)]
    for entry in entries:
        wheel.add(entry, ticks=1000)
    assert len({id(entry.due) for entry in entries}) == 1
    assert [entry.name for entry in wheel.turn(1000)] == [0, 1, 2]


def test_entries_that_are_gone_leave_the_wheel_soon() -> None:
    """Entries that are removed within an interval are freed before its end; the others become due once."""
    wheel: Wheel[Entry] = Wheel()
    stays = [Entry(number) for number in range(100)]
    for entry in stays:
        wheel.add(entry, ticks=300)
    for number in range(10_000):
        passing = Entry(number)
        wheel.add(passing, ticks=number % 300 + 1)
        wheel.remove(passing)
        assert len(wheel) <= 300
    for entry in stays:
        wheel.add(entry, ticks=200)
    assert list(wheel.turn(300)) == stays
    assert len(wheel) == 0


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "turn"]), st.integers(0, 200), st.integers(1, 9)))
)
def test_the_wheel_counts_its_places(steps: list[tuple[str, int, int]]) -> None:
    """However entries are added, moved and removed, exactly the due ones are returned."""
    wheel: Wheel[Entry] = Wheel()
    entries = [Entry(number) for number in range(201)]
    due: dict[int, int] = {}
    for what, number, ticks in steps:
        if what == "add":
            wheel.add(entries[number], ticks=ticks)
            due[number] = wheel.tick + ticks
        elif what == "remove":
            wheel.remove(entries[number])
            due.pop(number, None)
        else:
            came = [entry.name for entry in wheel.turn(ticks)]
            expected = [name for name, at in due.items() if at <= wheel.tick]
            assert sorted(came) == sorted(expected)
            for name in came:
                del due[name]
    assert len(wheel) >= len(due)
