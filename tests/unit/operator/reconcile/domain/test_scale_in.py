"""Which relays are deleted first at a scale-in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.operator.snapshots import NOW, live_domain, pod, report, served
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.domain.scale_in import is_scale_in
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, RelayReport
from wsedge_operator.reconcile.outcome import Cost


def three(**connections: int) -> DomainSnapshot:
    """Return a domain of three relays with these numbers of open connections."""
    pods = [pod(name) for name in connections]
    before = served(live=live_domain(relay={"replicas": 3}), pods=pods)
    generation = next(iter(before.relays.values())).state.generation  # type: ignore[union-attr]
    relays = {
        live["metadata"]["uid"]: report(live, generation, connections=connections[live["metadata"]["name"]])
        for live in pods
    }
    return replace(before, relays=relays)


def scaled(before: DomainSnapshot, replicas: int) -> DomainSnapshot:
    return replace(before, live=live_domain(relay={"replicas": replicas}) | {"status": before.live["status"]})


def test_open_connections_are_the_cost_of_each_pod_before_a_scale_in() -> None:
    """The costs and the smaller number are in one outcome, whose order writes costs first."""
    outcome = decide(scaled(three(a=5, b=0, c=70), 2), NOW)
    assert outcome.costs == (Cost("team-a", "a", 5), Cost("team-a", "b", 0), Cost("team-a", "c", 70))
    assert [made["kind"] for made in outcome.apply] == ["Deployment"]


def test_no_cost_is_written_at_any_other_time() -> None:
    """Not without an edit, not before a scale-out, not with an edit of another field."""
    before = three(a=5, b=0, c=70)
    assert decide(before, NOW).costs == ()
    assert decide(scaled(before, 4), NOW).costs == ()
    resources = {"replicas": 3, "resources": {"limits": {"cpu": "1"}}}
    edited = replace(before, live=live_domain(relay=resources) | {"status": before.live["status"]})
    assert [made["kind"] for made in decide(edited, NOW).apply] == ["Deployment"]
    assert decide(edited, NOW).costs == ()


def test_an_equal_cost_is_not_written_again() -> None:
    """A pod that did not answer or is being deleted keeps its annotation."""
    before = three(a=5, b=0, c=70)
    told: dict[str, Any] = {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "5"}}
    a, b, c = before.pods
    pods = (
        {**a, "metadata": {**a["metadata"], **told}},
        {**b, "metadata": {**b["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"}},
        c,
    )
    relays = {**before.relays, "uid-c": RelayReport(0, None, "TimeoutError: ")}
    assert decide(scaled(replace(before, pods=pods, relays=relays), 1), NOW).costs == ()


def test_all_relays_are_queried_before_a_scale_in() -> None:
    """The last answers may be old; at other times current relays are not queried."""
    before = three(a=5, b=0, c=70)
    config_map = before.children["ConfigMap"]
    assert pods_to_query(before.pods, before.relays, config_map) == []
    assert len(pods_to_query(before.pods, before.relays, config_map, scaling_in=True)) == 3


def test_what_a_scale_in_is() -> None:
    """The number is less than the live one; a number that another client decides is none."""
    live = {"spec": {"replicas": 3}}
    assert is_scale_in(live, 2)
    assert not is_scale_in(live, 3)
    assert not is_scale_in(live, None)
    assert not is_scale_in(None, 1)
