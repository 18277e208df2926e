"""The selector of namespaces: its syntax, and what it means for domains."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from support.operator.snapshots import (
    NO_PLAN,
    NOW,
    answer,
    applied,
    live_domain,
    message,
    served,
    snapshot,
)
from wsedge_operator.reconcile.account.state import AccountState
from wsedge_operator.reconcile.domain.claims import can_be_served, served_since
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.reconcile.selection import EVERYTHING, parse_selector
from wsedge_operator.settings import Settings, problems

IN_FORCE = AccountState(True, "Effective", "in force")
NOT_SELECTED = "NamespaceNotSelected"
REFUSED = ("False", NOT_SELECTED)

MATCHES: dict[str, tuple[str, dict[str, str], bool]] = {
    "an empty selector matches everything": ("", {}, True),
    "a value": ("edge=on", {"edge": "on"}, True),
    "another value": ("edge=on", {"edge": "off"}, False),
    "no such key": ("edge=on", {}, False),
    "two equal signs": ("edge==on", {"edge": "on"}, True),
    "an empty value": ("edge=", {"edge": ""}, True),
    "not this value": ("edge!=on", {"edge": "off"}, True),
    "not this value holds without the key": ("edge!=on", {}, True),
    "a key with any value": ("wsedge.io/edge", {"wsedge.io/edge": "x"}, True),
    "a key that must not be there": ("!edge", {"edge": "on"}, False),
    "a key that is not there": ("!edge", {}, True),
    "one of some values": ("edge in (on, canary)", {"edge": "canary"}, True),
    "none of some values": ("edge notin (on,canary)", {"edge": "canary"}, False),
    "none of some values holds without the key": ("edge notin (on,canary)", {}, True),
    "all requirements hold": ("edge in (a,b),team!=x,!old", {"edge": "a", "team": "y"}, True),
    "one requirement fails": ("edge in (a,b),team!=x,!old", {"edge": "a", "team": "x"}, False),
}


@pytest.mark.parametrize(("text", "labels", "expected"), MATCHES.values(), ids=MATCHES.keys())
def test_a_selector_matches_as_in_kubernetes(text: str, labels: dict[str, str], expected: bool) -> None:
    """Equality, sets, and the presence or absence of a key."""
    assert parse_selector(text).matches(labels) is expected


@pytest.mark.parametrize(
    "wrong", ["=on", "a b", "edge in on", "edge in (a,b", "a=b,", "-x", "a=b c", "a in (b)(c)", "x=/"]
)
def test_an_invalid_selector_is_refused_with_its_invalid_part(wrong: str) -> None:
    """The operator refuses it at its start, with the name of the setting."""
    with pytest.raises(ValidationError) as refused:
        Settings(namespace_selector=wrong)
    (line,) = problems(refused.value)
    assert line.startswith("WSEDGE_OPERATOR_NAMESPACE_SELECTOR: ")
    assert "is not a requirement of a label selector" in line


def test_a_selector_and_a_list_of_namespaces_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list leaves nothing to select, so both settings together are a mistake."""
    monkeypatch.setenv("WSEDGE_OPERATOR_NAMESPACES", "team-a,team-b")
    assert Settings(namespace_selector="").selected_labels == EVERYTHING
    with pytest.raises(ValidationError, match="leave out one of the two"):
        Settings(namespace_selector="edge=on")
    monkeypatch.delenv("WSEDGE_OPERATOR_NAMESPACES")
    assert Settings(namespace_selector="edge=on").selected_labels.matches({"edge": "on"})


def test_no_child_is_created_in_a_namespace_that_is_not_selected() -> None:
    """The message names no label and no other tenant; the domain is stalled after five minutes."""
    before = snapshot(selected=False)
    outcome = decide(before, NOW)
    assert (outcome.apply, outcome.delete) == ((), ())
    assert answer(outcome, before, "Accepted") == answer(outcome, before, "Ready") == REFUSED
    assert answer(outcome, before, "Stalled") == REFUSED
    assert answer(outcome, before, "NameKept") == ("", "")
    assert "administrator" in message(outcome, before, "Ready")
    waited = applied(before, outcome)
    assert answer(decide(waited, NOW + timedelta(minutes=5)), waited, "Stalled") == ("True", NOT_SELECTED)
    selected = replace(waited, selected=True)
    assert len(decide(selected, NOW).apply) == 7


def test_a_served_domain_is_kept_when_its_namespace_is_deselected() -> None:
    """No child changes, an edit waits, and the second outcome is empty."""
    for spec in ({}, {"websocket": {"enabled": True, "heartbeatSeconds": 9, "originProtocol": "HTTP"}}):
        running = served()
        live = {**live_domain(**spec), "status": running.live["status"]}
        before = replace(running, live=live, selected=False)
        outcome = decide(before, NOW)
        assert (outcome.apply, outcome.delete, outcome.restore, outcome.dry_run) == ((), (), (), ())
        assert answer(outcome, before, "Accepted") == answer(outcome, before, "Ready") == REFUSED
        assert answer(outcome, before, "ConfigurationCurrent")[0] == "True"
        assert answer(outcome, before, "NameKept")[0] == "True"
        assert "the relays continue with their last configuration" in message(outcome, before, "Ready")
        after = applied(before, outcome)
        assert decide(after, NOW) == Outcome(reconcile_at=NOW + timedelta(minutes=5))


def test_an_unreadable_domain_there_is_kept_as_well() -> None:
    """Neither an unreadable spec nor a label withdraws a served domain."""
    running = served()
    live = {**live_domain(origins="none"), "status": running.live["status"]}
    before = replace(running, live=live, selected=False)
    outcome = decide(before, NOW)
    assert (outcome.apply, outcome.delete) == ((), ())
    assert answer(outcome, before, "Ready") == REFUSED


def withdrawing(**changes: Any) -> DomainSnapshot:
    """Return a served domain in a namespace that was deselected, with `changes`."""
    running = served(pods=[])
    return replace(running, selected=False, **changes)


OFF = {"websocket": {"enabled": False, "originProtocol": "HTTP"}}


@pytest.mark.parametrize(
    "before",
    [withdrawing(live=live_domain(**OFF)), withdrawing(account_state=NO_PLAN)],
    ids=["the switch", "the plan's end"],
)
def test_a_deselected_domain_can_be_switched_off(before: DomainSnapshot) -> None:
    """Its relays are deleted, and none are created again."""
    outcome = decide(before, NOW)
    assert {ref.kind for ref in outcome.delete} == {"PodDisruptionBudget", "Deployment"}
    rest = applied(before, outcome)
    gone = applied(rest, decide(rest, NOW))
    assert set(gone.children) == {"Service"}
    on_again = replace(gone, live={**live_domain(), "status": gone.live["status"]})
    assert decide(on_again, NOW).apply == ()


def test_a_drain_is_not_interrupted_by_switching_on() -> None:
    """Relays that drain refuse new connections, so keeping them would serve nobody."""
    running = served()
    off = replace(running, live={**live_domain(**OFF), "status": running.live["status"]})
    draining = applied(off, decide(off, NOW))
    on = {**live_domain(), "status": draining.live["status"]}
    before = replace(draining, live=on, selected=False)
    assert answer(decide(before, NOW), before, "Ready") == ("False", "Draining")
    late = decide(before, NOW + timedelta(hours=1))
    assert "Deployment" in {ref.kind for ref in late.delete}


def test_a_claim_there_yields_unless_it_was_served() -> None:
    """It cannot be served now; a name that clients use remains its object's."""
    assert can_be_served(live_domain(), IN_FORCE)
    assert not can_be_served(live_domain(), IN_FORCE, selected=False)
    running = served()
    assert served_since(running.live) is not None
