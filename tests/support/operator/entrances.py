"""Served domains with an entrance, and what its controllers write."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from support.operator.snapshots import NOW, answer, applied, live_domain, message, served
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome

GATEWAY_API = "gateway.networking.k8s.io/v1"
APIS = {
    "Ingress": "networking.k8s.io/v1",
    "Gateway": GATEWAY_API,
    "HTTPRoute": GATEWAY_API,
    "TLSRoute": GATEWAY_API,
    "ListenerSet": GATEWAY_API,
    "Certificate": "cert-manager.io/v1",
}
ADDRESS = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
PARENTS = [{"name": "public"}]


def exposed(*, apis: Mapping[str, Any] = APIS, tls: Any = None, **parts: Any) -> DomainSnapshot:
    """Return a served domain with these parts of an entrance."""
    spec = {"exposure": parts, **({"tls": tls} if tls else {})}
    return served(live=live_domain(**spec), apis=apis)


def edited(before: DomainSnapshot, **spec: Any) -> DomainSnapshot:
    """Return the snapshot after an edit of the spec; None removes a field."""
    live = copy.deepcopy(dict(before.live))
    for name, value in spec.items():
        live["spec"].pop(name, None)
        if value is not None:
            live["spec"][name] = value
    live["metadata"]["generation"] += 1
    return replace(before, live=live)


def with_status(before: DomainSnapshot, kind: str, status: Mapping[str, Any]) -> DomainSnapshot:
    """Return the snapshot after a controller has written the status of a child."""
    child = {**before.children[kind], "status": dict(status)}
    return replace(before, children={**before.children, kind: child})


def parents(*conditions: Mapping[str, Any], parent: Mapping[str, Any] = PARENT) -> dict[str, Any]:
    """Return the status of a route with the answer of one parent."""
    return {"parents": [{"parentRef": dict(parent), "conditions": [dict(each) for each in conditions]}]}


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason or type_, "message": message}


def is_exposed(before: DomainSnapshot) -> tuple[str, str, str]:
    """Return status, reason and message of Exposed."""
    outcome = decide(before, NOW)
    status, reason = answer(outcome, before, "Exposed")
    return status, reason, message(outcome, before, "Exposed") if status else ""


def ready(before: DomainSnapshot) -> tuple[str, str]:
    return answer(decide(before, NOW), before, "Ready")


def values(before: DomainSnapshot) -> list[str]:
    """Return the addresses in the status after the next decision."""
    live = applied(before, decide(before, NOW)).live
    return [entry["value"] for entry in live["status"].get("addresses", [])]


def entrance(outcome: Outcome) -> list[str]:
    return [made["kind"] for made in outcome.entrance]


def retired(outcome: Outcome) -> list[str]:
    return [ref.kind for ref in outcome.retire]
