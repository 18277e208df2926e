"""A drain of a node under open connections."""

from __future__ import annotations

import pytest

from support.faults.edge import Site, account, aside, open_connections, open_room
from support.faults.regulars import Regulars
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed


async def test_a_node_is_drained_without_loss(installed: Cluster) -> None:
    """With the flag of docs/install.md the relay's clients get 1001, reconnect, and every byte is counted."""
    with account(installed) as place:
        open_room(place)
        site = Site(place, relay={"replicas": 2})
        await aside(site.await_serving)
        regulars = Regulars(site, 6)
        await regulars.enter()
        pods = site.pods()
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
        leaving = pods[0]
        goes = open_connections(leaving)
        assert 0 < goes < 6
        relays = f"--pod-selector=wsedge.io/domain-name={site.name}"
        drain = ("drain", leaving["spec"]["nodeName"], "--ignore-daemonsets", relays, "--timeout=120s")
        try:
            with pytest.raises(CommandFailed, match="local storage"):
                await aside(installed.kubectl, *drain)
            await regulars.while_it_lasts(aside(installed.kubectl, *drain, "--delete-emptydir-data"))
            await regulars.while_it_lasts(aside(site.await_relays, 2))
        finally:
            installed.kubectl("uncordon", leaving["spec"]["nodeName"])
        assert {pod["spec"]["nodeName"] for pod in site.pods()} == {pods[1]["spec"]["nodeName"]}
        assert regulars.check() == goes
        await site.settle()
