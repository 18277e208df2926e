"""Listeners of Services."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_devcluster.agent.selectors import Candidate, Endpoint
from wsedge_devcluster.agent.services import listeners


def test_listeners() -> None:
    """ClusterIP and node port have a listener; headless Services and UDP ports have none."""
    services = [
        {
            "metadata": {"name": "web", "namespace": "a"},
            "spec": {
                "clusterIP": "1",
                "ports": [{"port": 8080, "nodePort": 30000}, {"port": 53, "protocol": "UDP"}],
            },
        },
        {
            "metadata": {"name": "headless", "namespace": "a"},
            "spec": {"clusterIP": "None", "ports": [{"port": 1}]},
        },
        {
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "2", "ports": [{"port": 6443}]},
        },
    ]
    api = Endpoint("127.0.0.1", 6443)
    found = {(each.host, each.port): each.endpoints for each in listeners(services, [], ["node"], api)}
    assert found == {("1", 8080): (), ("node", 30000): (), ("2", 6443): (api,)}


def pod(address: str, node: str) -> Candidate:
    return Candidate("a", {"app": "web"}, address, node, {}, ready=True, terminating=False)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(
            {},
            {
                "1": (("11", "12"), None),
                "node-1": (("11", "12"), "node-1"),
                "node-2": (("11", "12"), "node-2"),
                "node-3": (("11", "12"), "node-3"),
            },
            id="Cluster: any node leads to every pod, which sees the node",
        ),
        pytest.param(
            {"externalTrafficPolicy": "Local"},
            {
                "1": (("11", "12"), None),
                "node-1": (("11",), None),
                "node-2": (("12",), None),
                "node-3": ((), None),
            },
            id="Local: a node leads to its own pods, which see the client",
        ),
    ],
)
def test_node_ports(policy: dict[str, Any], expected: dict[str, Any]) -> None:
    """A node port has the endpoints and the source address of the Service's externalTrafficPolicy."""
    ports = [{"port": 8080, "nodePort": 30000}]
    spec = {"clusterIP": "1", "selector": {"app": "web"}, "ports": ports, **policy}
    service = {"metadata": {"name": "web", "namespace": "a"}, "spec": spec}
    pods = [pod("11", "node-1"), pod("12", "node-2")]
    nodes = ["node-1", "node-2", "node-3"]
    found = listeners([service], pods, nodes, Endpoint("127.0.0.1", 6443))
    told = {each.host: (tuple(end.address for end in each.endpoints), each.source) for each in found}
    assert told == expected
