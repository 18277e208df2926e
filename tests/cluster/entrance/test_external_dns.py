"""The real sources of external-dns find a domain's name and addresses in the objects of its entrance."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.entrance.gateway import answer, gateway
from support.foreign import GATEWAY_API, Api
from support.go_program import go_program
from support.operator.cluster import Place, domain, plan, until
from wsedge_devcluster.cluster.cluster import Cluster

SOURCES = Path(__file__).parents[2] / "externaldns"
PLAIN = {"name": "http", "port": 80, "protocol": "HTTP"}


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Iterator[Place]:
    api = Api(installed, GATEWAY_API)
    api.install()
    yield Place(installed, namespace)
    api.remove()


def endpoints(place: Place, *sources: str) -> dict[str, set[tuple[str, str, int]]]:
    """Return name, address and lifetime of each record that external-dns would write, by source."""
    program = go_program("externaldns", SOURCES, "./cmd/externaldns")
    where = (f"--kubeconfig={place.cluster.kubeconfig}", f"--namespace={place.namespace}")
    told = subprocess.run([program, *where, *sources], capture_output=True, text=True, check=True)
    found: dict[str, list[dict[str, Any]] | None] = json.loads(told.stdout)
    return {
        source: {(one["dnsName"], one["targets"][0], one.get("recordTTL", 0)) for one in records or ()}
        for source, records in found.items()
    }


def test_external_dns_finds_the_name(place: Place) -> None:
    """A load balancer, an Ingress and a route each lead to a record with the domain's name and lifetime."""
    host = f"{place.namespace}.example.com"
    parent = {"name": "public"}
    asked: dict[str, Any] = {
        "service": {"type": "LoadBalancer", "loadBalancerClass": "example.com/played"},
        "ingress": {},
        "gateway": {"parentRefs": [parent]},
    }
    place.apply(plan(), gateway("public", PLAIN), domain(host=host, exposure={**asked, "dns": {}}))
    children = ("service/chat-relay", "ingress/chat-relay", "httproute/chat-relay")
    until("the entrance exists", lambda: all(place.get(child) for child in children))
    balanced = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    place.set_status("service/chat-relay", balanced)
    place.set_status("ingress/chat-relay", {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}]}})
    place.set_status("gateway/public", {"addresses": [{"type": "IPAddress", "value": "203.0.113.9"}]})
    route = place.get("httproute/chat-relay")
    assert route is not None
    (named,) = route["spec"]["parentRefs"]
    place.set_status("httproute/chat-relay", {"parents": [answer(route, named)]})
    place.await_reason("wsd/chat", "Exposed", "Exposed")

    sources = ("service", "ingress", "gateway-httproute")
    at = dict(zip(sources, ("203.0.113.7", "203.0.113.8", "203.0.113.9"), strict=True))
    assert endpoints(place, *sources) == {source: {(host, at[source], 0)} for source in sources}
    place.patch("wsd/chat", {"spec": {"exposure": {"dns": {"ttlSeconds": 60}}}})
    until("the lifetime is told", lambda: "60" in json.dumps(place.get("ingress/chat-relay")))
    expected = {source: {(host, at[source], 60)} for source in sources}
    until("all records have it", lambda: endpoints(place, *sources) == expected)
    # Without `dns` a Service has no name; an Ingress and a route have theirs in their spec.
    place.patch("wsd/chat", {"spec": {"exposure": {"dns": None}}})
    expected = {source: {(host, at[source], 0)} if source != "service" else set() for source in sources}
    until("the Service has no name", lambda: endpoints(place, *sources) == expected)
