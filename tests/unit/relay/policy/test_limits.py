"""The number and rate of admitted clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.contract import Limits
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.policy.limits import Limiter

A, B = "192.0.2.1", "192.0.2.2"


def refused(limiter: Limiter, limits: Limits, client: str, now: float = 0.0) -> tuple[int, str, bytes] | None:
    """Try to take a place; return the refusal's status, reason and Retry-After."""
    try:
        limiter.enter(limits, client, now, retry_after=5)
    except HandshakeRefusedError as error:
        ((name, after),) = error.headers
        assert name == b"Retry-After"
        return error.status, error.reason, after
    return None


def test_without_limits_every_client_is_admitted() -> None:
    """A limit of None admits every client."""
    limiter = Limiter()
    assert [refused(limiter, Limits(), A) for _ in range(1000)] == [None] * 1000
    assert limiter.taken == 1000


def test_connections_are_counted_in_all() -> None:
    """A client above the limit is refused until a place is freed."""
    limiter, limits = Limiter(), Limits(connections=2)
    assert [refused(limiter, limits, client) for client in (A, B)] == [None, None]
    assert refused(limiter, limits, B) == (503, "connections", b"5")
    limiter.leave(A)
    assert refused(limiter, limits, B) is None


def test_connections_are_counted_by_client() -> None:
    """Clients have separate limits."""
    limiter, limits = Limiter(), Limits(connectionsPerClient=1)
    assert refused(limiter, limits, A) is None
    assert refused(limiter, limits, A) == (429, "connectionsPerClient", b"5")
    assert refused(limiter, limits, B) is None
    limiter.leave(A)
    assert refused(limiter, limits, A) is None


@pytest.mark.parametrize(
    ("other", "same"), [("2001:db8::ffff", True), ("2001:db8:0:0:1::", True), ("2001:db8:0:1::1", False)]
)
def test_an_ipv6_client_is_its_network(other: str, same: bool) -> None:
    """A client usually has the whole /64, and must not avoid a limit by another address in it."""
    limiter, limits = Limiter(), Limits(connectionsPerClient=1)
    assert refused(limiter, limits, "2001:db8::1") is None
    assert (refused(limiter, limits, other) is not None) is same
    limiter.leave("2001:db8::2")
    assert refused(limiter, limits, "2001:db8::3") is None


def test_a_pace_allows_a_burst_and_then_its_rate() -> None:
    """One second's handshakes are admitted at once, then one whenever the rate allows."""
    limiter, limits = Limiter(), Limits(handshakesPerSecond=4)
    burst = [refused(limiter, limits, A, 100.0) for _ in range(5)]
    assert burst == [None] * 4 + [(503, "handshakesPerSecond", b"1")]
    assert refused(limiter, limits, A, 100.2) is not None
    assert refused(limiter, limits, A, 100.25) is None
    assert refused(limiter, limits, A, 100.3) is not None
    assert [refused(limiter, limits, A, 900.0) is None for _ in range(5)] == [True] * 4 + [False]


def test_a_refused_client_uses_no_rate_and_no_place() -> None:
    """A flood that is refused by one limit does not use up another limit."""
    limiter, limits = Limiter(), Limits(connectionsPerClient=1, handshakesPerSecond=2)
    assert refused(limiter, limits, A) is None
    assert {refused(limiter, limits, A) for _ in range(9)} == {(429, "connectionsPerClient", b"5")}
    assert refused(limiter, limits, B) is None
    assert limiter.taken == 2


def test_a_limit_that_is_lowered_waits_for_places() -> None:
    """No connection is closed; new clients are refused until enough places are free."""
    limiter = Limiter()
    for _ in range(3):
        limiter.enter(Limits(), A, 0.0, retry_after=5)
    limits = Limits(connections=2)
    limiter.leave(A)
    assert refused(limiter, limits, B) is not None
    limiter.leave(A)
    assert refused(limiter, limits, B) is None


@given(st.lists(st.floats(0, 3, allow_nan=False), max_size=60), st.integers(1, 5))
def test_no_span_takes_more_than_its_rate_and_a_burst(times: list[float], rate: int) -> None:
    """In any span of seconds at most rate * seconds + rate handshakes are admitted."""
    limiter, limits = Limiter(), Limits(handshakesPerSecond=rate)
    taken = [now for now in sorted(times) if refused(limiter, limits, A, now) is None]
    for index, first in enumerate(taken):
        for count, last in enumerate(taken[index:], start=1):
            assert count <= rate * (last - first) + rate + 1e-6
