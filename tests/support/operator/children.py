"""Children of a served domain as another client or a webhook changes them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from support.operator.snapshots import NOW, served
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome

Live = dict[str, Any]


def with_child(kind: str, change: Callable[[Live], object], **changes: Any) -> DomainSnapshot:
    """Return a served domain with one child that another client changed."""
    before = served(**changes)
    child = copy.deepcopy(dict(before.children[kind]))
    change(child)
    return replace(before, children={**before.children, kind: child})


def template(live: Live) -> Live:
    found: Live = live["spec"]["template"]
    return found


def relay(live: Live) -> Live:
    found: Live = template(live)["spec"]["containers"][0]
    return found


def pod_spec(live: Live) -> Live:
    found: Live = template(live)["spec"]
    return found


def scaled(replicas: int, manager: str = "kube-controller-manager", sub: str = "scale") -> Any:
    entry = {"manager": manager, "operation": "Update", "subresource": sub}
    fields: dict[str, Any] = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}

    def change(live: Live) -> None:
        live["spec"]["replicas"] = replicas
        live["metadata"]["managedFields"] = [{**entry, **fields}]
        live["status"] |= dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)

    return change


def settled(before: DomainSnapshot) -> Outcome:
    """Return the outcome once the Deployment has the digest of the manifest desired now."""
    outcome = decide(before, NOW)
    (applied,) = outcome.apply
    live = copy.deepcopy(dict(before.children["Deployment"]))
    live["metadata"]["annotations"] |= applied["metadata"]["annotations"]
    return decide(replace(before, children={**before.children, "Deployment": live}), NOW)
