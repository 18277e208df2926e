"""What the controller makes of events and of writes, with an API server of plain objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support_operator.snapshots import NOW, live_domain, served, stored
from wsedge_operator.errors import NotFoundError
from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.settings import Settings


class Clock:
    """Time stands still."""

    def now(self) -> datetime:
        return NOW

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await event.wait()


class ApiServer:
    """Answers each write of a child with the object that `admitted` makes of it."""

    def __init__(self, cache: Cache, admitted: Any) -> None:
        self.writes: list[str] = []
        self._cache = cache
        self._admitted = admitted

    async def get(self, kind: Any, namespace: str, name: str) -> Any:
        await asyncio.sleep(0)
        found = self._cache.get(kind, namespace, name)
        if found is None:
            raise NotFoundError("GET", 404, "NotFound", "")
        return found

    async def apply(self, kind: Any, body: Any, *, subresource: str = "") -> Any:
        await asyncio.sleep(0)
        self.writes.append(kind.kind)
        return self._admitted(stored(body)) if not subresource else {**live_domain(), **body}

    async def delete(self, kind: Any, namespace: str, name: str, *, uid: str) -> None:
        self.writes.append(kind.kind)

    async def create(self, kind: Any, namespace: str, body: Any) -> Any:
        return {}


class Gatherer:
    """Gives the snapshot of a domain that is served, with the children that the cache has."""

    def __init__(self, cache: Cache, **parts: Any) -> None:
        self.failures: dict[Any, str] = {}
        self.statistics_url = None
        self._cache = cache
        self._snapshot = served(**parts)

    async def domain(self, key: Any, live: Any, now: datetime) -> Any:
        children = dict(self._snapshot.children)
        children.pop("Deployment", None)
        if (program := self._cache.get(DEPLOYMENT, "team-a", "chat-relay")) is not None:
            children["Deployment"] = program
        return replace(self._snapshot, children=children)


@asynccontextmanager
async def working(admitted: Any) -> AsyncIterator[ApiServer]:
    cache = Cache()
    client, gatherer = ApiServer(cache, admitted), Gatherer(cache)
    controller = made(cache, client, gatherer)
    controller.receive(DOMAIN, False, live_domain())
    work = asyncio.create_task(controller.work())
    yield client
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


def made(cache: Cache, client: Any = None, gatherer: Any = None) -> Controller:
    async def keep(*_: Any) -> None:
        return None

    return Controller(
        client=client,
        cache=cache,
        gatherer=gatherer,
        keeper=cast(Any, SimpleNamespace(keep=keep)),
        settings=Settings(workers=1),
        clock=Clock(),
        metrics=Metrics(),
        identity="operator-1",
    )


async def turns(number: int = 2000) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def _with_another_image(live: Any) -> Any:
    """What a cluster's admission webhook makes of each Deployment: the image comes from its mirror."""
    live["spec"]["template"]["spec"]["containers"] = [
        {**container, "image": f"mirror/{container['image']}"}
        for container in live["spec"]["template"]["spec"]["containers"]
    ]
    return live


async def test_a_write_that_does_not_last_is_repeated_with_pauses() -> None:
    """Whoever changes what is written cannot keep operator and API server busy without end."""
    async with working(_with_another_image) as client:
        await turns()
    assert 1 <= client.writes.count("Deployment") <= 3


async def test_a_write_that_lasts_is_made_once() -> None:
    """The look after it finds it so."""
    async with working(lambda live: live) as client:
        await turns()
    assert client.writes.count("Deployment") == 1


async def test_a_rival_hears_of_a_domain_that_was_replaced_unseen() -> None:
    """An object of the same name and another domain has freed the domain of the one before."""
    cache = Cache()
    controller = made(cache)
    first, rival, second = (live_domain(domain=host) for host in ("a.example", "a.example", "b.example"))
    rival["metadata"] |= {"name": "rival", "uid": "uid-rival"}
    second["metadata"] |= {"uid": "uid-second", "resourceVersion": "11"}
    for live in (first, rival):
        controller.receive(DOMAIN, False, live)
    asked: list[str] = []
    controller._ask = lambda key: asked.append(key.name)  # type: ignore[method-assign]
    controller.receive(DOMAIN, False, second)
    assert "rival" in asked
