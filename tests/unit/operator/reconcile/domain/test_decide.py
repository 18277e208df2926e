"""The decision about a WebSocketDomain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.operator.snapshots import (
    IN_FORCE,
    LATER,
    NO_PLAN,
    NOW,
    SCHEDULED,
    URL,
    answer,
    applied,
    claim,
    config,
    kinds,
    live_domain,
    message,
    served,
    snapshot,
)
from wsedge_operator.reconcile.domain.claims import served_since
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome


def test_a_new_domain_gets_all_children_in_order() -> None:
    """A child comes before the children that name it; last the Secret for people, which none names."""
    outcome = decide(snapshot(), NOW)
    assert kinds(outcome) == [
        "Secret",
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
        "Secret",
    ]
    made = config(outcome)
    assert made.generation.startswith("team-a/chat@7.")
    assert made.domains[0].domain == "chat.example.com"
    assert made.domains[0].account == "team-a"
    assert made.statistics is not None
    assert made.statistics.url == URL


def test_a_served_domain_needs_no_write() -> None:
    """The outcome is empty: no write, no poke, no Event."""
    assert decide(served(), NOW) == Outcome()


def test_decisions_are_byte_stable() -> None:
    """The same snapshot gives the same bytes, whenever it is decided."""
    first, second = decide(snapshot(), NOW), decide(snapshot(), NOW + timedelta(days=1))
    assert json.dumps(first.apply) == json.dumps(second.apply)


def test_a_domain_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    """No child is created again while the garbage collector deletes them."""
    live = live_domain()
    live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert decide(snapshot(live=live), NOW) == Outcome()


UNSERVED: dict[str, tuple[dict[str, Any], tuple[str, str], bool]] = {
    "without a plan it waits for one": ({"account_state": NO_PLAN}, ("False", "NoPlan"), False),
    "with a plan for later it is ready": ({"account_state": SCHEDULED}, ("True", "Scheduled"), False),
    "a younger claim is refused": (
        {"claims": (claim("older", day=1), claim("chat", day=2))},
        ("False", "DomainConflict"),
        True,
    ),
    "of equal age the lower uid owns": (
        {"claims": (claim("a"), claim("chat"))},
        ("False", "DomainConflict"),
        True,
    ),
    "switched off it is ready": (
        {"live": live_domain(websocket={"enabled": False})},
        ("True", "Disabled"),
        False,
    ),
    "a younger claim gives way to one that can be served": (
        {"claims": (claim("chat", day=1, can_be_served=False), claim("younger", day=2))},
        ("False", "DomainConflict"),
        True,
    ),
    "a spec that this version cannot read is unreadable": (
        {"live": live_domain(websocket={"enabled": True, "originProtocol": "QUIC"})},
        ("False", "Unreadable"),
        True,
    ),
    "one without a name is unreadable": (
        {"live": live_domain(domain=None), "claims": ()},
        ("False", "Unreadable"),
        True,
    ),
}


@pytest.mark.parametrize(("changes", "ready", "stalled"), UNSERVED.values(), ids=UNSERVED.keys())
def test_a_domain_that_is_not_served(changes: dict[str, Any], ready: tuple[str, str], stalled: bool) -> None:
    """It has no child, and Ready is true if that is as requested."""
    before = snapshot(**changes)
    outcome = decide(before, NOW)
    assert outcome.apply == ()
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ready
    assert (answer(outcome, before, "Stalled")[0] == "True") is stalled


def test_a_scheduled_domain_is_reconciled_when_its_plan_begins() -> None:
    """The next reconciliation is at the start of the plan, which is in the message."""
    before = snapshot(account_state=SCHEDULED)
    outcome = decide(before, NOW)
    assert outcome.reconcile_at == LATER
    assert "2026-12-01T00:00:00Z" in message(outcome, before, "Ready")


def test_a_newer_claim_does_not_change_the_owner() -> None:
    """The outcome of the owner is empty."""
    assert decide(replace(served(), claims=(claim("chat", 1), claim("newer", 2))), NOW) == Outcome()


UNREADABLE: dict[str, dict[str, Any]] = {
    "a protocol of a version to come": {"websocket": {"enabled": True, "originProtocol": "QUIC"}},
    "a type that has changed": {"limits": [{"connections": 1}]},
    "a field that must be is missing": {"origins": None},
    "a switch that is no boolean": {"websocket": {"enabled": "Sometimes", "originProtocol": "HTTP"}},
}


def unread(good: DomainSnapshot, spec: dict[str, Any]) -> DomainSnapshot:
    return replace(good, live={**live_domain(**spec), "status": good.live["status"]})


@pytest.mark.parametrize("spec", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_spec_changes_no_child(spec: dict[str, Any]) -> None:
    """Relays continue, and the condition names the invalid field."""
    before = unread(served(), spec)
    outcome = decide(before, NOW)
    assert (outcome.apply, outcome.delete, outcome.pokes, outcome.costs) == ((), (), (), ())
    assert answer(outcome, before, "Accepted") == ("Unknown", "Unreadable")
    assert answer(outcome, before, "ConfigurationCurrent") == ("True", "Current")
    assert answer(outcome, before, "Ready") == ("False", "Unreadable")
    assert answer(outcome, before, "Stalled") == ("True", "Unreadable")
    (name,) = spec
    assert f"spec.{name}" in message(outcome, before, "Ready")
    assert "the relays continue with their last configuration" in message(outcome, before, "Ready")
    after = applied(before, outcome)
    assert after.live["status"]["configuration"] == before.live["status"]["configuration"]
    assert decide(after, NOW) == Outcome()


def test_a_long_list_of_faults_is_cut() -> None:
    """The API server bounds a message: it has ten faults and the number of others."""
    before = snapshot(live=live_domain(origins=[{"host": "-" * 300, "weight": "x"}] * 64))
    text = message(decide(before, NOW), before, "Ready")
    assert "spec.origins[0].host" in text
    assert "; and 119 more" in text
    assert len(text) < 5000


def test_an_unreadable_domain_can_be_switched_off_and_deleted() -> None:
    """The switch, the end of the plan and the deletion are readable without the whole spec."""
    off = unread(served(), {"websocket": {"enabled": False, "originProtocol": "QUIC"}})
    assert [domain.enabled for domain in config(decide(off, NOW)).domains] == [False]
    quic = {"websocket": {"enabled": True, "originProtocol": "QUIC"}, "lifecycle": {"drainSeconds": "long"}}
    ended = replace(unread(served(), quic), account_state=NO_PLAN)
    assert [domain.enabled for domain in config(decide(ended, NOW)).domains] == [False]
    assert answer(decide(ended, NOW), ended, "Ready") == ("False", "Draining")
    going = unread(served(), quic)
    going.live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert decide(going, NOW) == Outcome()


def test_a_corrected_spec_is_served() -> None:
    """No child changes when the spec is as before the invalid edit."""
    good = served()
    before = applied(unread(good, quic := {"limits": "none"}), decide(unread(good, quic), NOW))
    after = replace(before, live={**live_domain(), "status": before.live["status"]})
    outcome = decide(after, NOW)
    assert (outcome.apply, outcome.delete) == ((), ())
    assert answer(outcome, after, "Ready") == ("True", "Serving")
    assert answer(outcome, after, "Stalled") == ("", "")


def test_unknown_fields_are_ignored_and_reported() -> None:
    """The domain is served; a condition and an Event name the fields."""
    before = snapshot(live=live_domain(entrance={"type": "Gateway"}, relay={"pool": {"labels": {}}}))
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert answer(outcome, before, "Accepted") == ("True", "UnknownFields")
    for path in ("spec.entrance", "spec.relay.pool"):
        assert path in message(outcome, before, "Accepted")
    assert ("Warning", "UnknownFields") in [(note.type, note.reason) for note in outcome.notes]
    assert answer(outcome, before, "Stalled") == ("", "")


def test_a_long_list_of_unknown_fields_is_cut() -> None:
    """The message has ten fields and the number of others."""
    before = snapshot(live=live_domain(**{f"x{number:02}": 1 for number in range(15)}))
    text = message(decide(before, NOW), before, "Accepted")
    assert text.endswith("spec.x08, spec.x09 and 5 more")


@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": -1}, {"conditions": [], "observedGeneration": "7", "address": {"httpPort": "x"}}],
    ids=["that of a new object", "one of another version"],
)
def test_a_status_of_another_version_is_replaced(status: dict[str, Any]) -> None:
    """Only the spec is parsed."""
    before = snapshot(live={**live_domain(), "status": status})
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert applied(before, outcome).live["status"]["observedGeneration"] == 7


def test_another_tenant_is_not_named() -> None:
    """Neither the status nor an Event has the name of an owner in another namespace."""
    others = (claim("secret-name", 1, namespace="team-secret"), claim("chat", 2))
    before = snapshot(claims=others)
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "DomainConflict")
    assert "secret" not in str(outcome)
    same = snapshot(claims=(claim("older", 1), claim("chat", 2)))
    assert '"older"' in message(decide(same, NOW), same, "Ready")


def test_a_served_domain_has_the_condition_name_kept() -> None:
    """It remains while the domain is off, unreadable, without a plan or without a Secret."""
    good = served()
    assert served_since(good.live) == NOW
    later = NOW + timedelta(days=1)
    for spec, account_state in (
        ({"websocket": {"enabled": False}}, IN_FORCE),
        ({"tls": {"secretName": "x"}}, IN_FORCE),
        ({"limits": "none"}, IN_FORCE),
        ({}, NO_PLAN),
    ):
        before = replace(unread(good, spec), account_state=account_state)
        after = applied(before, decide(before, later))
        assert served_since(after.live) == NOW
        assert answer(decide(before, later), before, "NameKept") == ("True", "HasBeenServed")


def test_a_domain_that_was_never_served_has_no_condition_name_kept() -> None:
    """It is off, unreadable, without a plan or without a Secret."""
    for changes in (
        {"live": live_domain(websocket={"enabled": False})},
        {"account_state": NO_PLAN},
        {"live": live_domain(tls={"secretName": "x"})},
        {"live": live_domain(limits="none")},
    ):
        before = snapshot(**changes)
        assert answer(decide(before, NOW), before, "NameKept") == ("", "")


def test_a_domain_that_the_last_release_served_counts_as_served() -> None:
    """Its status has a configuration or an address; the time is that of its creation."""
    for part in ({"configuration": "team-a/chat@7.0"}, {"address": {"service": "chat-relay"}}):
        before = snapshot(live={**live_domain(), "status": part}, statistics_url="")
        after = applied(before, decide(before, NOW))
        assert served_since(after.live) == datetime(2026, 11, 1, tzinfo=UTC)


def test_each_change_of_ready_is_one_event() -> None:
    """Its type is Warning if the reason does not end without an edit."""
    before = snapshot(account_state=NO_PLAN)
    first = decide(before, NOW)
    assert [(note.type, note.reason) for note in first.notes] == [("Warning", "NoPlan")]
    assert decide(applied(before, first), NOW).notes == ()


def test_a_served_domain_is_reconciled_when_its_plan_ends() -> None:
    """The next reconciliation is at the time of the change."""
    ending = replace(IN_FORCE, reason="Ending", changes_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert decide(replace(served(), account_state=ending), NOW).reconcile_at == datetime(
        2026, 12, 1, tzinfo=UTC
    )
