"""Listeners of Services."""

from __future__ import annotations

from wsedge_devcluster.agent.selectors import Endpoint
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
