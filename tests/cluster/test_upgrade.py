"""An upgrade from the last release and a rollback, under open connections and traffic.

Programs and chart of the last release are in tests/releases; both run on the packages of this environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.faults.edge import Site, account, aside, open_room
from support.faults.regulars import Regulars
from support.operator.cluster import Place, plan, until
from support.releases import LAST_RELEASE, unpack
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

CHART = str(Path(__file__).resolve().parents[2] / "charts" / "wsedge")
IMAGE = "ghcr.io/wsedge/wsedge"
NEXT = "next"  # the tag under which the programs of this checkout run
VISITORS = 4


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sources of the last release."""
    return unpack(LAST_RELEASE, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def released(old: Path) -> Iterator[Cluster]:
    """Run a cluster with the last release installed; its own, because a cluster has one set of CRDs."""
    with Cluster(nodes=1, backoff_scale=0.1, images={f"{IMAGE}:{LAST_RELEASE}": old}) as cluster:
        chart = str(old / "charts" / "wsedge")
        place = ("--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout=120s")
        cluster.helm("install", "wsedge", chart, *place)
        yield cluster


@pytest.fixture
def site(released: Cluster) -> Iterator[Site]:
    """Serve a domain in front of a room with the last release."""
    # Monthly: a test of minutes rarely meets the boundary at which an edit takes effect.
    with account(released, billingCycle="Monthly") as place:
        open_room(place)
        site = Site(place)
        site.await_serving()
        yield site


@pytest.fixture
def newcomer(released: Cluster) -> Iterator[Place]:
    """Create a namespace that becomes an account only after the upgrade."""
    place = Place(released, "newcomer")
    released.kubectl("create", "namespace", place.namespace)
    yield place
    released.kubectl("delete", "namespace", place.namespace, "--wait=false")


def images_of(site: Site) -> list[str]:
    """Return the images of the domain's pods, terminating ones included."""
    pods = site.place.items("pod", f"wsedge.io/domain-name={site.name}")
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


def await_rolled(site: Site, image: str) -> None:
    """Wait until only relays of one image serve the domain."""
    relays = f"deployment/{site.name}-relay"
    path = f"--for=jsonpath={{.spec.template.spec.containers[0].image}}={image}"
    site.place.kubectl("wait", relays, path, "--timeout=120s")
    until("no other relays are left", lambda: images_of(site) == [image])
    site.await_serving()


def standing_terms(place: Place) -> tuple[Any, Any]:
    """Return the terms in force for an account, and their start."""
    live = place.get("bp/plan")
    assert live is not None
    return live["status"]["current"], live["status"]["effectiveTime"]


def ask_for(place: Place, method: str) -> None:
    """Edit the plan, and wait until the running operator has scheduled the change for the boundary."""
    place.patch("bp/plan", {"spec": {"meteringMethod": method}})
    pending = f"--for=jsonpath={{.status.pending.meteringMethod}}={method}"
    place.kubectl("wait", "bp/plan", pending, "--timeout=120s")


def begin(place: Place) -> tuple[Any, Any]:
    """Give an account its plan; return its terms."""
    place.apply(plan(billingCycle="Monthly"))
    place.await_reason("bp/plan", "Ready", "Effective")
    return standing_terms(place)


def statistics_forward(cluster: Cluster) -> None:
    """Give the statistics the newer image again: the last release refuses the ledger that they migrated.

    Relays keep their counts meanwhile; those of a pod that ends cannot wait longer than its grace period.
    """
    system = Place(cluster, SYSTEM)
    until("the statistics refuse to start", lambda: "use the newer program" in statistics_log(system))
    image = f"statistics={IMAGE}:{NEXT}"
    system.kubectl("set", "image", "statefulset/wsedge-statistics", image)
    # a StatefulSet waits for a pod that cannot start before it replaces that pod
    system.kubectl("delete", "pod/wsedge-statistics-0", "--wait=false")
    system.kubectl("rollout", "status", "statefulset/wsedge-statistics", "--timeout=120s")


def statistics_log(system: Place) -> str:
    """Return what the container that ran before has written."""
    try:
        return system.kubectl("logs", "wsedge-statistics-0", "--previous")
    except CommandFailed:
        return ""


async def test_upgrade_and_rollback_lose_nothing(released: Cluster, site: Site, newcomer: Place) -> None:
    """Relays drain one by one, clients reconnect after 1001, every byte is counted, and the terms stay."""
    regulars = Regulars(site, VISITORS)
    await regulars.enter()
    await site.agreement()
    accounts = {site.place: standing_terms(site.place)}

    def release(*command: str) -> Callable[[], str]:
        return lambda: released.helm(*command, "--namespace", SYSTEM, "--wait", "--timeout=120s")

    upgrade = release("upgrade", "wsedge", CHART, "--set", f"image.tag={NEXT}")
    await regulars.while_it_lasts(aside(upgrade))
    await regulars.while_it_lasts(aside(await_rolled, site, f"{IMAGE}:{NEXT}"))
    upgraded = regulars.check()
    assert upgraded >= VISITORS
    await site.agreement()
    accounts[newcomer] = await aside(begin, newcomer)
    for place, terms in accounts.items():
        assert standing_terms(place) == terms
        await aside(ask_for, place, "Month95Bandwidth")

    rollback = ("rollback", "wsedge", "1", "--namespace", SYSTEM)
    await regulars.while_it_lasts(aside(released.helm, *rollback))
    await regulars.while_it_lasts(aside(statistics_forward, released))
    await regulars.while_it_lasts(aside(await_rolled, site, f"{IMAGE}:{LAST_RELEASE}"))
    assert regulars.check() >= upgraded + VISITORS
    # Without a copy of its history at the old place, an account's earlier edit would be in force by now.
    for place, terms in accounts.items():
        await aside(ask_for, place, "Month4thPeakBandwidth")
        assert standing_terms(place) == terms
    await site.settle()
