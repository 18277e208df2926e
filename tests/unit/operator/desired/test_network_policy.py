"""The NetworkPolicy of the relays, which an administrator may switch on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from support.operator.snapshots import NOW, live_domain, served, snapshot
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.outcome import Outcome

PEERS = ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "wsedge-system"}}},)


def made(outcome: Outcome, kind: str) -> Any:
    (found,) = (manifest for manifest in outcome.apply if manifest["kind"] == kind)
    return found


def test_a_policy_closes_only_the_admin_port() -> None:
    """The policy is applied before the pods and deleted after them; client ports are open to all."""
    outcome = decide(snapshot(admin_peers=PEERS), NOW)
    kinds = [manifest["kind"] for manifest in outcome.apply]
    assert kinds.index("NetworkPolicy") < kinds.index("Deployment")
    clients, admin = made(outcome, "NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in clients["ports"]] == [8080, 8443]
    assert "from" not in clients
    assert ([port["port"] for port in admin["ports"]], admin["from"]) == ([9090], list(PEERS))
    before = served(admin_peers=PEERS)
    assert decide(before, NOW).apply == ()
    off = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    left = {kind: before.children[kind] for kind in ("NetworkPolicy", "Secret")}
    gone = decide(replace(before, live=off, pods=(), relays={}, children=left), NOW)
    assert sorted(ref.kind for ref in gone.delete) == ["NetworkPolicy", "Secret"]


def test_a_policy_that_is_no_longer_set_is_deleted() -> None:
    """No pod and no configuration changes."""
    outcome = decide(replace(served(admin_peers=PEERS), admin_peers=None), NOW)
    assert ([ref.kind for ref in outcome.delete], outcome.apply) == (["NetworkPolicy"], ())
