"""The HorizontalPodAutoscaler of Kubernetes on the subresource `scale`, by itself and as KEDA creates it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.faults.edge import Site, account, aside, meanwhile, metric, site_of_a_local_room
from support.operator.cluster import Place, until
from support.operator.metrics_api import metrics_api
from wsedge_devcluster.cluster.cluster import Cluster

CONNECTIONS = "wsedge_open_connections"
KEDA = "s0-prometheus"


class Load:
    """The metrics that the HPA gets: of the pods of each domain, and of a whole domain."""

    def __init__(self) -> None:
        self.sites: list[Site] = []
        self.external: dict[str, float] = {}

    def of_pods(self, namespace: str, name: str) -> Mapping[str, float]:
        """Return the relays' own metric, as prometheus-adapter does by docs/size.md."""
        assert name == CONNECTIONS
        return {
            pod["metadata"]["name"]: metric(pod, "open_connections")
            for site in self.sites
            if site.place.namespace == namespace
            for pod in site.pods()
            if pod["status"].get("containerStatuses", [{}])[0].get("ready")
        }

    def of_domain(self, namespace: str, name: str) -> float:
        """Return a value that the test sets."""
        return self.external.get(name, 0.0)


@pytest.fixture
def load(installed: Cluster, tmp_path: Path) -> Iterator[Load]:
    load = Load()
    with metrics_api(installed, tmp_path, of_pods=load.of_pods, external=load.of_domain):
        yield load


@pytest.fixture
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


def autoscaler(site: Site, *metrics: dict[str, Any], name: str = "chat") -> dict[str, Any]:
    """Return an HPA from 2 to 5 relays that removes relays at once."""
    target = {"apiVersion": "wsedge.io/v1alpha1", "kind": "WebSocketDomain", "name": site.name}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 2,
            "maxReplicas": 5,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            "metrics": list(metrics),
        },
    }


def of_keda(site: Site) -> dict[str, Any]:
    """Return the HPA that KEDA 2 creates for the ScaledObject in docs/size.md."""
    selector = {"matchLabels": {"scaledobject.keda.sh/name": site.name}}
    target = {"type": "AverageValue", "averageValue": "10"}
    external = {"metric": {"name": KEDA, "selector": selector}, "target": target}
    made = autoscaler(site, {"type": "External", "external": external}, name=f"keda-hpa-{site.name}")
    made["metadata"]["labels"] = {"scaledobject.keda.sh/name": site.name}
    return made


def condition(place: Place, name: str, kind: str) -> dict[str, Any]:
    return place.condition(f"hpa/{name}", kind)


async def test_an_hpa_scales_by_the_relays_metric(place: Place, load: Load) -> None:
    """It writes spec.relay.replicas, which the operator never does; applying again keeps the number."""
    async with site_of_a_local_room(place, relay={}) as site:
        load.sites.append(site)
        await aside(site.await_relays, 2)
        pods = {"metric": {"name": CONNECTIONS}, "target": {"type": "AverageValue", "averageValue": "10"}}
        await site.crowd.enter(await aside(site.door), number=50)
        await aside(place.apply, autoscaler(site, {"type": "Pods", "pods": pods}))
        await meanwhile(site.crowd, aside(site.await_relays, 5))
        assert len(site.crowd.open) == 50
        text = await aside(place.kubectl, "get", site.resource, "--output=json", "--show-managed-fields")
        live = json.loads(text)
        assert live["spec"]["relay"]["replicas"] == 5
        writers = {
            entry["manager"] for entry in live["metadata"]["managedFields"] if "f:spec" in entry["fieldsV1"]
        }
        assert "wsedge" not in writers
        manifest = json.loads(
            live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        )
        await aside(place.apply, manifest)
        assert (await aside(place.get, site.resource) or {})["spec"]["relay"]["replicas"] == 5
        for client in site.crowd.clients[20:]:
            await client.leave()
        await meanwhile(site.crowd, aside(site.await_relays, 2))
        await site.crowd.leave()


async def test_an_external_metric_scales_as_by_keda(place: Place, load: Load) -> None:
    """A ScaledObject becomes an HPA; beside relay.autoscaling that one is refused with a reason."""
    async with site_of_a_local_room(place, relay={}) as site:
        own = {"maxReplicas": 3, "connectionsPerReplica": 10}
        async with site_of_a_local_room(place, relay={"autoscaling": own}) as other:
            load.external[KEDA] = 45.0
            await aside(place.apply, of_keda(site), of_keda(other))
            await aside(site.await_relays, 5)
            name = f"keda-hpa-{other.name}"
            await aside(
                until,
                "the HPA is refused",
                lambda: condition(place, name, "AbleToScale").get("reason") == "FailedUpdateScale",
            )
            message = (await aside(condition, place, name, "AbleToScale"))["message"]
            assert "relay.autoscaling decides the number of relays" in message
            assert len(await aside(other.pods)) == 2
            load.external[KEDA] = 5.0
            await aside(site.await_relays, 2)
