"""The controller: events in, writes out, with an API server of plain objects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from support.operator.controller import Clock, made, turns
from support.operator.snapshots import live_domain, served, stored
from wsedge_operator.desired.exact import parts as exact_parts
from wsedge_operator.errors import NotFoundError, UndeclaredError, UnreachableError
from wsedge_operator.kube.kinds import DEPLOYMENT, DOMAIN
from wsedge_operator.reconcile.domain.snapshot import Admitted
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.triggers import DIRECTORY, Key


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

    async def replace_parts(
        self, kind: Any, namespace: str, name: str, parts: Any, *, version: str, dry_run: bool = False
    ) -> Any:
        await asyncio.sleep(0)
        live = json.loads(json.dumps(self._cache.get(kind, namespace, name)))
        live["spec"] = dict(parts)["spec"]
        if not dry_run:
            self.writes.append(f"restored {kind.kind}")
            live["metadata"]["resourceVersion"] = str(int(version) + 1)
        return self._admitted(live)

    async def delete(self, kind: Any, namespace: str, name: str, *, uid: str) -> None:
        self.writes.append(kind.kind)

    async def create(self, kind: Any, namespace: str, body: Any) -> Any:
        return {}


class Gatherer:
    """Returns the snapshot of a served domain with the children in the cache."""

    def __init__(self, cache: Cache, **parts: Any) -> None:
        self.failures: dict[Any, str] = {}
        self.contested: dict[Any, str] = {}
        self.admitted: dict[str, Any] = {}
        self.statistics_url = None
        self.is_exposure_declared = True
        self._cache = cache
        self._snapshot = served(**parts)
        self.children: Any = self._snapshot.children

    def remember(self, key: Any, memory: Any) -> None:
        self.memory = memory

    def note_admitted(self, key: Any, exact: Any, live: Any) -> None:
        self.admitted[exact.ref.kind] = Admitted(exact.digest, exact_parts(live))

    async def domain(self, key: Any, live: Any, now: datetime) -> Any:
        children = dict(self._snapshot.children)
        children.pop("Deployment", None)
        if (program := self._cache.get(DEPLOYMENT, "team-a", "chat-relay")) is not None:
            children["Deployment"] = program
        return replace(
            self._snapshot,
            children=children,
            failure=self.failures.get(key),
            contested=self.contested.get(key),
            admitted=dict(self.admitted),
            is_exposure_declared=self.is_exposure_declared,
        )


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


def _with_another_image(live: Any) -> Any:
    """Change a Deployment as an admission webhook does whose registry is a mirror."""
    live["spec"]["template"]["spec"]["containers"] = [
        {**container, "image": f"mirror/{container['image']}"}
        for container in live["spec"]["template"]["spec"]["containers"]
    ]
    return live


async def test_a_change_by_admission_is_retained() -> None:
    """One dry run shows that admission changes each Deployment, so no write reverts it."""
    async with working(_with_another_image) as client:
        await turns()
    assert [write for write in client.writes if "Deployment" in write] == ["Deployment"]


async def test_a_write_that_does_not_last_is_repeated_with_pauses() -> None:
    """A client that reverts each write must not load the operator and the API server."""
    cache = Cache()
    client, gatherer = ApiServer(cache, lambda live: live), Gatherer(cache)
    controller = made(cache, client, gatherer)
    version = 100

    def change_back() -> None:
        """Add an argument to the Deployment, as another controller does."""
        nonlocal version
        live = json.loads(json.dumps(cache.get(DEPLOYMENT, "team-a", "chat-relay")))
        container = live["spec"]["template"]["spec"]["containers"][0]
        if container.get("args") is None:
            version += 10
            container["args"] = ["--x"]
            live["metadata"]["resourceVersion"] = str(version)
            controller.receive(DEPLOYMENT, False, live)

    controller.receive(DOMAIN, False, live_domain())
    work = asyncio.create_task(controller.work())
    await turns()
    for _ in range(50):
        change_back()
        await turns(100)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert 1 <= client.writes.count("restored Deployment") <= 3


async def test_a_write_that_lasts_is_made_once() -> None:
    """The next reconciliation has no write."""
    async with working(lambda live: live) as client:
        await turns()
    assert client.writes.count("Deployment") == 1


async def test_a_replaced_object_triggers_other_claims_of_its_old_name() -> None:
    """An object of the same name with another domain frees its old domain."""
    cache = Cache()
    controller = made(cache)
    first, rival, second = (live_domain(domain=host) for host in ("a.example", "a.example", "b.example"))
    rival["metadata"] |= {"name": "rival", "uid": "uid-rival"}
    second["metadata"] |= {"uid": "uid-second", "resourceVersion": "11"}
    for live in (first, rival):
        controller.receive(DOMAIN, False, live)
    asked: list[str] = []
    controller.agenda.request = lambda key: asked.append(key.name)  # type: ignore[method-assign]
    controller.receive(DOMAIN, False, second)
    assert "rival" in asked


async def test_a_status_under_an_older_definition_is_written_without_addresses() -> None:
    """Server-side apply refuses a whole status for one unknown field: it is decided again without that."""
    cache = Cache()
    live = live_domain(exposure={"service": {"type": "LoadBalancer"}})

    class Older(ApiServer):
        statuses: list[Any]

        async def apply(self, kind: Any, body: Any, *, subresource: str = "") -> Any:
            if subresource:
                self.statuses.append(body["status"])
                if "addresses" in body["status"]:
                    raise UndeclaredError("PATCH", 500, "", ".status.addresses: field not declared in schema")
            return await super().apply(kind, body, subresource=subresource)

    client, gatherer = Older(cache, lambda made: made), Gatherer(cache, live=live)
    client.statuses = []
    balancer = gatherer.children["Service"]
    balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    controller = made(cache, client, gatherer)
    controller.receive(DOMAIN, False, live)
    work = asyncio.create_task(controller.work())
    await turns()
    work.cancel()
    await asyncio.wait({work})
    assert "addresses" in client.statuses[0]
    assert "addresses" not in client.statuses[1]
    assert gatherer.is_exposure_declared is False
    assert controller.failing == 0


async def test_the_log_says_what_failed() -> None:
    """A line about the Directory has no namespace and no domain; `reconciling` tells it from others."""

    class Failing:
        async def reconcile(self, key: Key, failures: int) -> datetime | None:
            raise UnreachableError("PUT", "no answer")

    clock, metrics = Clock(), Metrics()
    agenda = Agenda(clock, metrics)
    controller = Controller(
        reconcilers={kind: Failing() for kind in ("account", "directory")},
        agenda=agenda,
        cache=Cache(),
        clock=clock,
        metrics=metrics,
        workers=1,
    )
    agenda.request(DIRECTORY)
    agenda.request(Key("account", "team-a"))
    with capture_logs(processors=[merge_contextvars]) as logs:
        work = asyncio.create_task(controller.work())
        await turns()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    told = [(line["event"], line.get("reconciling"), line.get("namespace")) for line in logs]
    assert told == [("reconcile failed", "directory", None), ("reconcile failed", "account", "team-a")]
