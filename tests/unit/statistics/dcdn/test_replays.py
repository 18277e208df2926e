"""Used nonces and calls per second."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.statistics.build import instant
from wsedge_statistics.dcdn.replays import TOLERANCE, Nonces, Rates
from wsedge_statistics.errors import RpcError

NOW = instant("2026-06-01T12:00:00Z")


def code(work: object, *arguments: object) -> str | None:
    with pytest.raises(RpcError) as caught:
        work(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_nonce_is_used_once_by_an_account() -> None:
    """Another account may use the same."""
    nonces = Nonces()
    nonces.use("a", "n", NOW, NOW)
    nonces.use("b", "n", NOW, NOW)
    nonces.use("a", "m", NOW, NOW)
    assert code(nonces.use, "a", "n", NOW, NOW) == "SignatureNonceUsed"


@given(
    calls=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-15, 15), st.integers(0, 8)),
        max_size=40,
    )
)
def test_no_request_with_a_valid_timestamp_is_answered_twice(calls: list[tuple[str, str, int, int]]) -> None:
    """A memory without an end says the same of each request; minutes pass between them."""
    nonces, now = Nonces(), NOW
    accepted: list[tuple[str, str, datetime, datetime]] = []
    for account, nonce, skew, pause in calls:
        now += timedelta(minutes=pause)
        timestamp = now + timedelta(minutes=skew)
        repeated = any(
            (account, nonce) == (who, what) and now <= max(then, at) + TOLERANCE
            for who, what, then, at in accepted
        )
        refused = None
        try:
            nonces.use(account, nonce, timestamp, now)
        except RpcError as error:
            refused = error.code
        else:
            accepted.append((account, nonce, timestamp, now))
        assert refused == ("SignatureNonceUsed" if repeated else None)


def test_the_memory_of_an_account_is_bounded() -> None:
    """A full one refuses calls until nonces end; other accounts go on."""
    nonces = Nonces(most=3)
    for number in range(3):
        nonces.use("a", str(number), NOW, NOW + timedelta(seconds=number))
    with pytest.raises(RpcError) as caught:
        nonces.use("a", "more", NOW, NOW + timedelta(seconds=3))
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "Throttling", 897.0)
    nonces.use("b", "more", NOW, NOW)
    later = NOW + TOLERANCE + timedelta(seconds=1)
    nonces.use("a", "more", later, later)


def test_accounts_that_do_not_call_are_forgotten() -> None:
    """Once nothing of theirs could be repeated."""
    nonces = Nonces()
    for number in range(50):
        nonces.use(f"account-{number}", "n", NOW, NOW)
    assert len(nonces) == 50
    nonces.use("other", "n", NOW, NOW + 2 * TOLERANCE + timedelta(seconds=1))
    assert len(nonces) == 1


def test_an_account_has_its_calls_each_second() -> None:
    """Per operation; the answer has the time until the next."""
    rates = Rates()
    for _ in range(30):
        rates.check("a", "Describe", 30, NOW)
    with pytest.raises(RpcError) as caught:
        rates.check("a", "Describe", 30, NOW)
    assert (caught.value.code, round(caught.value.retry_after or 0, 4)) == ("Throttling", round(1 / 30, 4))
    rates.check("a", "Other", 30, NOW)
    rates.check("b", "Describe", 30, NOW)
    rates.check("a", "Describe", 30, NOW + timedelta(milliseconds=34))
    assert code(rates.check, "a", "Describe", 30, NOW + timedelta(milliseconds=34)) == "Throttling"
    for _ in range(30):
        rates.check("a", "Describe", 30, NOW + timedelta(hours=1))
    assert code(rates.check, "a", "Describe", 30, NOW + timedelta(hours=1)) == "Throttling"


def test_a_clock_that_is_set_back_stops_nobody() -> None:
    """Nothing is added for the step, and time counts from there on."""
    rates, back = Rates(), NOW - timedelta(hours=5)
    for _ in range(2):
        rates.check("a", "x", 2, NOW)
    assert code(rates.check, "a", "x", 2, back) == "Throttling"
    rates.check("a", "x", 2, back + timedelta(seconds=1))


@given(
    pauses=st.lists(st.integers(0, 700), max_size=60),
    per_second=st.sampled_from([1, 5, 100]),
)
def test_no_window_has_more_calls_than_the_rate(pauses: list[int], per_second: int) -> None:
    """In t seconds at most (t + 1) times the rate."""
    rates, now, taken = Rates(), NOW, list[datetime]()
    for pause in pauses:
        now += timedelta(milliseconds=pause)
        try:
            rates.check("a", "x", per_second, now)
        except RpcError:
            continue
        taken.append(now)
    for index, first in enumerate(taken):
        for count, last in enumerate(taken[index:], 1):
            assert count <= ((last - first).total_seconds() + 1) * per_second + 1e-6


def test_the_number_of_rates_is_bounded() -> None:
    """The one that was idle for longest is dropped."""
    rates = Rates(most=2)
    for account in "abc":
        rates.check(account, "x", 1, NOW)
    rates.check("a", "x", 1, NOW)
    assert code(rates.check, "c", "x", 1, NOW) == "Throttling"
