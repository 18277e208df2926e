"""A tenant has no influence on another tenant's relays."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_operator.desired.network_policy import network_policy
from wsedge_operator.settings import Settings

RELAYS = "wsedge.io/domain-name=chat"


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


def post(host: str, port: int, path: str, **headers: str) -> tuple[int, str]:
    """Send a POST; return status and body of the answer."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def relay_of(place: Place, name: str) -> dict[str, Any]:
    (pod,) = place.items("pods", f"wsedge.io/domain-name={name}")
    return pod


def test_only_the_token_drains_a_relay(place: Place, namespace: str) -> None:
    """Neither another pod nor a client of a domain whose origin is a relay's admin port can drain it."""
    place.apply(plan(), domain(host=f"{namespace}.example.com", relay={"replicas": 1}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    pod = relay_of(place, "chat")
    address = pod["status"]["podIP"]
    assert post(address, 9090, "/drain?seconds=0")[0] == 401
    through = domain(
        "evil",
        host=f"evil-{namespace}.example.com",
        relay={"replicas": 1},
        origins=[{"host": address, "httpPort": 9090}],
        passThrough={},
    )
    place.apply(through)
    place.await_reason("wsd/evil", "Ready", "Serving")
    other = relay_of(place, "evil")["status"]["podIP"]
    status, text = post(other, 8080, "/drain?seconds=0", Host=f"evil-{namespace}.example.com")
    assert (status, "admin token" in text) == (401, True)
    assert place.condition("wsd/chat", "Ready")["reason"] == "Serving"

    secret = place.get("secret/chat-relay")
    assert secret is not None
    token = base64.b64decode(secret["data"]["admin-token"]).decode()
    config = place.get("configmap/chat-relay")
    assert token not in str(config)
    page = {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    assert post(address, 9090, "/drain?seconds=0", **page)[0] == 403
    assert post(address, 9090, "/drain?seconds=0", Host="evil.example")[0] == 421
    assert post(address, 9090, "/drain?seconds=0", Authorization=f"Bearer {token}")[0] == 202
    told = place.await_reason("wsd/chat", "Ready", "RelaysDraining")
    assert pod["metadata"]["name"] in told["message"]
    place.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    place.await_reason("wsd/chat", "Ready", "Serving")
    again = place.get("secret/chat-relay")
    assert again is not None
    assert again["data"] == secret["data"]


def test_the_policy_of_relays_is_one(place: Place) -> None:
    """The API server accepts each field of the policy; the network plugin enforces it."""
    owner = {"metadata": {"name": "chat", "namespace": place.namespace, "uid": "u"}}
    peers = Settings(relay_network_policy=True, relay_metrics_from=({"namespaceSelector": {}},)).admin_peers
    assert peers is not None
    manifest = json.dumps(network_policy(owner, peers))
    told = place.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--output=json", "--filename=-", text=manifest
    )
    assert json.loads(told)["spec"] == json.loads(manifest)["spec"]
