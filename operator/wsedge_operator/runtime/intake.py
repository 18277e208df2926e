"""Takes objects from lists and watches into the cache, and requests the keys that they concern."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from wsedge_operator.errors import OperatorError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import CONFIG_MAP, NAMESPACE, PLAN, WATCHED, Kind
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache, name_of
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.triggers import DIRECTORY, Key, keys_of

log = structlog.get_logger()

NAMESPACE_SECONDS: Final = 10.0


class Intake:
    """Fills the cache. `namespaces` are those that are served; empty: all of the cluster."""

    def __init__(
        self,
        *,
        client: Client,
        cache: Cache,
        accounts: Accounts,
        agenda: Agenda,
        metrics: Metrics,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        """Read nothing yet."""
        self._client = client
        self._cache = cache
        self._accounts = accounts
        self._agenda = agenda
        self._metrics = metrics
        self._namespaces = namespaces
        # The cache notes what is deleted during a list: one list at a time.
        self._listing = asyncio.Lock()

    def receive(self, kind: Kind, gone: bool, live: Object) -> None:
        """Put an object into the cache, or remove it, as a watch reports it."""
        before = self._cache.get(kind, *name_of(live))
        changed = self._cache.remove(kind, live) if gone else self._cache.put(kind, live)
        if changed:
            self.request(kind, live)
            if before is not None:
                # Also the keys that it concerned before: a watch that began anew may have missed that another
                # object took its name.
                self.request(kind, before)

    def request(self, kind: Kind, live: Object) -> None:
        """Request the keys that a change of `live` concerns."""
        for key in keys_of(self._cache, kind, live):
            self._agenda.request(key)
        self._metrics.objects.labels(kind.kind).set(self._cache.count(kind))

    async def probe(self, namespace: str | None) -> None:
        """Find out whether a namespace (None: the cluster) can be read; raises OperatorError."""
        await self._client.probe(PLAN, namespace)

    async def list_all(self, namespace: str | None) -> None:
        """List everything of a namespace (None: of the cluster) into the cache; raises OperatorError."""
        async with self._listing:
            self._cache.begin_listing()
            for kind in WATCHED:
                await self._list(kind, namespace)
            if namespace is None:
                await self._list(NAMESPACE, None)
            else:
                if self._cache.records_in not in self._namespaces:
                    # The records lie in the operator's own namespace, which is then not watched.
                    await self._list(CONFIG_MAP, self._cache.records_in)
                await self._read_namespace(namespace)

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        listed, version = await self._client.list(kind, namespace)
        before = {name_of(live): live for live in self._cache.all(kind, namespace)}
        for _, live in self._cache.take_list(kind, namespace, listed, version):
            self.request(kind, live)
            if (known := before.get(name_of(live))) is not None:
                self.request(kind, known)

    async def _read_namespace(self, namespace: str) -> None:
        """Read a Namespace that is served: without rights for the cluster it cannot be watched."""
        before = self._cache.get(NAMESPACE, "", namespace)
        live = await self._accounts.read_namespace(namespace)
        if (before or {}).get("metadata", {}).get("uid") != (live or {}).get("metadata", {}).get("uid"):
            self._agenda.request(Key("account", namespace))
            self._agenda.request(DIRECTORY)

    async def follow_namespaces(self) -> None:
        """Notice, where Namespaces cannot be watched, that one was deleted and made again, for ever."""
        while self._namespaces:
            await asyncio.sleep(NAMESPACE_SECONDS)
            for namespace in self._namespaces:
                try:
                    await self._read_namespace(namespace)
                except OperatorError as error:
                    log.debug("namespace not read", namespace=namespace, error=str(error))
