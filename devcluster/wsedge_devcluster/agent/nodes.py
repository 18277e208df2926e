"""Nodes: their registration, and the heartbeat that keeps them Ready."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog

from wsedge_devcluster.agent.api import STRATEGIC, Api
from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.quantities import CAPACITY
from wsedge_devcluster.agent.times import micro_stamp, stamp, utc_now
from wsedge_devcluster.errors import ApiError

log = structlog.get_logger()

SIMULATED = "devcluster.wsedge.io/simulated"
_HEARTBEAT_SECONDS = 10.0  # the kubelet's own: a quarter of leaseDurationSeconds
# After an outage the controller manager counts a node as lost until its Lease is renewed: renew it fast.
_HURRIED_SECONDS, _HURRIED_BEATS = 1.0, 20
_LEASE_SECONDS = 40
_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_REGIONS = ("shanghai", "frankfurt", "virginia", "singapore")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the agent."""

    name: str
    address: str
    region: str
    simulated: bool


def plan_nodes(count: int, simulated: int, addresses: Sequence[str]) -> list[Node]:
    """Return the nodes with names, addresses and regions; simulated nodes are last."""
    nodes = []
    for number in range(count + simulated):
        is_simulated = number >= count
        name = f"simulated-{number - count + 1}" if is_simulated else f"node-{number + 1}"
        nodes.append(Node(name, addresses[number], _REGIONS[number % len(_REGIONS)], is_simulated))
    return nodes


def node_object(node: Node, kubelet_port: int, version: str) -> Object:
    """Return the Node as a kubelet registers it."""
    now = stamp(utc_now())
    labels = {
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
            platform.machine(), platform.machine()
        ),
        "topology.kubernetes.io/region": node.region,
        "topology.kubernetes.io/zone": f"{node.region}-a",
    }
    if node.simulated:
        labels[SIMULATED] = "true"
    capacity = {**CAPACITY, "pods": "5000" if node.simulated else "500"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {"providerID": f"wsedge-devcluster://{node.name}"},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", now),
                _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", now),
                _condition("PIDPressure", "False", "KubeletHasSufficientPID", now),
                _condition("Ready", "True", "KubeletReady", now),
            ],
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            # The API server passes WebSockets of exec and port-forward on, instead of a SPDY connection.
            "declaredFeatures": ["ExtendWebSocketsToKubelet"],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kernelVersion": platform.release(),
                "osImage": "processes of this machine",
                "containerRuntimeVersion": "wsedge-devcluster://0.1.0",
                "kubeletVersion": version,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": labels["kubernetes.io/arch"],
            },
        },
    }


def _condition(kind: str, status: str, reason: str, now: str) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": f"node agent: {reason}",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


class Heartbeat:
    """Registers one node and renews its Lease; restores its Ready condition after an outage."""

    def __init__(self, api: Api, body: Object) -> None:
        self._api, self._body = api, body
        self._name: str = body["metadata"]["name"]

    async def register(self) -> None:
        """Create the Node, or adopt the Node of an earlier run."""
        try:
            await self._api.create(_NODES, self._body)
        except ApiError as error:
            if error.code != 409:
                raise
            labels = {"metadata": {"labels": self._body["metadata"]["labels"]}}
            await self._api.patch(f"{_NODES}/{self._name}", labels)
            await self._write_status()
        await self._renew()

    async def run(self) -> None:
        """Run until cancelled; the API server may be down meanwhile."""
        hurried = 0
        while True:
            await asyncio.sleep(_HURRIED_SECONDS if hurried else _HEARTBEAT_SECONDS)
            hurried = max(0, hurried - 1)
            try:
                await self._renew()
                await self._repair()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("heartbeat failed", node=self._name, error=repr(error))
                hurried = _HURRIED_BEATS

    async def _renew(self) -> None:
        spec = {
            "holderIdentity": self._name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": micro_stamp(utc_now()),
        }
        try:
            await self._api.patch(f"{_LEASES}/{self._name}", {"spec": spec})
        except ApiError as error:
            if error.code != 404:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name},
            }
            await self._api.create(_LEASES, {**lease, "spec": spec})

    async def _repair(self) -> None:
        node = await self._api.get(f"{_NODES}/{self._name}")
        ready = [c["status"] for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
        if ready != ["True"]:
            log.warning("node ready condition restored", node=self._name)
            await self._write_status()

    async def _write_status(self) -> None:
        now = stamp(utc_now())
        status = dict(self._body["status"])
        status["conditions"] = [
            {**condition, "lastHeartbeatTime": now, "lastTransitionTime": now}
            for condition in status["conditions"]
        ]
        await self._api.patch(f"{_NODES}/{self._name}/status", {"status": status}, STRATEGIC)
