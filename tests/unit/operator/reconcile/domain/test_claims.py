"""Who owns a name: the rule, and a cluster's life with it beside a simple model."""

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
    "the only one": ([claim("a", 1, **IDLE)], "a"),
    "of two that can be served the older one": ([claim("a", 2), claim("b", 1)], "b"),
    "of two that cannot be served the older one": ([claim("a", 2, **IDLE), claim("b", 1, **IDLE)], "b"),
    "one that can be served before an older one that cannot": ([claim("a", 1, **IDLE), claim("b", 2)], "b"),
    "the third, when the first two cannot be": (
        [claim("a", 1, **IDLE), claim("b", 2, **IDLE), claim("c", 3), claim("d", 4)],
        "c",
    ),
    "one that has been served before all": ([claim("a", 1), claim("b", 2, **SERVED)], "b"),
    "one that has been served and is off": ([claim("a", 1), claim("b", 2, **SERVED, **IDLE)], "b"),
    "of two that have been served the one that was first": (
        [claim("a", 1, served_since=NOW + timedelta(seconds=1)), claim("b", 2, served_since=NOW)],
        "b",
    ),
    "of equal age the lower uid": ([claim("b", 1), claim("a", 1)], "a"),
}


@pytest.mark.parametrize(("claims", "owner"), OWNERS.values(), ids=OWNERS.keys())
def test_who_owns(claims: list[DomainClaim], owner: str) -> None:
    """In whatever order they are listed."""
    for listed in (claims, claims[::-1]):
        found = owner_of(listed)
        assert found is not None
        assert found.name == owner


def test_without_a_claim_nobody_owns() -> None:
    """None."""
    assert owner_of([]) is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["make", "on", "off", "delete", "look"]), st.integers(0, 4)), max_size=60
)


@given(STEPS)
def test_a_running_name_never_changes_hands(steps: list[tuple[str, int]]) -> None:
    """The holder holds until it is deleted; without one the oldest that can be served becomes it."""
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
def test_what_cannot_be_served(live: dict[str, Any], account_state: Any) -> None:
    """It yields while it was never served."""
    assert not can_be_served(live, account_state)
    assert can_be_served(live_domain(), IN_FORCE)


def test_what_is_being_deleted_yields_unless_it_was_served() -> None:
    """A finalizer keeps no name from others, but relays that still drain do."""
    live = live_domain()
    live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert not can_be_served(live, IN_FORCE)
    kept = {"type": "NameKept", "status": "True", "lastTransitionTime": "2026-11-20T00:00:00Z"}
    live["status"] = {"conditions": [kept]}
    other = claim("other", 2)
    owner = owner_of([claim_of(live, can_be_served=False), other])
    assert owner is not None
    assert owner.name == "chat"


def test_what_tells_nothing_is_no_evidence() -> None:
    """A status of another version cannot break the reading."""
    statuses: tuple[Any, ...] = (
        None,
        [],
        {"observedGeneration": -1},
        {"conditions": None},
        {"conditions": ["x", {}]},
    )
    for status in statuses:
        assert served_since({**live_domain(), "status": status}) is None


def test_a_name_that_cannot_be_read_is_no_name() -> None:
    """Neither a list nor an object without a spec claims anything."""
    assert claimed_name(live_domain()) == "chat.example.com"
    specs: tuple[Any, ...] = (None, [], {}, {"domain": ["chat.example.com"]})
    for spec in specs:
        assert claimed_name({**live_domain(), "spec": spec}) is None
