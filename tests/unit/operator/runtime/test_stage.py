"""The turns of all domains, as one process of the operator keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from support.operator.controller import Clock
from support.operator.snapshots import NOW, live_domain, served, stored, waiting
from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN, POD
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.reconcile.rollouts import Mark
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.stage import WARM_UP, Stage
from wsedge_operator.runtime.triggers import ROLLOUTS, Key

PAUSE = timedelta(minutes=10)
ASKS = Outcome(waits=True, held="x")
NOTHING = Outcome()
STARTS = Outcome(starts=True, held="x")


class Domains:
    """A cache of domains, the older the lower their number, and a stage of two."""

    def __init__(self, *names: str, limit: int = 2) -> None:
        self.cache = Cache()
        self.metrics = Metrics()
        self.agenda = Agenda(Clock(), self.metrics)
        self.lives = {name: self._live(name) for name in names}
        for live in self.lives.values():
            self.cache.put(DOMAIN, live)
        self.stage = self.restarted(limit)

    def restarted(self, limit: int = 2) -> Stage:
        return Stage(self.cache, self.agenda, self.metrics, version="v2", limit=limit, pause=PAUSE)

    def _live(self, name: str) -> dict[str, Any]:
        namespace, _, number = name.partition("/")
        live = live_domain()
        times = {"creationTimestamp": f"2026-11-01T00:00:{int(number):02}Z"}
        live["metadata"] |= {"name": f"chat-{number}", "namespace": namespace, "uid": name, **times}
        return live

    def key(self, name: str) -> Key:
        live = self.lives[name]["metadata"]
        return Key("domain", live["namespace"], live["name"])

    def snapshot(self, name: str, *, state: str = "") -> DomainSnapshot:
        """Return a snapshot whose rollout is `rolling`, or `failed`, or none."""
        children: dict[str, Any] = {}
        pods: tuple[Any, ...] = ()
        if state:
            children["Deployment"] = self.deployment(name)
            pods = (self.pod(name),) if state == "failed" else ()
        return replace(served(), live=self.lives[name], children=children, pods=pods)

    def deployment(self, name: str, version: str = "v2", uid: str = "") -> dict[str, Any]:
        live = self.lives[name]["metadata"]
        labels = {"app.kubernetes.io/managed-by": "wsedge", "wsedge.io/domain-name": live["name"]}
        owner = {"apiVersion": "wsedge.io/v1alpha1", "kind": "WebSocketDomain", "uid": uid or live["uid"]}
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": f"{live['name']}-relay",
                "namespace": live["namespace"],
                "labels": labels,
                "annotations": {"wsedge.io/rollout": str(Mark(version, NOW))},
                "ownerReferences": [{**owner, "name": live["name"], "controller": True}],
            },
            "spec": {"replicas": 1},
        }
        return stored(manifest)

    def pod(self, name: str) -> dict[str, Any]:
        live = self.lives[name]["metadata"]
        labels = {"wsedge.io/domain-name": live["name"]}
        where = {"name": f"{live['name']}-1", "namespace": live["namespace"], "uid": f"pod {name}"}
        return {"metadata": {**where, "labels": labels}, "status": waiting("ImagePullBackOff")}

    def note(self, name: str, outcome: Outcome, *, state: str = "", now: datetime = NOW) -> None:
        self.stage.note(self.key(name), self.snapshot(name, state=state), outcome, now)

    def granted(self, *, now: datetime = NOW) -> list[str]:
        """Return the domains that have a turn."""
        return [name for name in self.lives if self.complete(name, now).turn.granted]

    def complete(self, name: str, now: datetime = NOW) -> DomainSnapshot:
        return self.stage.complete(self.key(name), self.snapshot(name), now)

    async def requested(self) -> list[str]:
        """Return and remove the domains that are requested."""
        found = []
        names = {self.key(name): name for name in self.lives} | {ROLLOUTS: "rollouts"}
        while len(self.agenda._queue):
            key = await self.agenda.next_key()
            self.agenda.done(key)
            found.append(names[key])
        return sorted(found)

    def gauge(self, state: str) -> float | None:
        return self.metrics.registry.get_sample_value("wsedge_operator_rollouts", {"state": state})


async def test_the_oldest_go_first_once_all_were_decided() -> None:
    """No turn is granted before each domain was reconciled once; then the two oldest have theirs."""
    made = Domains("a/1", "a/2", "b/3", "b/4")
    for name in ("b/4", "b/3", "a/2"):
        made.note(name, ASKS)
        assert made.granted() == []
    assert made.complete("b/4").turn.again == NOW + WARM_UP
    made.note("a/1", NOTHING)
    assert made.granted() == ["a/2", "b/3"]
    assert await made.requested() == ["a/2", "b/3"]
    turn = made.complete("b/4").turn
    assert (turn.granted, turn.paused, turn.again) == (False, False, None)
    assert "this domain's turn" in turn.message
    assert made.gauge("waiting") == 3


async def test_the_next_one_begins_when_a_rollout_is_complete() -> None:
    """A rollout keeps its turn from its decision on, and gives it to the next domain at its end."""
    made = Domains("a/1", "a/2", "a/3", limit=1)
    for name in made.lives:
        made.note(name, ASKS)
    assert made.granted() == ["a/1"]
    made.note("a/1", STARTS)  # nothing is written yet
    assert made.granted() == []
    made.note("a/1", NOTHING, state="rolling")
    await made.requested()
    assert (made.granted(), made.gauge("rolling")) == ([], 1)
    made.note("a/1", NOTHING)
    assert (made.granted(), await made.requested()) == (["a/2"], ["a/2"])


async def test_a_domain_that_cannot_be_reconciled_delays_the_others_for_half_a_minute() -> None:
    """After the warm-up turns are granted although a domain was never decided."""
    made = Domains("a/1", "a/2")
    made.note("a/2", ASKS)
    assert made.granted() == []
    later = NOW + WARM_UP
    made.note("a/2", ASKS, now=later)
    assert made.granted(now=later) == ["a/2"]
    assert made.complete("a/2", later).turn.again is None


async def test_failures_pause_and_their_end_resumes() -> None:
    """Domains of the failed account wait, and the message names a failed domain to its own account only."""
    made = Domains("a/1", "a/2", "b/3", "b/4", "c/5")
    for name in made.lives:
        made.note(name, ASKS)
    made.note("a/1", NOTHING, state="failed")
    assert made.granted() == ["b/3"]
    assert await made.requested() == ["a/1", "a/2", "b/3"]  # the first two had their turn before
    own, other = made.complete("a/2").turn, made.complete("b/4").turn
    assert (own.paused, "the relays of chat-1 did not run" in own.message) == (True, True)
    assert (other.paused, other.granted) == (False, False)
    made.note("b/3", NOTHING, state="failed")
    assert made.granted() == []
    away = made.complete("c/5").turn
    assert (away.paused, "chat" in away.message, made.gauge("failed")) == (True, False, 2)
    await made.requested()
    made.note("a/1", NOTHING)
    made.note("b/3", NOTHING)
    assert made.granted() == ["a/2", "c/5"]  # the accounts that failed are last, with a turn that is free
    assert await made.requested() == ["a/2", "b/4", "c/5"]
    assert made.complete("b/4").turn.paused is False


async def test_a_restart_continues_where_the_last_process_stopped() -> None:
    """Rollouts and failures are read from Deployments and pods before any domain is reconciled."""
    made = Domains("a/1", "a/2", "b/3", "b/4")
    made.cache.put(DEPLOYMENT, made.deployment("a/1"))
    made.cache.put(DEPLOYMENT, made.deployment("b/3"))
    made.cache.put(POD, made.pod("b/3"))
    made.cache.put(POD, {"metadata": {"name": "x", "namespace": "a", "uid": "x", "labels": {}}, "status": {}})
    # Another object has the name of this domain's Deployment, and is none of ours.
    foreign = made.deployment("b/4", uid="theirs")
    foreign["metadata"]["ownerReferences"][0]["kind"] = "Other"
    made.cache.put(DEPLOYMENT, foreign)
    made.stage = made.restarted()
    made.note("a/2", ASKS)
    for name, state in (("a/1", "rolling"), ("b/3", "failed"), ("b/4", "")):
        made.note(name, NOTHING, state=state)
    assert made.granted() == []  # one rolls, which is the limit after a failure
    assert made.complete("b/4").turn.paused
    made.note("a/1", NOTHING)
    assert made.granted() == ["a/2"]


async def test_a_turn_is_given_back_and_a_deleted_domain_is_forgotten() -> None:
    """A refused write keeps no turn; a deleted domain neither waits nor holds a turn, nor a template."""
    made = Domains("a/1", "a/2", limit=1)
    made.note("a/1", ASKS)
    made.note("a/2", ASKS)
    assert made.complete("a/1").held == "x"
    made.note("a/1", STARTS)
    made.stage.give_back(made.key("a/1"), NOW)
    assert made.granted() == ["a/2"]
    made.note("a/2", STARTS)
    made.stage.forget(made.key("a/2"), NOW)
    made.stage.forget(made.key("a/2"), NOW + timedelta(seconds=1))
    made.note("a/1", ASKS)
    assert (made.granted(), made.complete("a/2").held) == (["a/1"], None)


async def test_a_pause_ends_by_itself() -> None:
    """After failures in two accounts all wait, then one domain at a time is tried."""
    made = Domains("a/1", "b/2", "a/3", "c/4", "d/5", "e/6")
    for name in made.lives:
        made.note(name, ASKS)
    made.note("a/1", NOTHING, state="failed")
    made.note("b/2", NOTHING, state="failed")
    assert "rollouts" in await made.requested()
    until = NOW + PAUSE
    assert (made.stage.review(NOW), made.granted()) == (until, [])
    assert made.stage.review(until) is None
    assert (made.granted(), await made.requested()) == (["c/4"], ["c/4"])
    assert made.complete("c/4").turn.is_probe
    assert made.complete("d/5").turn.paused
    # The probe fails: the next pause is twice as long.
    made.note("c/4", NOTHING, state="failed", now=until)
    assert (made.granted(), "rollouts" in await made.requested()) == ([], True)
    later = until + 2 * PAUSE
    assert made.stage.review(until) == later
    made.stage.review(later)
    assert made.granted() == ["d/5"]
    # The probe succeeds: the next one begins at once, and the next pause is short.
    made.note("d/5", STARTS, now=later)
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    status = {"observedGeneration": 9, "replicas": 1, "updatedReplicas": 1, "conditions": [done]}
    rolled = {"Deployment": {**made.deployment("d/5"), "status": status}}
    complete = replace(made.snapshot("d/5"), children=rolled)
    made.stage.note(made.key("d/5"), complete, NOTHING, later)
    assert made.granted() == ["e/6"]
    made.note("e/6", NOTHING, state="failed", now=later)
    assert made.stage.review(later) == later + PAUSE
    # An account that failed once pauses the others no more.
    made.note("a/1", NOTHING, now=later + PAUSE)
    made.note("a/1", NOTHING, state="failed", now=later + PAUSE)
    assert made.stage.review(later + PAUSE) is None


async def test_accounts_that_failed_once_are_last() -> None:
    """A tenant whose relays fail, recover and fail again delays only its own domains."""
    made = Domains("a/1", "a/2", "a/3", "b/4", limit=1)
    for name in ("a/2", "a/3", "b/4"):
        made.note(name, ASKS)
    made.note("a/1", NOTHING, state="failed")
    assert made.granted() == ["b/4"]
    made.note("a/1", NOTHING)
    assert made.granted() == ["b/4"]
    made.note("b/4", NOTHING)
    assert made.granted() == ["a/2"]
