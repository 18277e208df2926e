"""The token by which relays take orders, and relays that were told to drain."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.operator.snapshots import (
    NOW,
    TOKEN,
    answer,
    applied,
    live_domain,
    message,
    pod,
    report,
    served,
    snapshot,
)
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.pods import is_unready
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.outcome import Outcome


def kinds(outcome: Outcome) -> list[str]:
    return [made["kind"] for made in outcome.apply]


def made(outcome: Outcome, kind: str) -> Any:
    (found,) = (manifest for manifest in outcome.apply if manifest["kind"] == kind)
    return found


def token_of(secret: Any) -> str:
    return base64.b64decode(secret["data"]["admin-token"]).decode()


def test_a_domain_gets_a_token_with_its_first_relays() -> None:
    """Before the configuration and the pods, and without a trace in either."""
    outcome = decide(snapshot(), NOW)
    assert kinds(outcome)[0] == "Secret"
    assert token_of(made(outcome, "Secret")) == TOKEN
    other = decide(snapshot(new_token="u" * 43), NOW)
    assert made(other, "Deployment") == made(outcome, "Deployment")
    assert made(other, "ConfigMap") == made(outcome, "ConfigMap")


def test_a_token_stays() -> None:
    """A new one at each look is not looked at while there is one; an idle domain sees no write."""
    outcome = decide(replace(served(), new_token="u" * 43), NOW)
    assert (outcome.apply, outcome.delete) == ((), ())


def test_relays_of_before_get_a_token_and_stay() -> None:
    """An upgrade adds the Secret alone: no configuration, no pod template."""
    before = served()
    children = {kind: child for kind, child in before.children.items() if kind != "Secret"}
    outcome = decide(replace(before, children=children, new_token="u" * 43), NOW)
    assert kinds(outcome) == ["Secret"]
    assert token_of(outcome.apply[0]) == "u" * 43


@pytest.mark.parametrize("value", ["", "c2hvcnQ=", "not base64!", base64.b64encode(b"\xff" * 40).decode()])
def test_a_token_that_is_none_is_replaced(value: str) -> None:
    """One that is empty, short enough to be guessed, or not to be read."""
    before = served()
    secret = {**before.children["Secret"], "data": {"admin-token": value}}
    before = replace(before, children={**before.children, "Secret": secret}, new_token="u" * 43)
    assert token_of(made(decide(before, NOW), "Secret")) == "u" * 43


def drained(**changes: Any) -> Any:
    """A served domain, one of whose relays was told to drain."""
    before = served()
    unready = {
        "containerStatuses": [{"name": "relay", "restartCount": 0, "ready": False, "state": {"running": {}}}]
    }
    alone = pod("pod-1", **unready)
    generation = before.running(before.pods[0]) or ""
    said = report(alone, generation)
    state = said.state.model_copy(update={"draining": True}) if said.state is not None else None
    program = before.children["Deployment"]
    program = {**program, "status": {**program["status"], "availableReplicas": 1}}
    return replace(
        before,
        pods=(alone, before.pods[1]),
        relays={**before.relays, "uid-pod-1": replace(said, state=state)},
        children={**before.children, "Deployment": program},
        **changes,
    )


def test_a_relay_that_was_told_to_drain_is_named() -> None:
    """Not as one that starts: nobody would look for what keeps it."""
    before = drained()
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "RelaysDraining")
    assert "POST /drain" in message(outcome, before, "Ready")
    assert "pod-1" in message(outcome, before, "Ready")
    assert "pod-2" not in message(outcome, before, "Ready")
    assert [note.type for note in outcome.notes] == ["Warning"]
    again = applied(before, outcome)
    assert decide(again, NOW + timedelta(seconds=1)).status == ()


def test_a_relay_that_is_not_ready_is_asked() -> None:
    """Though it runs the configuration; those that are ready are left in peace."""
    before = drained()
    asked = pods_to_query(before.pods, before.relays, before.children["ConfigMap"])
    assert [is_unready(one) for one in asked] == [True]


def test_a_domain_that_goes_takes_its_token_along() -> None:
    """The Secret is among what is deleted last."""
    before = served()
    off = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    left = {kind: before.children[kind] for kind in ("ConfigMap", "Secret", "ServiceAccount")}
    outcome = decide(replace(before, live=off, pods=(), relays={}, children=left), NOW)
    assert sorted(ref.kind for ref in outcome.delete) == ["ConfigMap", "Secret", "ServiceAccount"]
