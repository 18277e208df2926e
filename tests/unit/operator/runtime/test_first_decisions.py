"""What the first decisions about many domains read from the API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest

from support.operator.controller import made
from support.operator.namespaces import Namespaces
from support.operator.snapshots import NOW, applied, live_domain, pod, snapshot
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.errors import ForbiddenError
from wsedge_operator.kube.client import Page
from wsedge_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, DOMAIN, POD, REPLICA_SET, SECRET
from wsedge_operator.peers.relays import NO_ANSWER
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.triggers import Key

KEY = Key("domain", "team-a", "chat")
CONTROLLER = {"apiVersion": "apps/v1", "controller": True}
FORBIDDEN = ForbiddenError("GET", 403, "Forbidden", "no right")


def replica_set(
    uid: str = "uid-set", deployment: str = "uid-Deployment", replicas: int = 1
) -> dict[str, Any]:
    owner = {**CONTROLLER, "kind": "Deployment", "name": "chat-relay"}
    metadata = {
        "name": "set",
        "namespace": "team-a",
        "uid": uid,
        "ownerReferences": [{**owner, "uid": deployment}],
    }
    return {"metadata": metadata, "spec": {"replicas": replicas}}


class Api(Namespaces):
    """An API server with ReplicaSets and a Secret, which may refuse lists; it notes reads by name."""

    def __init__(self, *listed: dict[str, Any], refuses: bool = False, secret: Any = None) -> None:
        self.listed, self.refuses, self.secret = listed, refuses, secret
        self.asked: list[str] = []

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        if kind not in (REPLICA_SET, SECRET):
            return await super().get(kind, namespace, name)
        self.asked.append(kind.kind)
        return replica_set(deployment=OWN) if kind is REPLICA_SET else self.secret

    async def pages(self, kind: Any, namespace: str | None) -> AsyncIterator[Page]:
        if self.refuses:
            raise FORBIDDEN
        yield Page([], "1")
        yield Page(list(self.listed), "1")


class Unreachable:
    """A session by which no relay answers."""

    def get(self, *_: Any, **__: Any) -> Any:
        raise aiohttp.ClientConnectionError


def children() -> dict[str, Any]:
    """Return the children of a domain as they are stored."""
    fresh = snapshot()
    return dict(applied(fresh, decide(fresh, NOW)).children)


def relay_pod() -> dict[str, Any]:
    live = pod()
    live["metadata"] |= {
        "resourceVersion": "1",
        "labels": {"wsedge.io/domain-name": "chat"},
        "ownerReferences": [{**CONTROLLER, "kind": "ReplicaSet", "name": "set", "uid": "uid-set"}],
    }
    return live


async def first(api: Api, *, secret: Any = None) -> DomainSnapshot:
    """Return the first snapshot of a domain with a relay."""
    cache = Cache()
    stored = children()
    cache.put(DOMAIN, live_domain())
    for kind in (CONFIG_MAP, DEPLOYMENT):
        cache.put(kind, stored[kind.kind])
    cache.put(POD, relay_pod())
    if secret is not None:
        cache.put(SECRET, secret)
    server = cast(Any, api)
    accounts = Accounts(server, cache, "UTC")
    gatherer = Gatherer(server, cache, cast(Any, Unreachable()), RelayImage("relay:1"), accounts)
    await gatherer.list_replica_sets(None)
    return await gatherer.domain(KEY, live_domain(), NOW)


OWN = children()["Deployment"]["metadata"]["uid"]
SETS: dict[str, tuple[Api, bool, list[str]]] = {
    "a listed one needs no call": (Api(replica_set(deployment=OWN)), True, []),
    "one of another Deployment owns no relay": (Api(replica_set(deployment="other")), False, []),
    "another one of that name says nothing": (Api(replica_set(uid="new")), True, ["ReplicaSet"]),
    "one that was empty is read by name": (Api(replica_set(replicas=0)), True, ["ReplicaSet"]),
    "without the right to list each is read": (Api(refuses=True), True, ["ReplicaSet"]),
}


@pytest.mark.parametrize("case", SETS)
async def test_replica_sets_are_listed_once(case: str) -> None:
    """Relays are called only where the pod's ReplicaSet exists and belongs to the domain's Deployment."""
    api, is_called, asked = SETS[case]
    (report,) = (await first(api)).relays.values()
    assert api.asked == asked
    assert (report.error == NO_ANSWER) == is_called


def relay_secret(**data: str) -> dict[str, Any]:
    secret = children()["Secret"]
    return {**secret, "data": {**secret["data"], **data}}


async def test_the_secret_of_relays_is_that_of_the_watch() -> None:
    """It is not read again; one that is large is."""
    small, large = relay_secret(), relay_secret(file="x" * 16 * 1024)
    api = Api(replica_set(deployment=OWN), secret=large)
    assert (await first(api, secret=small)).children["Secret"]["data"] == small["data"]
    assert api.asked == []
    assert (await first(api, secret=large)).children["Secret"]["data"] == large["data"]
    assert api.asked == ["Secret"]


@pytest.mark.parametrize("change", [{"labels": {}}, {"name": "other"}], ids=["no label", "another name"])
async def test_no_other_secret_is_kept(change: dict[str, Any]) -> None:
    """A core dump has the Secrets to which domains refer, and no other."""
    secret, cache = relay_secret(), Cache()
    secret = {**secret, "metadata": {**secret["metadata"], **change}}
    cache.put(SECRET, secret)
    assert "data" not in (cache.get(SECRET, "team-a", secret["metadata"]["name"]) or {"data": 1})


def test_objects_are_counted_when_the_metrics_are_read() -> None:
    """A kind whose API was removed has none."""
    operator = made(Cache())
    for name in ("one", "two"):
        live = relay_pod()
        live["metadata"] |= {"name": name, "uid": name}
        operator.intake.receive(POD, False, live)

    def count() -> float | None:
        return operator.metrics.registry.get_sample_value("wsedge_operator_cached_objects", {"kind": "Pod"})

    assert count() == 2
    operator.intake.receive(POD, True, live)
    assert count() == 1
    operator.intake.forget(POD)
    assert count() == 0
