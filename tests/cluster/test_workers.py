"""A relay with two workers in a cluster: one relay to its clients, the operator and the statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from support.faults.edge import Site, account, aside, identities, metric, site_of_a_local_room
from support.operator.cluster import Place
from wsedge_devcluster.cluster.cluster import Cluster


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with one relay of two workers."""
    async with site_of_a_local_room(place, relay={"replicas": 1, "workers": 2}) as site:
        yield site


async def test_two_workers_are_one_relay(site: Site) -> None:
    """It becomes ready, serves, applies an edit under open connections, and counts every byte once."""
    (pod,) = await aside(site.pods)
    assert metric(pod, "workers") == 2
    await site.crowd.enter(site.door(), number=16)
    await site.crowd.talk()
    assert metric(pod, "open_connections") == 16
    before = identities([pod])
    await aside(lambda: site.patch(websocket={"heartbeatSeconds": 30}))
    await aside(site.await_serving)
    await site.crowd.talk()
    assert identities(await aside(site.pods)) == before
    assert site.crowd.counts.open == 16
    await site.settle()
