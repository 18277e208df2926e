"""An edit of heartbeatSeconds under open connections, measured by clients that record pings."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import AsyncIterator, Iterator

import pytest

from support.faults.client import Client
from support.faults.edge import Site, account, aside, identities, metric, site_of_a_local_room
from support.operator.cluster import Place
from wsedge_devcluster.cluster.cluster import Cluster

PINGS = 3


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain with two relays, the longest heartbeat, and an origin that sends no ping of its own."""
    websocket = {"enabled": True, "originProtocol": "HTTP", "heartbeatSeconds": 300}
    async with site_of_a_local_room(place, websocket=websocket, relay={"replicas": 2}) as site:
        yield site


async def edit(site: Site, seconds: int) -> None:
    """Change the heartbeat, and wait until all relays run it."""
    await aside(lambda: site.patch(websocket={"heartbeatSeconds": seconds}))
    await aside(site.await_serving)


async def interval(client: Client) -> float:
    """Return the median time between pings, measured from now on."""
    before = len(client.pings)
    async with asyncio.timeout(60):
        while len(client.pings) < before + PINGS + 1:  # noqa: ASYNC110  the client's reader fills the list
            await asyncio.sleep(0.02)
    seen = client.pings[before:]
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(seen))


async def test_an_edit_of_the_heartbeat_changes_the_pings_and_closes_nothing(site: Site) -> None:
    """From 300 s to 1 s to 2 s: both legs are pinged anew, connections and pods stay, bytes are counted."""
    clients = await site.crowd.enter(site.door(), number=4)
    pods = site.pods()
    before = identities(pods)
    assert all(metric(pod, "open_connections") > 0 for pod in pods)
    assert [client.pings for client in clients] == [[]] * 4

    # An idle client that answers gets one ping per interval, within a sweep, which is a quarter of it.
    await edit(site, 1)
    fast = await asyncio.gather(*map(interval, clients))
    assert all(0.75 <= each < 1.5 for each in fast), fast
    await edit(site, 2)
    slow = await asyncio.gather(*map(interval, clients))
    assert all(1.5 <= each < 3 for each in slow), slow

    assert all(metric(pod, "pongs_total", 'side="origin"') > 0 for pod in pods)
    assert site.crowd.counts.open == 4
    await site.crowd.talk()
    assert identities(site.pods()) == before
    await site.settle()
