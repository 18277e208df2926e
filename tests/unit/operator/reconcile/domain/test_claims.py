"""The owner of a domain name: the rule, and a sequence of events beside a simple model."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import IN_FORCE, NO_PLAN, NOW, SCHEDULED, claim, live_domain
from wsedge_operator.reconcile.domain.claims import (
    DomainClaim,
    can_be_served,
    claim_of,
    claimed_name,
    owner_of,
    served_since,
)

SERVED: dict[str, Any] = {"served_since": NOW}
IDLE: dict[str, Any] = {"can_be_served": False}

OWNERS: dict[str, tuple[list[DomainClaim], str]] = {
    "a single claim": ([claim("a", 1, **IDLE)], "a"),
    "of two that can be served the older one": ([claim("a", 2), claim("b", 1)], "b"),
    "of two that cannot be served the older one": ([claim("a", 2, **IDLE), claim("b", 1, **IDLE)], "b"),
    "a claim that can be served before an older one that cannot": (
        [claim("a", 1, **IDLE), claim("b", 2)],
        "b",
    ),
    "the third claim, if the first two cannot be served": (
        [claim("a", 1, **IDLE), claim("b", 2, **IDLE), claim("c", 3), claim("d", 4)],
        "c",
    ),
    "a claim that has been served before all others": ([claim("a", 1), claim("b", 2, **SERVED)], "b"),
    "a claim that has been served and is off now": ([claim("a", 1), claim("b", 2, **SERVED, **IDLE)], "b"),
    "of two that have been served the first": (
        [claim("a", 1, served_since=NOW + timedelta(seconds=1)), claim("b", 2, served_since=NOW)],
        "b",
    ),
    "of equal age the lower uid": ([claim("b", 1), claim("a", 1)], "a"),
}


@pytest.mark.parametrize(("claims", "owner"), OWNERS.values(), ids=OWNERS.keys())
def test_the_owner_of_a_name(claims: list[DomainClaim], owner: str) -> None:
    """The order in which claims are listed does not matter."""
    for listed in (claims, claims[::-1]):
        found = owner_of(listed)
        assert found is not None
        assert found.name == owner


def test_a_name_without_a_claim_has_no_owner() -> None:
    """The result is None."""
    assert owner_of([]) is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["make", "on", "off", "delete", "look"]), st.integers(0, 4)), max_size=60
)


@given(STEPS)
def test_a_served_name_never_changes_its_owner(steps: list[tuple[str, int]]) -> None:
    """The owner owns the name until its deletion; then the oldest claim that can be served does."""
    claims: dict[int, DomainClaim] = {}
    holder: int | None = None
    for second, (step, number) in enumerate(steps):
        now = NOW + timedelta(seconds=second)
        if step == "make" and number not in claims:
            claims[number] = replace(claim(f"c{number}", **IDLE), created=now)
        elif step in {"on", "off"} and number in claims:
            claims[number] = replace(claims[number], can_be_served=step == "on")
        elif step == "delete":
            claims.pop(number, None)
            holder = None if holder == number else holder
        owner = owner_of(claims.values())
        if holder is None:
            ready = [number for number, made in claims.items() if made.can_be_served]
            holder = min(ready, key=lambda n: claims[n].created, default=None)
            if holder is not None:
                claims[holder] = replace(claims[holder], served_since=now)
        assert (owner is None) is (not claims)
        if holder is not None:
            assert owner is not None
            assert owner.uid == claims[holder].uid


UNSERVABLE: dict[str, tuple[dict[str, Any], Any]] = {
    "switched off": (live_domain(websocket={"enabled": False}), IN_FORCE),
    "without a plan": (live_domain(), NO_PLAN),
    "with a plan for later": (live_domain(), SCHEDULED),
    "not readable": (live_domain(limits="none"), IN_FORCE),
    "without a spec": ({**live_domain(), "spec": None}, IN_FORCE),
}


@pytest.mark.parametrize(("live", "account_state"), UNSERVABLE.values(), ids=UNSERVABLE.keys())
def test_a_claim_that_cannot_be_served(live: dict[str, Any], account_state: Any) -> None:
    """Its claim has the last rank while it was never served."""
    assert not can_be_served(live, account_state)
    assert can_be_served(live_domain(), IN_FORCE)


def test_a_claim_that_is_being_deleted_yields_unless_it_was_served() -> None:
    """A finalizer must not block a name, but relays that still drain do."""
    live = live_domain()
    live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert not can_be_served(live, IN_FORCE)
    kept = {"type": "NameKept", "status": "True", "lastTransitionTime": "2026-11-20T00:00:00Z"}
    live["status"] = {"conditions": [kept]}
    other = claim("other", 2)
    owner = owner_of([claim_of(live, can_be_served=False), other])
    assert owner is not None
    assert owner.name == "chat"


def test_a_status_without_the_condition_is_no_proof() -> None:
    """A status of another version is read without an error."""
    statuses: tuple[Any, ...] = (
        None,
        [],
        {"observedGeneration": -1},
        {"conditions": None},
        {"conditions": ["x", {}]},
    )
    for status in statuses:
        assert served_since({**live_domain(), "status": status}) is None


def test_a_spec_without_a_valid_name_has_no_claim() -> None:
    """Neither a list nor an object without a spec claims a name."""
    assert claimed_name(live_domain()) == "chat.example.com"
    specs: tuple[Any, ...] = (None, [], {}, {"domain": ["chat.example.com"]})
    for spec in specs:
        assert claimed_name({**live_domain(), "spec": spec}) is None
