"""Geo databases on a volume of the cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.faults.edge import Site, account, aside, metric, site_of_a_local_room
from support.operator.cluster import Place, until
from support.relay.geo_files import mmdb
from wsedge_devcluster.cluster.cluster import Cluster

CITY = mmdb({"127.0.0.0/8": {"country": {"iso_code": "DE"}}})
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "places"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with account(installed) as place:
        yield place


@pytest.fixture
async def site(place: Place) -> AsyncIterator[Site]:
    """Serve a domain whose relay mounts a volume that has no database yet."""
    await aside(place.apply, CLAIM)
    relay = {"replicas": 1, "geo": {"volumeClaimName": "places", "city": "maxmind/City.mmdb"}}
    async with site_of_a_local_room(place, relay=relay) as site:
        yield site


def put(folder: Path) -> None:
    """Write the database as an updater does: to a temporary name, then renamed."""
    folder.mkdir()
    (folder / "City.new").write_bytes(CITY)
    (folder / "City.new").replace(folder / "City.mmdb")


async def test_a_database_is_loaded_as_soon_as_it_is_on_the_volume(site: Site) -> None:
    """The relays serve without the database, and load it without a restart."""
    (pod,) = await aside(site.pods)
    assert metric(pod, "geo_files", 'file="city"') == 0
    claim = await aside(site.place.get, "pvc/places")
    assert claim is not None
    volume = await aside(site.place.get, f"pv/{claim['spec']['volumeName']}")
    assert volume is not None
    put(Path(volume["spec"]["hostPath"]["path"], "maxmind"))
    await aside(until, "the database is taken", lambda: metric(pod, "geo_files", 'file="city"') == 1)
    (client,) = await site.crowd.enter(site.door())
    await client.say()
    await site.crowd.leave()
