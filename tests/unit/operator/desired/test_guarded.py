"""The administrator's settings for relays: peers of their admin port, networks that they do not dial."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from support.operator.snapshots import NOW, answer, live_domain, message, served, snapshot
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.settings import Settings, problems
from wsedge_relay.contract import DENIED_NETWORKS

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


def test_denied_networks_are_absent_unless_set() -> None:
    """Relays of the first release refuse a configuration with an unknown field."""

    def told(outcome: Outcome) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(made(outcome, "ConfigMap")["data"]["relay.json"])
        return config

    assert "deniedNetworks" not in told(decide(snapshot(), NOW))
    assert told(decide(snapshot(denied_networks=("10.0.0.0/8",)), NOW))["deniedNetworks"] == ["10.0.0.0/8"]
    assert told(decide(snapshot(denied_networks=()), NOW))["deniedNetworks"] == []


@pytest.mark.parametrize(
    ("host", "networks", "denied"),
    [
        ("169.254.169.254", None, True),
        ("fe80::1", None, True),
        ("127.0.0.1", None, False),  # which a relay that listens there may dial
        ("127.0.0.1", ("127.0.0.0/8",), True),
        ("10.0.0.7", None, False),
        ("room.example.net", ("192.0.2.0/24",), False),  # only the relay knows its address
        ("169.254.169.254", (), False),
    ],
)
def test_an_origin_in_a_denied_network_is_a_warning(
    host: str, networks: tuple[str, ...] | None, denied: bool
) -> None:
    """The condition names its field; other origins and other changes are applied."""
    live = live_domain(origins=[{"host": "10.0.0.8"}, {"host": host}])
    before = served(live=live, denied_networks=networks)
    outcome = decide(before, NOW)
    reason = "OriginDenied" if denied else "Current"
    assert answer(outcome, before, "ConfigurationCurrent") == ("True", reason)
    assert answer(outcome, before, "Ready") == ("True", "Serving")
    if denied:
        assert message(outcome, before, "ConfigurationCurrent").startswith("spec.origins[1].host: ")


def test_the_setting_of_denied_networks() -> None:
    """Networks between commas, a word for the default list, a word for none; else an error."""
    assert Settings().denied_origin_networks is None
    assert Settings(denied_origin_networks="none").denied_origin_networks == ()
    read = Settings(denied_origin_networks="default, 10.0.0.0/8").denied_origin_networks
    assert read == (*DENIED_NETWORKS, "10.0.0.0/8")
    for wrong in ("10.0.0.0", "none,10.0.0.0/8", "", "all"):
        with pytest.raises(ValidationError) as refused:
            Settings(denied_origin_networks=wrong)
        assert "WSEDGE_OPERATOR_DENIED_ORIGIN_NETWORKS" in next(iter(problems(refused.value)))


def test_the_setting_of_admin_peers() -> None:
    """The operator's own pods and the added peers; without the setting there is no policy."""
    assert Settings(relay_metrics_from=PEERS).admin_peers is None
    peers = Settings(relay_network_policy=True, relay_metrics_from=PEERS, namespace="ops").admin_peers
    assert peers is not None
    assert peers[0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "ops"}
    assert peers[1:] == PEERS
