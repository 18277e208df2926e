"""The reconciler of domains: the memory between decisions, and numbers of relays that come again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from support.operator.snapshots import NOW, applied, live_domain, served
from wsedge_operator.kube.kinds import DOMAIN
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.memory import NO_MEMORY, Memory
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.reconcilers.domain import DomainReconciler
from wsedge_operator.runtime.stage import Stage
from wsedge_operator.runtime.triggers import Key

KEY = Key("domain", "team-a", "chat")
AT_ONCE = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Pods", "value": 9, "periodSeconds": 1}],
}
AUTOSCALING = {"maxReplicas": 9, "connectionsPerReplica": 100, "behavior": {"scaleDown": AT_ONCE}}


class Cluster:
    """A domain with autoscaling: its snapshot, its children after each write, and the clock."""

    def __init__(self) -> None:
        self.snapshot = served(live=live_domain(relay={"replicas": 2, "autoscaling": AUTOSCALING}))
        self.failures: dict[Key, str] = {}
        self.contested: dict[Key, str] = {}
        self.memory: Memory = NO_MEMORY
        self.time = NOW
        self.written: list[int] = []

    def now(self) -> datetime:
        return self.time

    async def domain(self, _key: Key, _live: Any, _now: datetime) -> Any:
        return replace(self.snapshot, memory=self.memory)

    def remember(self, _key: Key, memory: Memory) -> None:
        self.memory = memory

    async def perform(self, _key: Key, outcome: Outcome) -> None:
        self.written += [made["spec"]["replicas"] for made in outcome.apply if made["kind"] == "Deployment"]
        self.snapshot = applied(self.snapshot, outcome)

    def measure(self, total: int) -> None:
        """Let 15 s pass, after which the relays carry `total` connections."""
        self.time += timedelta(seconds=15)
        load = RelayLoad(self.time, self.time + timedelta(seconds=15), {"uid-pod-1": total})
        self.snapshot = replace(self.snapshot, load=load)


async def test_a_number_that_comes_again_is_no_write_that_was_reverted() -> None:
    """A load that rises and falls asks for the same numbers within minutes; each is written at once."""
    cluster: Any = Cluster()
    cache = Cache()
    cache.put(DOMAIN, cluster.snapshot.live)
    metrics = Metrics()
    stage = Stage(
        cache, Agenda(cluster, metrics), metrics, version="1", limit=10, pause=timedelta(minutes=10)
    )
    reconciler = DomainReconciler(
        gatherer=cluster, cache=cache, writer=cluster, clock=cluster, relays=cluster, stage=stage
    )
    for total in (200, 200, 600, 200, 600, 200, 600, 200):
        cluster.measure(total)
        again = cluster.now()
        while again == cluster.now():
            again = await reconciler.reconcile(KEY, 0)
        assert again == cluster.now() + timedelta(seconds=15)
    assert cluster.written == [6, 2, 6, 2, 6, 2]
    assert cluster.contested == {}
