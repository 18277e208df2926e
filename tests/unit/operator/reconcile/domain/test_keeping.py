"""A domain whose children must not change: its status, and the pokes of its relays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.operator.snapshots import LATER, NOW, pod, report, served, service, snapshot
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.keeping import has_tls_port, keep

WHY = ConditionAnswer("Ready", False, "Unreadable", "spec.limits: not a map")


def test_a_domain_without_children_has_no_relays() -> None:
    """Nothing is made; Ready is the reason for keeping."""
    draft = keep(snapshot(), WHY, NOW)
    assert (draft.apply, draft.delete, draft.pokes, draft.generation) == ([], [], [], None)
    current, ready = draft.answers
    assert (current.type, current.status, current.reason) == ("ConfigurationCurrent", "False", "NoRelays")
    assert ready == WHY


def test_relays_that_lag_are_still_poked() -> None:
    """The ConfigMap that they lag behind was a valid decision."""
    before = served()
    relays = {**before.relays, "uid-pod-1": report(pod("pod-1"), "older")}
    draft = keep(replace(before, relays=relays), WHY, NOW)
    assert [poke.pod for poke in draft.pokes] == ["pod-1"]
    assert [answer.reason for answer in draft.answers] == ["RollingOut", "Unreadable"]
    assert draft.answers[1].message == (
        "spec.limits: not a map; the relays continue with their last configuration"
    )
    assert (draft.apply, draft.delete) == ([], [])


def test_a_write_that_failed_is_reported_before_the_reason_for_keeping() -> None:
    """A poke or a status may fail; the API server's answer is the message."""
    draft = keep(replace(served(), failure="403 Forbidden"), WHY, NOW)
    assert draft.answers[1] == ConditionAnswer("Ready", False, "ApplyFailed", "403 Forbidden")


def test_it_is_decided_again_when_the_plan_changes() -> None:
    """The end of a plan withdraws the domain."""
    before = served()
    ending = replace(before.account_state, changes_at=LATER)
    assert keep(replace(before, account_state=ending), WHY, NOW).reconcile_at == LATER


SERVICES: dict[str, tuple[Any, bool]] = {
    "no Service": (None, False),
    "a Service without ports": ({"spec": {}}, False),
    "a Service with port 80": (service("chat-relay", 80), False),
    "a Service with port 443 too": (service("chat-relay", 80, 443), True),
}


@pytest.mark.parametrize(("live", "has_port"), SERVICES.values(), ids=SERVICES.keys())
def test_the_port_for_wss(live: Any, has_port: bool) -> None:
    """The status gives clients the port that the Service has."""
    assert has_tls_port(live) is has_port
