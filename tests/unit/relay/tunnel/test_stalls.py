"""Legs that accept no bytes: since when, against a slow model."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.tunnel.stalls import Stalls

LIMIT = 30


@dataclass(eq=False)
class _Leg:
    peer: SimpleNamespace
    tunnel: SimpleNamespace


def leg(passed: int = 0) -> Any:
    """Return a leg of a domain with the limit; `peer.passed` is how many bytes it has accepted."""
    limits = SimpleNamespace(stallSeconds=LIMIT)
    site = SimpleNamespace(domain=SimpleNamespace(limits=limits))
    return _Leg(peer=SimpleNamespace(passed=passed), tunnel=SimpleNamespace(site=site))


def test_a_leg_is_due_once_its_limit_has_passed() -> None:
    """Not before, and once; the time begins when it is first seen to stand."""
    stalls, one = Stalls(), leg()
    assert stalls.due([one], 100) == []
    assert stalls.due([one], 100 + LIMIT - 1) == []
    assert stalls.due([one], 100 + LIMIT) == [one]
    assert stalls.due([one], 100 + LIMIT) == []


@pytest.mark.parametrize("event", ["a byte", "an empty queue", "forgotten"])
def test_the_time_begins_again(event: str) -> None:
    """After a byte that it accepted, and after a time without bytes that wait."""
    stalls, one = Stalls(), leg()
    stalls.due([one], 0)
    if event == "a byte":
        one.peer.passed += 1
        assert stalls.due([one], LIMIT) == []
    elif event == "an empty queue":
        assert stalls.due([], 1) == []
        assert stalls.due([one], LIMIT) == []
    else:
        stalls.forget(one)
        assert stalls.due([one], LIMIT) == []
    assert stalls.due([one], 2 * LIMIT - 1) == []
    assert stalls.due([one], 2 * LIMIT) == [one]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 1)), max_size=40))
def test_it_is_due_when_a_list_of_all_moments_says_so(moments: list[tuple[int, bool, int]]) -> None:
    """At a moment since whose limit it stood at every look, and was not due in between."""
    stalls, one, now = Stalls(), leg(), 0
    stood: list[int] = []  # the looks at which it stood at the same byte
    for pause, backed, more in moments:
        now += pause
        one.peer.passed += more
        if not backed:
            stood = []
        elif more or not stood:
            stood = [now]
        else:
            stood.append(now)
        is_due = bool(stood) and now - stood[0] >= LIMIT
        assert bool(stalls.due([one] if backed else [], now)) == is_due
        if is_due:
            stood = []
