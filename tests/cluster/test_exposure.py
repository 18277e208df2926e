"""The entrance of a domain against real APIs: Service, Ingress, Gateway API, cert-manager.

The CustomResourceDefinitions are those of the projects (tests/foreign); their controllers are played by the
tests, which write the statuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from support.foreign import CERT_MANAGER, GATEWAY_API, Api
from support.operator.cluster import Place, domain, plan, until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

Object = dict[str, Any]
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
OPERATOR = "deployment/wsedge-operator"


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


@pytest.fixture
def host(namespace: str) -> str:
    """Return a domain name of the test's own: a name has one owner in the cluster."""
    return f"{namespace}.example.com"


@pytest.fixture
def gateway_api(installed: Cluster) -> Iterator[Api]:
    api = Api(installed, GATEWAY_API)
    yield api
    api.remove()


@pytest.fixture
def cert_manager(installed: Cluster) -> Iterator[Api]:
    api = Api(installed, CERT_MANAGER)
    api.install()
    yield api
    api.remove()


def set_status(place: Place, resource: str, status: Object) -> None:
    """Write the status of an object as its controller does."""
    change = json.dumps({"status": status})
    place.kubectl("patch", resource, "--subresource=status", "--type=merge", "--patch", change)


def addresses(place: Place) -> list[Object]:
    live = place.get("wsd/chat")
    assert live is not None
    return list(live["status"].get("addresses") or [])


def expose(place: Place, **parts: Any) -> None:
    place.patch("wsd/chat", {"spec": {"exposure": parts or None}})


def condition(type_: str, status: str, reason: str, message: str = "", **more: Any) -> Object:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": NOW,
        **more,
    }


def accept(place: Place, resource: str, *conditions: Object) -> None:
    """Answer for the first parent of a route, as a Gateway's controller."""
    live = place.get(resource)
    assert live is not None
    observed = {"observedGeneration": live["metadata"]["generation"]}
    parent = {
        "parentRef": live["spec"]["parentRefs"][0],
        "controllerName": "example.com/gateway",
        "conditions": [{**each, **observed} for each in conditions],
    }
    set_status(place, resource, {"parents": [parent]})


ACCEPTED = condition("Accepted", "True", "Accepted")
RESOLVED = condition("ResolvedRefs", "True", "ResolvedRefs")


def test_a_service_of_each_type(place: Place, host: str) -> None:
    """A domain is reached by ports of nodes, then at a load balancer's addresses, then within the cluster."""
    place.apply(plan(), domain(host=host, exposure={"service": {"type": "NodePort"}, "dns": {}}))
    told = place.await_reason("wsd/chat", "Exposed", "Exposed")
    service = place.get("service/chat-relay")
    assert service is not None
    port = service["spec"]["ports"][0]["nodePort"]
    assert told["message"] == f"{host} is reached at ports of every node: http {port}"
    assert service["metadata"]["annotations"]["external-dns.kubernetes.io/hostname"] == host
    place.await_reason("wsd/chat", "Ready", "Serving")

    balancer = {"type": "LoadBalancer", "loadBalancerClass": "example.com/played"}
    expose(place, service={**balancer, "annotations": {"example.com/size": "small"}}, dns=None)
    place.await_reason("wsd/chat", "Exposed", "LoadBalancerPending")
    place.await_reason("wsd/chat", "Ready", "LoadBalancerPending")
    place.kubectl("annotate", "service/chat-relay", "cloud.example.com/id=lb-1")
    ingress = [{"ip": "203.0.113.7"}, {"hostname": "lb.example.com"}]
    set_status(place, "service/chat-relay", {"loadBalancer": {"ingress": ingress}})
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert addresses(place) == [
        {"type": "Hostname", "value": "lb.example.com", "via": "Service"},
        {"type": "IPAddress", "value": "203.0.113.7", "via": "Service"},
    ]
    service = place.get("service/chat-relay")
    assert service is not None
    assert service["spec"]["loadBalancerClass"] == "example.com/played"
    # Fields of other writers stay: the port of the nodes, the controller's annotation.
    assert service["spec"]["ports"][0]["nodePort"] == port
    annotations = service["metadata"]["annotations"]
    assert annotations["cloud.example.com/id"] == "lb-1"
    assert "external-dns.kubernetes.io/hostname" not in annotations
    assert "lb.example.com" in place.kubectl("get", "wsd/chat", "--output=wide")

    expose(place)
    until("the Service is a plain one", lambda: _type(place) == "ClusterIP")
    until("the addresses are gone", lambda: addresses(place) == [])
    assert place.condition("wsd/chat", "Exposed") == {}
    service = place.get("service/chat-relay")
    assert service is not None
    assert "nodePort" not in service["spec"]["ports"][0]
    assert "example.com/size" not in service["metadata"]["annotations"]
    place.await_reason("wsd/chat", "Ready", "Serving")
    reasons = [event["reason"] for event in place.items("events.events.k8s.io")]
    assert reasons.count("AddressesChanged") == 2


def _type(place: Place) -> str:
    service = place.get("service/chat-relay")
    assert service is not None
    return str(service["spec"]["type"])


def test_an_ingress(place: Place, host: str) -> None:
    """An Ingress leads to the relays; it stays while the domain is off, and goes when it is not asked for."""
    place.apply(plan(), domain(host=host, exposure={"ingress": {"className": "played"}, "dns": {}}))
    place.await_reason("wsd/chat", "Exposed", "IngressPending")
    place.await_reason("wsd/chat", "Ready", "Serving")
    ingress = place.get("ingress/chat-relay")
    assert ingress is not None
    assert ingress["spec"] == {
        "ingressClassName": "played",
        "rules": [
            {
                "host": host,
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "chat-relay", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
        ],
    }
    set_status(place, "ingress/chat-relay", {"loadBalancer": {"ingress": [{"hostname": "in.example.com"}]}})
    place.await_reason("wsd/chat", "Exposed", "Exposed")
    assert addresses(place) == [{"type": "Hostname", "value": "in.example.com", "via": "Ingress"}]

    place.patch("wsd/chat", {"spec": {"websocket": {"enabled": False}}})
    place.await_reason("wsd/chat", "Ready", "Disabled")
    assert place.get("deployment/chat-relay") is None
    assert place.get("ingress/chat-relay") is not None
    assert [entry["value"] for entry in addresses(place)] == ["in.example.com"]
    expose(place)
    place.await_gone("ingress/chat-relay")
    until("the condition is gone", lambda: place.condition("wsd/chat", "Exposed") == {})


def test_an_api_that_comes_and_goes(place: Place, host: str, gateway_api: Api) -> None:
    """Routes are applied once the Gateway API is installed; without it all else goes on."""
    name = {"name": "public"}
    place.apply(plan(), domain(host=host, exposure={"gateway": {"parentRefs": [name]}}))
    told = place.await_reason("wsd/chat", "Exposed", "APINotInstalled")
    assert told["message"] == "the cluster has no API for the kind HTTPRoute"
    assert place.await_reason("wsd/chat", "Ready", "APINotInstalled")
    deployed = place.get("deployment/chat-relay")
    assert deployed is not None
    assert deployed["status"]["availableReplicas"] == 1
    pod, since = _operator_pod(place), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    gateway_api.install()
    place.await_reason("wsd/chat", "Exposed", "RoutePending")
    route = place.get("httproute/chat-relay")
    assert route is not None
    assert route["spec"]["hostnames"] == [host]
    assert route["spec"]["rules"][0]["backendRefs"] == [
        {"group": "", "kind": "Service", "name": "chat-relay", "port": 80, "weight": 1}
    ]
    refusal = condition("Accepted", "False", "NotAllowedByListeners", "no listener\nallows it")
    accept(place, "httproute/chat-relay", refusal)
    told = place.await_reason("wsd/chat", "Exposed", "RouteRefused")
    assert (
        told["message"]
        == "HTTPRoute: Gateway public refuses it: NotAllowedByListeners: no listener allows it"
    )
    assert place.await_reason("wsd/chat", "Ready", "RouteRefused")
    unresolved = condition("ResolvedRefs", "False", "BackendNotFound", "no Service")
    accept(place, "httproute/chat-relay", ACCEPTED, unresolved)
    place.await_reason("wsd/chat", "Exposed", "RouteNotResolved")

    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    place.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": name,
            "spec": {"gatewayClassName": "played", "listeners": [listener]},
        }
    )
    accept(place, "httproute/chat-relay", ACCEPTED, RESOLVED)
    place.await_reason("wsd/chat", "Ready", "Serving")
    set_status(place, "gateway/public", {"addresses": [{"type": "IPAddress", "value": "203.0.113.9"}]})
    until("the Gateway's address is told", lambda: addresses(place) != [])
    assert addresses(place) == [{"type": "IPAddress", "value": "203.0.113.9", "via": "Gateway"}]
    assert place.condition("wsd/chat", "Exposed")["message"] == f"{host} is reached at 203.0.113.9"

    gateway_api.remove()
    place.await_reason("wsd/chat", "Exposed", "APINotInstalled")
    assert addresses(place) == []
    gateway_api.install()
    place.await_created("httproute/chat-relay")
    place.await_reason("wsd/chat", "Exposed", "RoutePending")
    assert _operator_pod(place) == pod  # neither restarted nor replaced
    text = place.cluster.kubectl("logs", f"--namespace={SYSTEM}", OPERATOR, f"--since-time={since}")
    errors = [line for line in text.splitlines() if '"level": "error"' in line or "Traceback" in line]
    assert errors == []


def _operator_pod(place: Place) -> tuple[str, int]:
    """Return the uid of the operator's pod, and how often it was restarted."""
    items = Place(place.cluster, SYSTEM).items("pods", "app.kubernetes.io/name=wsedge-operator")
    (pod,) = [item for item in items if not item["metadata"].get("deletionTimestamp")]
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]
