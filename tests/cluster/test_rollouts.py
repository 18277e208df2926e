"""Staged rollouts on a real API server: an upgrade, a restart of the operator within it, a broken image."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan, until
from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.chart import SYSTEM, install_chart
from wsedge_devcluster.cluster.cluster import Cluster, quiet

CHART = str(Path(__file__).resolve().parents[2] / "charts" / "wsedge")
IMAGE = "ghcr.io/wsedge/wsedge"
LIMIT = 3
# Relays of simulated pods run at once and answer for their configuration, whatever their image is.
SIMULATED = "--set-string=relay.pod.annotations.devcluster\\.wsedge\\.io/simulated=true"
SHORT_PAUSE = "--set=operator.rolloutPauseSeconds=5"
STAGED = f"--set=operator.maxParallelRollouts={LIMIT}"
_FIELDS = (
    "{.metadata.namespace}/{.metadata.name} {.metadata.generation} {.status.observedGeneration}"
    ' {.status.replicas} {.status.updatedReplicas} {.status.conditions[?(@.type=="Progressing")].reason}'
    ' {.spec.template.spec.containers[0].image}{"\\n"}'
)


@dataclass(frozen=True)
class Seen:
    """A Deployment at one time of a watch."""

    name: str
    image: str
    complete: bool


class Watch:
    """All changes of the relays' Deployments, in order."""

    def __init__(self, cluster: Cluster, file: Path) -> None:
        self._file = file
        command: list[Any] = [
            ensure_binaries(quiet)["kubectl"],
            f"--kubeconfig={cluster.kubeconfig}",
            "get",
            "deployments",
        ]
        selector = "--selector=app.kubernetes.io/managed-by=wsedge"
        with file.open("w") as out:
            self._process = subprocess.Popen(
                [*command, "--all-namespaces", "--watch", selector, f"--output=jsonpath={_FIELDS}"],
                stdout=out,
            )

    def seen(self) -> list[Seen]:
        found = []
        for line in self._file.read_text().splitlines():
            name, generation, observed, replicas, updated, reason, image = line.split(" ")
            complete = generation == observed and replicas == updated and reason == "NewReplicaSetAvailable"
            found.append(Seen(name, image, complete))
        return found

    def most_at_once(self, image: str) -> int:
        """Return of how many Deployments at most the pods were replaced with `image` at the same time."""
        rolling: set[str] = set()
        done: set[str] = set()
        most = 0
        for seen in self.seen():
            if seen.image == image:
                (done if seen.complete else rolling).add(seen.name)
            most = max(most, len(rolling - done))
        return most

    def order(self, image: str) -> list[str]:
        """Return the Deployments in the order in which they got `image`."""
        return list(dict.fromkeys(seen.name for seen in self.seen() if seen.image == image))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def edge() -> Iterator[Cluster]:
    """Run a cluster of its own, whose operator is upgraded."""
    with Cluster(nodes=1, backoff_scale=0.1) as cluster:
        install_chart(cluster, "--wait", "--timeout=120s", SIMULATED, STAGED)
        yield cluster


@pytest.fixture
def watch(edge: Cluster, tmp_path: Path) -> Iterator[Watch]:
    made = Watch(edge, tmp_path / "deployments")
    yield made
    made.close()


def upgrade(cluster: Cluster, *values: str) -> None:
    place = ("--namespace", SYSTEM, "--wait", "--timeout=120s")
    cluster.helm("upgrade", "wsedge", CHART, *place, STAGED, *values)


def account(cluster: Cluster, name: str, count: int, **spec: Any) -> list[Place]:
    """Serve domains in a namespace; return it once for each domain, whose name ends in its number."""
    place = Place(cluster, name)
    cluster.kubectl("create", "namespace", name)
    place.apply(plan())
    for number in range(count):
        place.apply(domain(f"chat-{number}", host=f"chat-{number}.{name}.example.com", **spec))
    for number in range(count):
        place.await_reason(f"wsd/chat-{number}", "Ready", "Serving")
    return [place] * count


def images(cluster: Cluster) -> list[str]:
    live = Place(cluster, "").cluster.kubectl(
        "get",
        "deployments",
        "--all-namespaces",
        "--selector=app.kubernetes.io/managed-by=wsedge",
        '--output=jsonpath={range .items[*]}{.spec.template.spec.containers[0].image}{"\\n"}{end}',
    )
    return live.split()


def reasons(place: Place) -> list[str]:
    """Return the reasons of Ready of all domains of a namespace."""
    found: list[str] = []
    for live in place.items("wsd"):
        entries: list[dict[str, Any]] = live["status"]["conditions"]
        found += [f"{entry['status']} {entry['reason']}" for entry in entries if entry["type"] == "Ready"]
    return found


def await_reasons(place: Place, *expected: str) -> None:
    """Wait until the domains of a namespace, in the order of their names, have these reasons of Ready."""
    try:
        until("these reasons", lambda: reasons(place) == list(expected))
    except AssertionError:
        assert reasons(place) == list(expected)


def test_an_upgrade_is_staged(edge: Cluster, watch: Watch) -> None:
    """At most three domains at a time, through a restart; a broken image stops it, a fix resumes it."""
    first, second = account(edge, "team-a", 7), account(edge, "team-b", 5)
    team_a, team_b = first[0], second[0]
    names = [f"team-a/chat-{n}-relay" for n in range(7)] + [f"team-b/chat-{n}-relay" for n in range(5)]

    # An operator whose pods are the same replaces none.
    upgrade(edge, SIMULATED, "--set=operator.logLevel=debug")
    assert set(images(edge)) == {f"{IMAGE}:0.1.0"}

    upgrade(edge, SIMULATED, "--set=relay.image.tag=two")
    until("some domain has the new image", lambda: f"{IMAGE}:two" in images(edge))
    edge.kubectl(
        "delete", "pod", "--selector=app.kubernetes.io/name=wsedge-operator", f"--namespace={SYSTEM}"
    )
    until("all domains have the new image", lambda: set(images(edge)) == {f"{IMAGE}:two"})
    for place in (team_a, team_b):
        await_reasons(place, *["True Serving"] * len(reasons(place)))
    assert watch.most_at_once(f"{IMAGE}:two") <= LIMIT
    assert sorted(watch.order(f"{IMAGE}:two")) == sorted(names)

    broken = "registry.example.com/none:three"
    upgrade(edge, "--set=relay.image.repository=registry.example.com/none", "--set=relay.image.tag=three")
    # Three of one account fail; one of the other account goes on, and fails too.
    expected = (["False ImagePullBackOff"] * 3 + ["True RolloutPaused"] * 4, ["False ImagePullBackOff"])
    await_reasons(team_a, *expected[0])
    await_reasons(team_b, *expected[1], *["True RolloutPaused"] * 4)
    assert images(edge).count(broken) == 4
    assert sorted(watch.order(broken)[:3]) == names[:3]
    told = team_b.condition("wsd/chat-4", "Ready")["message"]
    assert "the relays of chat-0 did not run with it" in told
    events = [event for event in team_b.items("events") if event["reason"] == "RolloutPaused"]
    assert {event["type"] for event in events} == {"Warning"}
    # A user's own edit is not held back, and other fields of a Deployment that waits are written.
    team_b.patch("wsd/chat-4", {"spec": {"relay": {"workers": 2}}})
    until("the edit is applied", lambda: images(edge).count(broken) == 5)
    team_a.patch("wsd/chat-6", {"spec": {"relay": {"replicas": 2}}})
    team_a.kubectl("rollout", "status", "deployment/chat-6-relay", "--timeout=60s")
    live = team_a.get("deployment/chat-6-relay")
    assert live is not None
    assert live["status"]["availableReplicas"] == 2
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == f"{IMAGE}:two"

    upgrade(edge, SIMULATED, "--set=relay.image.tag=four")
    for place in (team_a, team_b):
        await_reasons(place, *["True Serving"] * len(reasons(place)))
    assert set(images(edge)) == {f"{IMAGE}:four"}


def test_tenants_cannot_hold_up_an_upgrade(edge: Cluster) -> None:
    """Rollouts that fail on purpose in two accounts pause the others for a while, and not for ever."""
    upgrade(edge, SIMULATED, SHORT_PAUSE)
    # Their relays are real, so that the image of the upgrade, which no registry has, does not run there.
    real = {"replicas": 1, "pod": {"annotations": {"devcluster.wsedge.io/simulated": "false"}}}
    for name in ("mallory-a", "mallory-b"):
        account(edge, name, 1, relay=real)
    honest = account(edge, "honest", 4)[0]
    broken = "registry.example.com/none"
    new = (f"--set=relay.image.repository={broken}", "--set=relay.image.tag=five")
    # One at a time, the oldest first: both tenants have failed before any other domain has its turn.
    upgrade(edge, SIMULATED, SHORT_PAUSE, "--set=operator.maxParallelRollouts=1", *new)
    until("each tenant has the upgrade", lambda: set(images(edge)) == {f"{broken}:five"})
    for name in ("mallory-a", "mallory-b"):
        await_reasons(Place(edge, name), "False ImagePullBackOff")
    await_reasons(honest, *["True Serving"] * 4)
    probed = [event for event in honest.items("events") if event["reason"] == "RolloutProbed"]
    assert {event["involvedObject"]["name"] for event in probed} == {f"chat-{n}" for n in range(4)}
    assert {event["type"] for event in probed} == {"Normal"}
