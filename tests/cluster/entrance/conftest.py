"""Domains with certificates of a real cert-manager, and their clients."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from quickstart.room import Rooms
from websockets.asyncio.server import ServerConnection, serve

from support.entrance.visitors import Visitors, load_databases
from support.faults.edge import Site, account, aside
from support.operator.cert_manager import cert_manager, create_authority
from support.operator.cluster import Place
from wsedge_devcluster.cluster.cluster import Cluster

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "places"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@pytest.fixture(scope="module")
def place(installed: Cluster) -> Iterator[Place]:
    with cert_manager(installed), account(installed) as place:
        yield place


@pytest.fixture(scope="module")
def authority(place: Place) -> str:
    create_authority(place, "edge-ca")
    place.apply(CLAIM)
    return "edge-ca"


@pytest.fixture
async def visitors(place: Place, authority: str) -> AsyncIterator[Visitors]:
    """Serve a domain with a certificate of cert-manager; its origin notes the address of each client."""
    seen: list[str] = []
    rooms = Rooms()

    async def watch(viewer: ServerConnection) -> None:
        assert viewer.request is not None
        seen.append(viewer.request.headers["X-Real-IP"])
        await rooms.watch(viewer)

    async with serve(watch, "127.0.0.1", 0, ping_interval=None) as running:
        port = next(iter(running.sockets)).getsockname()[1]
        site = await aside(
            lambda: Site(
                place,
                origins=[{"host": "127.0.0.1", "httpPort": port}],
                originRequest={"xRealIP": True},
                accessLog={"samplePercent": 100},
                relay={"replicas": 1, "geo": {"volumeClaimName": "places", "isp": "isp.mmdb"}},
                tls={"secretName": f"tls-{uuid.uuid4().hex[:6]}"},
                exposure={"certificate": {"issuerRef": {"name": authority}}},
            )
        )
        await aside(site.await_serving)
        await aside(load_databases, site)
        yield Visitors(site, seen)
        await aside(site.remove)
