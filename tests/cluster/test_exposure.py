"""The entrance of a domain against real APIs: Service, Ingress, Gateway API, cert-manager.

The CustomResourceDefinitions are those of the projects (tests/foreign); their controllers are played by the
tests, which write the statuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import last_release
from support.foreign import CERT_MANAGER, GATEWAY_API, Api
from support.operator.cluster import Place, domain, plan, until
from support.operator.keys import tls_secret
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.kube.access import find_access
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import DOMAIN

Object = dict[str, Any]
NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
OPERATOR = "deployment/wsedge-operator"
LAST_DEFINITION = Path(last_release.__file__).parent / "crds" / "wsedge.io_websocketdomains.yaml"


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


ISSUER = {"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}}


def test_a_certificate(place: Place, host: str, cert_manager: Api) -> None:
    """A domain waits for cert-manager's Secret with its words; a Secret of another owner is not replaced."""
    del cert_manager
    tls = {"secretName": "made-tls"}
    theirs = tls_secret("their-tls", f"b-{host}")
    place.apply(
        plan(),
        theirs,
        domain(host=host, tls=tls, exposure={"certificate": ISSUER}),
        domain("b", host=f"b-{host}", tls={"secretName": "their-tls"}, exposure={"certificate": ISSUER}),
    )
    place.await_reason("wsd/chat", "Ready", "CertificatePending")
    made = place.get("certificate/chat-relay")
    assert made is not None
    reference = {**ISSUER["issuerRef"], "group": "cert-manager.io"}
    assert made["spec"] == {"secretName": "made-tls", "dnsNames": [host], "issuerRef": reference}
    assert place.get("deployment/chat-relay") is None
    waits = condition("Ready", "False", "DoesNotExist", "Issuing certificate as Secret does not exist")
    set_status(place, "certificate/chat-relay", {"conditions": [waits]})
    said = "the Certificate is not ready: DoesNotExist: Issuing certificate as Secret does not exist"
    until("cert-manager's words are told", lambda: said in place.condition("wsd/chat", "Ready")["message"])
    failed = condition("Issuing", "False", "Failed", "The certificate request has failed: rate limited")
    set_status(place, "certificate/chat-relay", {"conditions": [waits, failed]})
    place.await_reason("wsd/chat", "Exposed", "CertificateFailed")

    # Everything of the second domain goes on, with the Secret that is there.
    place.await_reason("wsd/b", "Ready", "Serving")
    place.await_reason("wsd/b", "Exposed", "SecretOfAnotherOwner")
    assert place.get("certificate/b-relay") is None

    issued = tls_secret("made-tls", host)
    issued["metadata"]["annotations"] = {"cert-manager.io/certificate-name": "chat-relay"}
    place.apply(issued)
    set_status(place, "certificate/chat-relay", {"conditions": [condition("Ready", "True", "Ready")]})
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.await_reason("wsd/chat", "Exposed", "Exposed")

    as_operator = f"--as=system:serviceaccount:{SYSTEM}:wsedge-operator"
    for change in ({"dnsNames": [host, "bank.example.com"]}, {"isCA": True}, {"dnsNames": ["*.example.com"]}):
        patch = json.dumps({"spec": change})
        with pytest.raises(CommandFailed, match="only Certificates of one host name"):
            place.kubectl("patch", "certificate/chat-relay", "--type=merge", as_operator, "--patch", patch)
    expose(place)
    place.await_gone("certificate/chat-relay")
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert place.get("secret/made-tls") is not None


def test_listeners_and_routes_for_wss(place: Place, host: str, gateway_api: Api) -> None:
    """A domain with TLS brings its listeners; a TLSRoute passes wss through; the writes are bounded."""
    gateway_api.install()
    asked = {"parentRefs": [{"name": "public"}], "listenerSet": {}}
    tls = {"secretName": "chat-tls"}
    place.apply(plan(), tls_secret("chat-tls", host), domain(host=host, tls=tls, exposure={"gateway": asked}))
    place.await_created("tlsroute/chat-relay")
    listeners = place.get("listenerset/chat-relay")
    assert listeners is not None
    assert [(each["port"], each["protocol"]) for each in listeners["spec"]["listeners"]] == [
        (80, "HTTP"),
        (443, "TLS"),
    ]
    observed = {"observedGeneration": listeners["metadata"]["generation"]}
    refusal = condition("Accepted", "False", "NotAllowed", "no", **observed)
    set_status(place, "listenerset/chat-relay", {"conditions": [refusal]})
    place.await_reason("wsd/chat", "Exposed", "ListenersRefused")
    set_status(place, "listenerset/chat-relay", {"conditions": [{**ACCEPTED, **observed}]})
    accept(place, "tlsroute/chat-relay", ACCEPTED)
    place.await_reason("wsd/chat", "Ready", "Serving")
    versions = {name: place.get(name) for name in ("tlsroute/chat-relay", "httproute/chat-relay")}

    as_operator = f"--as=system:serviceaccount:{SYSTEM}:wsedge-operator"
    backend = {"name": "database", "port": 5432}
    elsewhere = {"name": "chat-relay", "namespace": "other", "port": 80}
    changes: tuple[Object, ...] = (
        {"rules": [{"backendRefs": [backend]}]},
        {"rules": [{"backendRefs": [elsewhere]}]},
        {"hostnames": [host, "bank.example.com"]},
        {"hostnames": []},
    )
    for spec in changes:
        patch = json.dumps({"spec": spec})
        with pytest.raises(CommandFailed, match="only routes of one host name that lead to relays"):
            place.kubectl("patch", "httproute/chat-relay", "--type=merge", as_operator, "--patch", patch)
    # A settled entrance is not written again: an edit that concerns nothing of it leaves it as it is.
    place.patch("wsd/chat", {"spec": {"accessLog": {"samplePercent": 1}}})
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert {name: place.get(name) for name in versions} == versions


def test_a_right_that_is_missing(place: Place, host: str) -> None:
    """Without a right on Ingresses the reason says so, relays serve, and a later grant is used."""
    role = json.loads(place.cluster.kubectl("get", "clusterrole/wsedge-operator", "--output=json"))
    rules = [rule for rule in role["rules"] if rule["resources"] != ["ingresses"]]
    assert len(rules) == len(role["rules"]) - 1
    grant = ("patch", "clusterrole/wsedge-operator", "--type=merge", "--patch")
    place.cluster.kubectl(*grant, json.dumps({"rules": rules}))
    try:
        place.cluster.kubectl("rollout", "restart", OPERATOR, f"--namespace={SYSTEM}")
        place.cluster.kubectl("rollout", "status", OPERATOR, f"--namespace={SYSTEM}", "--timeout=120s")
        place.apply(plan(), domain(host=host, exposure={"ingress": {}}))
        told = place.await_reason("wsd/chat", "Exposed", "APIForbidden")
        assert "ingresses.networking.k8s.io is forbidden" in told["message"]
        place.await_reason("wsd/chat", "Ready", "APIForbidden")
        deployed = place.get("deployment/chat-relay")
        assert deployed is not None
        assert deployed["status"]["availableReplicas"] == 1
    finally:
        place.cluster.kubectl(*grant, json.dumps({"rules": role["rules"]}))
    place.await_reason("wsd/chat", "Exposed", "IngressPending")
    place.await_created("ingress/chat-relay")


def test_a_part_that_is_refused_stops_no_other(place: Place, host: str) -> None:
    """A quota without load balancers refuses the Service; the Ingress and the relays are as asked for."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota"},
        "spec": {"hard": {"services.loadbalancers": "0"}},
    }
    place.apply(quota, plan(), domain(host=host, exposure={"ingress": {}}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    until(
        "the quota counts", lambda: "used" in ((place.get("resourcequota/quota") or {}).get("status") or {})
    )
    ingress = {"className": "public"}
    place.patch(
        "wsd/chat",
        {
            "spec": {
                "exposure": {"service": {"type": "LoadBalancer"}, "ingress": ingress},
                "websocket": {"heartbeatSeconds": 9},
            }
        },
    )
    told = place.await_reason("wsd/chat", "Ready", "ApplyFailed")
    assert "services.loadbalancers" in told["message"]
    until("the Ingress has its class", lambda: _class_of(place) == "public")
    assert place.config("chat")["domains"][0]["heartbeatSeconds"] == 9
    place.kubectl("delete", "resourcequota/quota")
    place.await_reason("wsd/chat", "Ready", "LoadBalancerPending")


def _class_of(place: Place) -> str | None:
    live = place.get("ingress/chat-relay")
    assert live is not None
    return live["spec"].get("ingressClassName")


def test_the_definition_of_the_last_release(place: Place, host: str) -> None:
    """An older definition drops spec.exposure, and withdraws nothing; statuses have no addresses."""
    exposure = {"service": {"type": "LoadBalancer", "loadBalancerClass": "example.com/played"}, "ingress": {}}
    manifest = domain(host=host, exposure=exposure)
    place.apply(plan(), manifest)
    place.await_created("ingress/chat-relay")
    balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    set_status(place, "service/chat-relay", balancer)
    until("the address is told", lambda: addresses(place) != [])
    before = place.get("ingress/chat-relay")
    assert before is not None
    name = "websocketdomains.wsedge.io"
    own = json.loads(place.cluster.kubectl("get", f"crd/{name}", "--output=json"))
    last = yaml.safe_load(LAST_DEFINITION.read_text())
    with replaced(place.cluster, own, last):
        # The operator still has the object as it was; its status is refused, and written without addresses.
        until("the definition is in force", lambda: "exposure" not in explained(place))
        set_status(place, "service/chat-relay", {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}})
        until("the status has no addresses", lambda: addresses(place) == [])
        # An edit under this definition has no spec.exposure.
        place.patch("wsd/chat", {"spec": {"accessLog": {"samplePercent": 1}}})
        told = place.await_reason("wsd/chat", "Exposed", "DefinitionOutdated")
        assert told["status"] == "Unknown"
        place.await_reason("wsd/chat", "Ready", "Serving")
        assert "exposure" not in (place.get("wsd/chat") or {})["spec"]
        assert _type(place) == "LoadBalancer"
    until("the address is told again", lambda: addresses(place) != [])
    assert _type(place) == "LoadBalancer"
    place.apply(manifest)
    place.await_reason("wsd/chat", "Exposed", "IngressPending")
    after = place.get("ingress/chat-relay")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@contextmanager
def replaced(cluster: Cluster, own: Object, other: Object) -> Iterator[None]:
    """Replace a definition by that of another release within the block."""

    def install(definition: Object) -> None:
        metadata = {key: own["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
        parts = {key: definition[key] for key in ("apiVersion", "kind", "spec")}
        document = json.dumps({**parts, "metadata": metadata})
        options = ("--server-side", "--field-manager=helm", "--force-conflicts", "--filename=-")
        cluster.kubectl("apply", *options, input=document)

    install(other)
    try:
        yield
    finally:
        install(own)


async def test_a_status_under_each_definition(place: Place, host: str) -> None:
    """Server-side apply refuses a whole status for one unknown field; a dry run finds that."""
    place.apply(domain(host=host, enabled=False))
    name = "websocketdomains.wsedge.io"
    own = json.loads(place.cluster.kubectl("get", f"crd/{name}", "--output=json"))
    last = yaml.safe_load(LAST_DEFINITION.read_text())
    live = place.get("wsd/chat")
    assert live is not None
    access = find_access({"KUBECONFIG": str(place.cluster.kubeconfig)})
    async with Client(access, call_seconds=10) as client:
        assert await client.declares(DOMAIN, live, {"addresses": []})
        with replaced(place.cluster, own, last):
            until("the definition is in force", lambda: "exposure" not in explained(place))
            assert not await client.declares(DOMAIN, live, {"addresses": []})
            assert await client.declares(DOMAIN, live, {"replicas": 0})


def explained(place: Place) -> str:
    return place.kubectl("explain", "wsd.spec")
