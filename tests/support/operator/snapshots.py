"""Snapshots for decisions: a served domain, and changes of one thing in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.desired.names import child_key
from wsedge_operator.desired.relay_config import Resolved
from wsedge_operator.reconcile.account.state import AccountState
from wsedge_operator.reconcile.domain.claims import DomainClaim
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.pods import restarts
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, RelayReport
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_relay import contract
from wsedge_relay.contract import RelayConfig, RelayState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 12, 1, 0, 0, tzinfo=UTC)
IN_FORCE = AccountState(True, "Effective", "in force since 2026-11-01T00:00:00Z")
SCHEDULED = AccountState(False, "Scheduled", "the BillingPlan takes effect at 2026-12-01T00:00:00Z", LATER)
NO_PLAN = AccountState(False, "NoPlan", "this namespace has no BillingPlan in force; apply one")
TOKEN = "t" * 43
URL = "http://127.96.0.9"
RESOLVED = Resolved((contract.Origin(host="10.0.0.7"),), {}, None)


def live_domain(**spec: Any) -> dict[str, Any]:
    """Return a WebSocketDomain as the API server stores it."""
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "WebSocketDomain",
        "metadata": {
            "name": "chat",
            "namespace": "team-a",
            "uid": "uid-chat",
            "generation": 7,
            "resourceVersion": "10",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "domain": "chat.example.com",
            "websocket": {"enabled": True, "heartbeatSeconds": 60, "originProtocol": "HTTP"},
            "origins": [{"host": "10.0.0.7"}],
            **spec,
        },
    }


def claim(name: str = "chat", day: int = 1, *, namespace: str = "team-a", **rights: Any) -> DomainClaim:
    return DomainClaim(datetime(2026, 11, day, tzinfo=UTC), f"uid-{name}", namespace, name, **rights)


def snapshot(**changes: Any) -> DomainSnapshot:
    """Return a new domain whose plan is in force."""
    made = DomainSnapshot(
        live=live_domain(),
        account_state=IN_FORCE,
        image=RelayImage("relay:1"),
        new_token=TOKEN,
        claims=(claim(),),
        statistics_url=URL,
    )
    return replace(made, **changes)


def pod(name: str = "pod-1", **status: Any) -> dict[str, Any]:
    """Return a running relay pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team-a", "uid": f"uid-{name}"},
        "status": {
            "phase": "Running",
            "podIP": "127.97.0.5",
            "containerStatuses": [{"name": "relay", "restartCount": 0, "state": {"running": {}}}],
            **status,
        },
    }


def waiting(reason: str, message: str = "", restarts: int = 0) -> dict[str, Any]:
    """Return the status of a pod whose container waits."""
    status = {
        "name": "relay",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }
    return {"containerStatuses": [status]}


def report(live: Mapping[str, Any], generation: str, *, connections: int = 0, **state: Any) -> RelayReport:
    running = RelayState(generation=generation, draining=False, openConnections=connections, **state)
    return RelayReport(restarts(live), running)


def stored(manifest: Any, version: int = 1) -> dict[str, Any]:
    """Return a manifest as the API server stores it: with a uid and defaults."""
    metadata = {**manifest["metadata"], "uid": f"uid-{manifest['kind']}", "resourceVersion": str(version)}
    live = {
        **manifest,
        "metadata": {**metadata, "generation": 1, "creationTimestamp": "2026-11-22T12:00:00Z"},
    }
    if live["kind"] == "Service":
        live["spec"] = {**live["spec"], "clusterIP": "127.96.0.20", "sessionAffinity": "None"}
    if live["kind"] == "Deployment":
        wanted = live["spec"].get("replicas", 1)
        live["status"] = {
            "observedGeneration": 1,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": wanted,
        }
    return live


def applied(before: DomainSnapshot, outcome: Outcome) -> DomainSnapshot:
    """Return the snapshot after `outcome` was applied."""
    made = (*outcome.apply, *outcome.entrance)
    name = before.live["metadata"]["name"]
    children = {**before.children, **{child_key(each, name): stored(each) for each in made}}
    gone = {(ref.kind, ref.name) for ref in (*outcome.delete, *outcome.retire)}
    live = dict(before.live)
    for status in outcome.status:
        live["status"] = dict(status.status)
    kept = {key: one for key, one in children.items() if (one["kind"], one["metadata"]["name"]) not in gone}
    return replace(before, live=live, children=kept)


def served(*, pods: Sequence[dict[str, Any]] | None = None, **changes: Any) -> DomainSnapshot:
    """Return a served domain: all children exist, and each pod runs the current generation."""
    fresh = snapshot(**changes)
    running = applied(fresh, decide(fresh, NOW))
    generation = running.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    alive = list(pods) if pods is not None else [pod("pod-1"), pod("pod-2")]
    relays = {live["metadata"]["uid"]: report(live, generation) for live in alive}
    full = replace(running, pods=tuple(alive), relays=relays)
    return applied(full, decide(full, NOW))


def answer(outcome: Outcome, before: DomainSnapshot, question: str) -> tuple[str, str]:
    """Return status and reason of a condition after `outcome`."""
    live = applied(before, outcome).live
    found = {entry["type"]: entry for entry in live["status"]["conditions"]}
    return (found[question]["status"], found[question]["reason"]) if question in found else ("", "")


def message(outcome: Outcome, before: DomainSnapshot, question: str) -> str:
    live = applied(before, outcome).live
    return str(next(e["message"] for e in live["status"]["conditions"] if e["type"] == question))


def service(name: str, *ports: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"clusterIP": "127.96.0.7", "ports": [{"port": port} for port in ports], **spec},
    }


def secret(name: str, **contents: bytes) -> dict[str, Any]:
    """Return a Secret; `tls_crt=` sets the key tls.crt."""
    data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in contents.items()}
    return {"metadata": {"name": name, "namespace": "team-a"}, "data": data}


def kinds(outcome: Outcome) -> list[str]:
    """Return the kinds of the manifests that `outcome` applies, in order."""
    return [made["kind"] for made in outcome.apply]


def config(outcome: Outcome) -> RelayConfig:
    """Return the RelayConfig in the ConfigMap that `outcome` applies."""
    (text,) = [made["data"]["relay.json"] for made in outcome.apply if made["kind"] == "ConfigMap"]
    return RelayConfig.model_validate_json(text)


def switched_off(connections: int, at: datetime = NOW) -> tuple[DomainSnapshot, Outcome]:
    """Return a domain that is switched off at NOW and drains, and its outcome at `at`."""
    good = served()
    live = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    live["metadata"]["generation"] = 8
    live["status"] = good.live["status"]
    before = replace(good, live=live)
    outcome = decide(before, NOW)
    after = applied(before, outcome)
    generation = config(outcome).generation
    relays = {p["metadata"]["uid"]: report(p, generation, connections=connections) for p in after.pods}
    after = replace(after, relays=relays)
    return after, decide(after, at)
