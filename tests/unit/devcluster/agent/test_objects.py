"""Keys of API objects."""

from __future__ import annotations

from wsedge_devcluster.agent.objects import key_of


def test_the_key_has_the_namespace_if_there_is_one() -> None:
    """A cluster-wide object is its name."""
    assert key_of({"metadata": {"name": "web", "namespace": "team-a"}}) == "team-a/web"
    assert key_of({"metadata": {"name": "node-1"}}) == "node-1"
