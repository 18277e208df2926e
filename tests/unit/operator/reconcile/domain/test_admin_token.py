"""The token for the admin port of relays, and relays that were ordered to drain."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.operator.keys import tls_secret
from support.operator.snapshots import (
    NOW,
    TOKEN,
    answer,
    applied,
    kinds,
    live_domain,
    message,
    pod,
    report,
    served,
    snapshot,
)
from wsedge_operator.desired.names import ADMIN_SECRET, child_key
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.pods import is_unready
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.outcome import Outcome


def made(outcome: Outcome, kind: str) -> Any:
    (found,) = (manifest for manifest in outcome.apply if child_key(manifest, "chat") == kind)
    return found


def token_of(secret: Any) -> str:
    return base64.b64decode(secret["data"]["admin-token"]).decode()


def test_a_domain_gets_a_token_with_its_first_relays() -> None:
    """The Secret is before the configuration and the pods, and neither of them depends on the token."""
    outcome = decide(snapshot(), NOW)
    assert kinds(outcome)[0] == "Secret"
    assert token_of(made(outcome, "Secret")) == TOKEN
    other = decide(snapshot(new_token="u" * 43), NOW)
    assert made(other, "Deployment") == made(outcome, "Deployment")
    assert made(other, "ConfigMap") == made(outcome, "ConfigMap")


def test_a_valid_token_is_retained() -> None:
    """The new token of a snapshot is ignored while the Secret has one: no write."""
    outcome = decide(replace(served(), new_token="u" * 43), NOW)
    assert (outcome.apply, outcome.delete) == ((), ())


def test_relays_of_an_older_release_get_a_token() -> None:
    """The upgrade adds the Secret: no configuration and no pod template changes."""
    before = served()
    children = {kind: child for kind, child in before.children.items() if kind != "Secret"}
    outcome = decide(replace(before, children=children, new_token="u" * 43), NOW)
    assert kinds(outcome) == ["Secret", "Secret"]
    assert token_of(outcome.apply[0]) == token_of(outcome.apply[1]) == "u" * 43


@pytest.mark.parametrize("value", ["", "c2hvcnQ=", "not base64!", base64.b64encode(b"\xff" * 40).decode()])
def test_an_invalid_token_is_replaced(value: str) -> None:
    """An empty token, a short one that can be guessed, or bytes that are no text."""
    before = served()
    secret = {**before.children["Secret"], "data": {"admin-token": value}}
    before = replace(before, children={**before.children, "Secret": secret}, new_token="u" * 43)
    assert token_of(made(decide(before, NOW), "Secret")) == "u" * 43


def ordered_to_drain(**changes: Any) -> Any:
    """Return a served domain with one relay that was ordered to drain."""
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


def test_a_relay_that_was_ordered_to_drain_is_named() -> None:
    """Its reason is not RelaysStarting, which would hide the cause."""
    before = ordered_to_drain()
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "RelaysDraining")
    assert "POST /drain" in message(outcome, before, "Ready")
    assert "pod-1" in message(outcome, before, "Ready")
    assert "pod-2" not in message(outcome, before, "Ready")
    assert [note.type for note in outcome.notes] == ["Warning"]
    again = applied(before, outcome)
    assert decide(again, NOW + timedelta(seconds=1)).status == ()


def test_a_relay_that_is_not_ready_is_queried() -> None:
    """Also if it runs the current configuration; ready relays are not queried."""
    before = ordered_to_drain()
    asked = pods_to_query(before.pods, before.relays, before.children["ConfigMap"])
    assert [is_unready(one) for one in asked] == [True]


def test_the_token_is_deleted_with_the_last_children() -> None:
    """A withdrawn domain has no Secret."""
    before = served()
    off = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    left = {kind: before.children[kind] for kind in ("ConfigMap", "Secret", "ServiceAccount")}
    outcome = decide(replace(before, live=off, pods=(), relays={}, children=left), NOW)
    assert sorted(ref.kind for ref in outcome.delete) == ["ConfigMap", "Secret", "ServiceAccount"]


def with_tls() -> Any:
    """Return a new domain with a certificate."""
    live = live_domain(tls={"secretName": "chat-tls"})
    return snapshot(live=live, secrets={"chat-tls": tls_secret("chat-tls", "chat.example.com")})


def test_people_get_the_token_without_a_private_key() -> None:
    """In a Secret of its own with the certificate, whose end people look at; no pod mounts it."""
    outcome = decide(with_tls(), NOW)
    relays, people = made(outcome, "Secret"), made(outcome, ADMIN_SECRET)
    assert people["metadata"]["name"] == "chat-relay-admin"
    assert people["metadata"]["ownerReferences"] == relays["metadata"]["ownerReferences"]
    assert people["data"] == {name: relays["data"][name] for name in ("admin-token", "tls.crt")}
    assert "tls.key" in relays["data"]
    assert "chat-relay-admin" not in str(made(outcome, "Deployment"))


def test_an_upgrade_adds_it_and_changes_nothing_else() -> None:
    """Relays of the last release know this token already; their pods stay as they are."""
    settled = served()
    old = {key: child for key, child in settled.children.items() if key != ADMIN_SECRET}
    outcome = decide(replace(settled, children=old), NOW)
    (added,) = outcome.apply
    assert (added["metadata"]["name"], outcome.delete) == ("chat-relay-admin", ())
    assert token_of(added) == token_of(settled.children["Secret"])
    again = applied(replace(settled, children=old), outcome)
    assert decide(again, NOW).apply == ()


def test_a_copy_that_somebody_changed_is_restored() -> None:
    """The relays refuse another token."""
    before = served()
    copy = {**before.children[ADMIN_SECRET], "data": {"admin-token": "eA=="}}
    outcome = decide(replace(before, children={**before.children, ADMIN_SECRET: copy}), NOW)
    (restored,) = outcome.apply
    assert token_of(restored) == token_of(before.children["Secret"])


def test_the_copy_is_deleted_with_the_last_children() -> None:
    """A withdrawn domain has neither Secret."""
    before = served()
    off = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    left = {key: before.children[key] for key in ("Secret", ADMIN_SECRET)}
    outcome = decide(replace(before, live=off, pods=(), relays={}, children=left), NOW)
    assert sorted(ref.name for ref in outcome.delete) == ["chat-relay", "chat-relay-admin"]
