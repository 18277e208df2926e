"""Nodes of a cluster."""

from __future__ import annotations

from wsedge_devcluster.agent.nodes import plan_nodes


def test_nodes() -> None:
    """Nodes are spread over regions; simulated nodes are last."""
    nodes = plan_nodes(2, 1, ["a", "b", "c"])
    assert [node.name for node in nodes] == ["node-1", "node-2", "simulated-1"]
    assert len({node.region for node in nodes}) == 3
    assert [node.simulated for node in nodes] == [False, False, True]
