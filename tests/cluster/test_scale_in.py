"""A scale-in removes the relays with the fewest connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.faults.client import Door
from support.faults.edge import Site, account, aside, site_of_a_local_room
from support.operator.cluster import Place
from wsedge_devcluster.cluster.cluster import Cluster

COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with three relays."""
    async with site_of_a_local_room(place, relay={"replicas": 3}) as site:
        yield site


async def test_a_scale_in_keeps_the_relay_with_the_most_connections(site: Site) -> None:
    """Deletion costs are written only at a scale-in; the connections of the remaining relay stay open."""
    pods = await aside(site.pods)
    names = [pod["metadata"]["name"] for pod in pods]
    busy: list[Any] = []
    for pod, number in zip(pods, (1, 4, 0), strict=True):
        door = Door(pod["status"]["podIP"], 8080, site.host, None)
        clients = await site.crowd.enter(door, number=number)
        busy = clients if number == 4 else busy
    assert all(COST not in pod["metadata"].get("annotations", {}) for pod in await aside(site.pods))
    await aside(site.scale, 1)
    await aside(site.await_relays, 1)
    (left,) = await aside(site.pods)
    assert left["metadata"]["name"] == names[1]
    assert left["metadata"]["annotations"][COST] == "4"
    for client in busy:
        await client.say()
    await site.crowd.leave()
