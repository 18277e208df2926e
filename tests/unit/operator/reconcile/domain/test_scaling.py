"""The number of relays when another client scales their Deployment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.operator.children import Live, scaled, settled, with_child
from support.operator.snapshots import NOW, answer, applied, live_domain, message, pod, report, served
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.memory import Memory, RebalanceMemory, ScalingMemory
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot


def test_the_number_of_an_autoscaler_is_respected_and_reported() -> None:
    """The Deployment is applied once without a number; Ready counts the autoscaler's."""
    before = with_child("Deployment", scaled(5))
    outcome = decide(before, NOW)
    (applied,) = outcome.apply
    assert "replicas" not in applied["spec"]
    assert [note.reason for note in outcome.notes] == ["ScaledFromOutside"]
    assert answer(outcome, before, "Ready") == ("True", "Serving")
    assert "5 (field manager kube-controller-manager)" in message(outcome, before, "Ready")
    after = settled(before)
    assert (after.apply, after.dry_run, after.restore, after.notes) == ((), (), (), ())


NOT_LEFT = {
    "to nothing": scaled(0),
    "beyond what a domain may have": scaled(101),
    "by an edit of the object itself": scaled(5, "kubectl-edit", ""),
}


@pytest.mark.parametrize("change", NOT_LEFT.values(), ids=NOT_LEFT.keys())
def test_a_number_that_is_not_respected_is_written_back(change: Any) -> None:
    """spec.relay.replicas is applied."""
    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2


def test_an_edit_of_the_number_counts_over_an_autoscaler() -> None:
    """spec.relay.replicas differs from the annotation: it was edited after the autoscaler's write."""

    def change(live: Live) -> None:
        scaled(5)(live)
        live["metadata"]["annotations"]["wsedge.io/asked-replicas"] = "3"

    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2
    assert "wsedge.io/asked-replicas" not in applied["metadata"]["annotations"]


AUTOSCALING = {"maxReplicas": 10, "connectionsPerReplica": 100}


def autoscaled(counts: Mapping[str, int | None], **relay: Any) -> DomainSnapshot:
    """Return a served domain with autoscaling, whose relays have just told their connections."""
    made = served(
        live=live_domain(relay={"replicas": 2, "autoscaling": AUTOSCALING, **relay}),
    )
    load = RelayLoad(NOW, NOW + timedelta(seconds=15), counts)
    return replace(made, load=load, memory=Memory(ScalingMemory(NOW - timedelta(hours=1), NOW)))


def measured(before: DomainSnapshot, seconds: float, counts: Mapping[str, int | None]) -> DomainSnapshot:
    at = NOW + timedelta(seconds=seconds)
    return replace(before, load=RelayLoad(at, at + timedelta(seconds=15), counts))


def test_autoscaling_writes_the_number_and_an_event_with_the_reason() -> None:
    """The Deployment has it, with the budget; the next decision waits for the next measurement."""
    before = measured(autoscaled({}), 1, {"uid-pod-1": 200, "uid-pod-2": 200})
    outcome = decide(before, NOW + timedelta(seconds=1))
    (applied_,) = outcome.apply
    assert applied_["spec"]["replicas"] == 4
    assert [(note.reason, note.message) for note in outcome.notes if note.reason == "Scaled"] == [
        ("Scaled", "4 relays instead of 2: 400 connections, 100 per relay.")
    ]
    assert outcome.scaled_at == NOW + timedelta(seconds=1)
    assert outcome.reconcile_at == NOW + timedelta(seconds=16)
    assert answer(outcome, before, "ScalingActive") == ("True", "Scaling")
    after = replace(applied(before, outcome), memory=outcome.memory)
    again = decide(after, NOW + timedelta(seconds=2))
    assert (again.apply, again.scaled_at) == ((), None)
    assert "Scaled" not in [note.reason for note in again.notes]


def test_a_scale_in_by_autoscaling_writes_the_costs_first() -> None:
    """The relay with the fewest connections goes."""
    before = autoscaled({})
    deployment = copy.deepcopy(dict(before.children["Deployment"]))
    deployment["spec"]["replicas"] = 3
    generation = before.live["status"]["configuration"]
    relays = {
        live["metadata"]["uid"]: report(live, generation, connections=count)
        for live, count in zip(before.pods, (90, 70), strict=True)
    }
    before = replace(before, relays=relays, children={**before.children, "Deployment": deployment})
    outcome = decide(measured(before, 1, {"uid-pod-1": 90, "uid-pod-2": 70}), NOW + timedelta(seconds=1))
    (applied_,) = outcome.apply
    assert applied_["spec"]["replicas"] == 2
    assert [(cost.pod, cost.connections) for cost in outcome.costs] == [("pod-1", 90), ("pod-2", 70)]


def test_another_client_s_number_is_where_autoscaling_goes_on() -> None:
    """It is neither written back nor respected for good, and is no news."""
    before = autoscaled({})
    deployment = copy.deepcopy(dict(before.children["Deployment"]))
    scaled(7)(deployment)
    before = replace(before, children={**before.children, "Deployment": deployment})
    outcome = decide(before, NOW)
    assert [made["spec"]["replicas"] for made in outcome.apply] == [7]
    assert "ScaledFromOutside" not in [note.reason for note in outcome.notes]


def test_without_autoscaling_there_is_no_memory_and_no_condition() -> None:
    """A domain that does not use it costs nothing."""
    before = served()
    outcome = decide(before, NOW)
    assert (outcome.memory, outcome.sheds, outcome.reconcile_at) == (Memory(), (), None)
    assert answer(outcome, before, "ScalingActive") == ("", "")


def test_rebalancing_orders_are_in_the_outcome() -> None:
    """After a scale-out, once the relays are ready and have told their connections."""
    ready = [
        pod(
            name,
            containerStatuses=[{"name": "relay", "ready": True, "restartCount": 0, "state": {"running": {}}}],
        )
        for name in ("pod-1", "pod-2")
    ]
    before = served(pods=ready, live=live_domain(relay={"rebalance": {"connectionsPerSecond": 10}}))
    first = decide(before, NOW)
    assert first.memory.rebalance == RebalanceMemory(2)
    grown = replace(before, memory=Memory(rebalance=RebalanceMemory(1)))
    asked = decide(grown, NOW)
    assert (asked.sheds, asked.reconcile_at) == ((), NOW)
    assert (first.memory.needs_load, asked.memory.needs_load) == (False, True)
    told = measured(replace(grown, memory=asked.memory), 0, {"uid-pod-1": 100, "uid-pod-2": 0})
    outcome = decide(told, NOW)
    assert [(shed.pod["metadata"]["name"], shed.connections) for shed in outcome.sheds] == [("pod-1", 50)]
    assert [note.reason for note in outcome.notes] == ["Rebalancing"]
    assert outcome.reconcile_at == NOW + timedelta(seconds=20)
