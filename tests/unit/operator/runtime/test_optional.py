"""Kinds of APIs that come and go: read, watched, unusable, removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.operator.controller import turns
from wsedge_operator.errors import (
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    OperatorError,
    UnreachableError,
)
from wsedge_operator.kube.kinds import OPTIONAL, Kind
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.runtime.optional import OptionalKinds

INGRESS = OPTIONAL[0][0]
CERTIFICATE = next(kind for versions in OPTIONAL for kind in versions if kind.kind == "Certificate")
FORBIDDEN = ForbiddenError("GET", 403, "Forbidden", "no right")


class Cluster:
    """An API server and an intake: what is served, what each list answers, which events a watch has."""

    def __init__(self, *served: Kind) -> None:
        self.served: frozenset[Kind] | OperatorError = frozenset(served)
        self.lists: dict[Kind, OperatorError] = {}
        self.events: asyncio.Queue[tuple[str, Any] | OperatorError] = asyncio.Queue()
        self.calls: list[str] = []
        self.requested: list[str | None] = []

    async def optional_kinds(self) -> frozenset[Kind]:
        if isinstance(self.served, OperatorError):
            raise self.served
        return self.served

    async def list_kind(self, kind: Kind, scope: str | None) -> str:
        await asyncio.sleep(0)
        self.calls.append(f"list {kind.plural} {scope}")
        if kind in self.lists:
            raise self.lists[kind]
        return "1"

    async def watch(self, kind: Kind, scope: str | None, version: str) -> AsyncIterator[tuple[str, Any]]:
        self.calls.append(f"watch {kind.plural} {version}")
        while True:
            event = await self.events.get()
            if isinstance(event, OperatorError):
                raise event
            yield event

    def receive(self, kind: Kind, is_deleted: bool, live: Any) -> None:
        self.calls.append(f"{'deleted' if is_deleted else 'put'} {kind.plural} {live['metadata']['name']}")

    def forget(self, kind: Kind) -> None:
        self.calls.append(f"forget {kind.plural}")


@asynccontextmanager
async def following(cluster: Cluster, *scopes: str | None) -> AsyncIterator[OptionalKinds]:
    double: Any = cluster
    kinds = OptionalKinds(
        discovery=double,
        client=double,
        intake=double,
        scopes=scopes or (None,),
        request=cluster.requested.append,
        restarted=lambda kind, why: None,
        retry_seconds=0,
        grace_seconds=0,
        unusable_seconds=0,
    )
    task = asyncio.create_task(kinds.follow())
    try:
        yield kinds
    finally:
        task.cancel()
        await asyncio.wait({task})


def event(type_: str, version: int, name: str = "chat-relay") -> tuple[str, Any]:
    return type_, {"metadata": {"name": name, "resourceVersion": str(version)}}


async def discovered(kinds: OptionalKinds) -> None:
    """Let the operator ask for the kinds again, and react."""
    kinds.discover_soon()
    await turns(50)


async def test_a_kind_is_listed_and_watched_while_it_is_served() -> None:
    """Events go to the intake; a removed API leaves nothing, and an installed one is read."""
    cluster = Cluster(INGRESS)
    async with following(cluster) as kinds:
        await kinds.settled()
        assert kinds.apis("team-a") == {"Ingress": "networking.k8s.io/v1"}
        assert kinds.kinds("team-a") == {"Ingress": INGRESS}
        for each in (event("ADDED", 5), event("BOOKMARK", 7), event("DELETED", 8)):
            cluster.events.put_nowait(each)
        await turns(50)
        assert cluster.calls[-2:] == ["put ingresses chat-relay", "deleted ingresses chat-relay"]
        cluster.served = frozenset({CERTIFICATE})
        cluster.requested.clear()
        await discovered(kinds)
        assert "forget ingresses" in cluster.calls
        assert kinds.apis("team-a") == {"Certificate": "cert-manager.io/v1"}
        assert cluster.requested == [None, None]  # the domains of the removed kind, and of the new one


async def test_a_kind_that_cannot_be_read_delays_no_other() -> None:
    """Its reason is told; the others are used."""
    cluster = Cluster(INGRESS, CERTIFICATE)
    cluster.lists[CERTIFICATE] = FORBIDDEN
    async with following(cluster) as kinds:
        await kinds.settled()
        told = kinds.apis("team-a")["Certificate"]
        assert isinstance(told, Problem)
        assert (told.reason, told.message) == ("APIForbidden", str(FORBIDDEN))
        assert kinds.kinds("team-a") == {"Ingress": INGRESS}


async def test_a_kind_that_was_read_stays_usable_for_a_moment() -> None:
    """An API server that fails does not make an API disappear; a right that is revoked is told."""
    cluster = Cluster(INGRESS)
    async with following(cluster) as kinds:
        await kinds.settled()
        cluster.lists[INGRESS] = UnreachableError("GET", "no answer")
        cluster.events.put_nowait(ExpiredError("WATCH", 410, "Expired", ""))
        await turns(50)
        assert kinds.apis("team-a") == {"Ingress": "networking.k8s.io/v1"}
        cluster.lists[INGRESS] = FORBIDDEN
        await turns(50)
        assert isinstance(kinds.apis("team-a")["Ingress"], Problem)
        del cluster.lists[INGRESS]
        await turns(50)
        assert kinds.apis("team-a") == {"Ingress": "networking.k8s.io/v1"}


async def test_a_watch_goes_on_from_its_last_version() -> None:
    """A watch that breaks is begun again without a list; one that has expired or is gone is listed."""
    cluster = Cluster(INGRESS)
    async with following(cluster) as kinds:
        await kinds.settled()
        cluster.events.put_nowait(event("BOOKMARK", 9))
        cluster.events.put_nowait(UnreachableError("WATCH", "silent"))
        await turns(50)
        assert cluster.calls == ["list ingresses None", "watch ingresses 1", "watch ingresses 9"]
        for error in (ExpiredError("WATCH", 410, "Expired", ""), NotFoundError("WATCH", 404, "NotFound", "")):
            cluster.calls.clear()
            cluster.events.put_nowait(error)
            await turns(50)
            assert cluster.calls == ["list ingresses None", "watch ingresses 1"]


async def test_each_served_namespace_is_read_on_its_own() -> None:
    """A namespace in which a right is missing does not change the others."""
    cluster = Cluster(INGRESS)
    async with following(cluster, "team-a", "team-b") as kinds:
        await kinds.settled()
        assert sorted(call for call in cluster.calls if call.startswith("list")) == [
            "list ingresses team-a",
            "list ingresses team-b",
        ]
        assert kinds.kinds("team-b") == {"Ingress": INGRESS}


async def test_discovery_that_fails_changes_nothing() -> None:
    """Only an answer says that an API is gone; a refusal says that none is known."""
    cluster = Cluster(INGRESS)
    async with following(cluster) as kinds:
        await kinds.settled()
        cluster.served = UnreachableError("GET /apis", "no answer")
        await discovered(kinds)
        assert kinds.kinds("team-a") == {"Ingress": INGRESS}
        cluster.served = FORBIDDEN
        await discovered(kinds)
        assert kinds.apis("team-a") == {}
