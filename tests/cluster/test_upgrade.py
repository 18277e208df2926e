"""From the last release to this one and back, under open connections and traffic.

Programs and chart of the last release come from tests/releases; both run on the packages of this environment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from support_faults.client import Crowd, Refused
from support_faults.edge import Site, account, aside, open_room
from support_operator.cluster import until
from support_releases import LAST_RELEASE, unpack
from wsedge_devcluster.cluster import Cluster
from wsedge_devcluster.quickstart import SYSTEM

CHART = str(Path(__file__).resolve().parents[2] / "charts" / "wsedge")
IMAGE = "ghcr.io/wsedge/wsedge"
NEXT = "next"  # the tag under which the programs of this checkout run
GOING_AWAY = 1001
VISITORS = 4
T = TypeVar("T")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the last release."""
    return unpack(LAST_RELEASE, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def released(old: Path) -> Iterator[Cluster]:
    """A cluster of its own with the last release installed: the CRDs are one set per cluster."""
    with Cluster(nodes=1, backoff_scale=0.1, images={f"{IMAGE}:{LAST_RELEASE}": old}) as cluster:
        chart = str(old / "charts" / "wsedge")
        place = ("--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout=120s")
        cluster.helm("install", "wsedge", chart, *place)
        yield cluster


@pytest.fixture
def site(released: Cluster) -> Iterator[Site]:
    """A domain in front of a room, served by the last release."""
    with account(released) as place:
        open_room(place)
        site = Site(place)
        site.await_serving()
        yield site


class Regulars:
    """Clients that come back when the relay says 1001, and talk all the time."""

    def __init__(self, site: Site) -> None:
        self._site, self._door = site, site.door()
        self.crowd: Crowd = site.crowd

    async def enter(self) -> None:
        """Let them all in."""
        await self.crowd.enter(self._door, number=VISITORS)

    async def while_it_lasts(self, work: Awaitable[T]) -> T:
        """Talk until `work` is done; a client that was sent away is followed by a new one."""
        task = asyncio.ensure_future(work)
        async with asyncio.timeout(300):
            while not task.done():
                await self.crowd.talk()
                for _ in range(VISITORS - len(self.crowd.open)):
                    await self._come_back()
                await asyncio.sleep(0.05)
        return await task

    async def _come_back(self) -> None:
        """Try once; a relay that drains refuses newcomers and sends them to another."""
        try:
            await self.crowd.enter(self._door)
        except Refused as refused:
            assert refused.status == 503  # noqa: PT017  the answer is what is tested
        except ConnectionError:
            return  # between two relays of one pod's rollout

    def check(self) -> int:
        """No client was dropped: each that is not there has been told to go. Returns how many have."""
        gone = [client for client in self.crowd.clients if client.opened and not client.is_open]
        assert [client.close_code for client in gone] == [GOING_AWAY] * len(gone)
        return len(gone)


def images_of(site: Site) -> list[str]:
    """The images of the domain's pods, those that are going included."""
    pods = site.place.items("pod", f"wsedge.io/domain-name={site.name}")
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


def await_rolled(site: Site, image: str) -> None:
    """Wait until the domain is served by relays of an image, and by no others."""
    relays = f"deployment/{site.name}-relay"
    path = f"--for=jsonpath={{.spec.template.spec.containers[0].image}}={image}"
    site.place.kubectl("wait", relays, path, "--timeout=120s")
    until("no other relays are left", lambda: images_of(site) == [image])
    site.await_serving()


async def test_upgrade_and_rollback_lose_nothing(released: Cluster, site: Site) -> None:
    """Relays are replaced by drains, clients come back at 1001, and every byte is in the statistics."""
    regulars = Regulars(site)
    await regulars.enter()
    await site.agreement()

    def release(*command: str) -> Callable[[], str]:
        return lambda: released.helm(*command, "--namespace", SYSTEM, "--wait", "--timeout=120s")

    upgrade = release("upgrade", "wsedge", CHART, "--set", f"image.tag={NEXT}")
    await regulars.while_it_lasts(aside(upgrade))
    await regulars.while_it_lasts(aside(await_rolled, site, f"{IMAGE}:{NEXT}"))
    upgraded = regulars.check()
    assert upgraded >= VISITORS
    await site.agreement()

    await regulars.while_it_lasts(aside(release("rollback", "wsedge", "1")))
    await regulars.while_it_lasts(aside(await_rolled, site, f"{IMAGE}:{LAST_RELEASE}"))
    assert regulars.check() >= upgraded + VISITORS
    await site.settle()
