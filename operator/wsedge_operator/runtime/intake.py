"""Put objects of lists and watches into the cache, and request the keys that they concern."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import structlog

from wsedge_operator.api.reading import part_at
from wsedge_operator.api.websocket_domain import EXPOSED
from wsedge_operator.errors import OperatorError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, NAMESPACE, PLAN, WATCHED, Kind
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache, Name, name_of
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.triggers import DIRECTORY, Key, keys_of

log = structlog.get_logger()

NAMESPACE_SECONDS: Final = 10.0


class Intake:
    """Fills the cache. `namespaces` are the served namespaces; empty: the whole cluster."""

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
        """List nothing yet."""
        self._client = client
        self._cache = cache
        self._accounts = accounts
        self._agenda = agenda
        # Kinds whose objects are counted, when the metrics are read: not for each of ten thousand in a list.
        self._counted: set[Kind] = set()
        self._metrics = metrics
        self._namespaces = namespaces
        # The cache records the deletions during one list, so there is one list at a time.
        self._listing = asyncio.Lock()

    def receive(self, kind: Kind, is_deleted: bool, live: Object) -> None:
        """Put an object of a watch into the cache, or remove it when it is deleted."""
        if kind not in self._counted:
            self._counted.add(kind)
            self._metrics.objects.labels(kind.kind).set_function(partial(self._cache.count, kind))
        before = self._cache.get(kind, *name_of(live))
        changed = self._cache.remove(kind, live) if is_deleted else self._cache.put(kind, live)
        if changed:
            self.request(kind, live)
            if before is not None:
                # The keys of the former object too: a restarted watch may have missed its deletion, and this
                # one only has the same name.
                self.request(kind, before)

    def request(self, kind: Kind, live: Object) -> None:
        """Request the keys that a change of `live` concerns."""
        for key in keys_of(self._cache, kind, live):
            self._agenda.request(key)

    def request_exposed(self, namespace: str | None) -> None:
        """Request the domains of a namespace (None: of the cluster) that have or had an entrance."""
        for live in self._cache.all(DOMAIN, namespace):
            conditions = part_at(live, "status", "conditions")
            had = any(part_at(entry, "type") == EXPOSED for entry in conditions or ())
            if had or part_at(live, "spec", "exposure") is not None:
                self._agenda.request(Key("domain", *name_of(live)))

    async def probe(self, namespace: str | None) -> None:
        """Return when a namespace (None: the cluster) can be listed; raises OperatorError otherwise."""
        await self._client.probe(PLAN, namespace)

    def kinds(self, namespace: str | None) -> tuple[Kind, ...]:
        """Return the kinds to follow in a namespace (None: in the cluster).

        Namespaces are cluster-scoped: a Role in a namespace cannot grant a watch of them.
        """
        return WATCHED if namespace is not None else (*WATCHED, NAMESPACE)

    async def list_kind(self, kind: Kind, namespace: str | None) -> str:
        """List a kind into the cache; return the list's resource version. Raises OperatorError."""
        async with self._listing:
            self._cache.begin_listing()
            names: set[Name] = set()
            async for page in self._client.pages(kind, namespace):
                for live in page.items:
                    names.add(name_of(live))
                    if not self._cache.was_deleted_since(kind, live):
                        self.receive(kind, False, live)
            for live in self._cache.remove_unlisted(kind, namespace, names, page.version):
                self.request(kind, live)
            return page.version

    async def list_unwatched(self, namespace: str | None) -> None:
        """Read what a scope has besides its watched kinds; raises OperatorError."""
        if namespace is not None:
            if self._cache.records_in not in self._namespaces:
                # The records are in the operator's own namespace, which is then not watched.
                await self.list_kind(CONFIG_MAP, self._cache.records_in)
            await self._read_namespace(namespace)

    def forget(self, kind: Kind) -> None:
        """Drop all objects of a kind whose API was removed."""
        self._cache.drop(kind)

    async def _read_namespace(self, namespace: str) -> None:
        """Read a served Namespace: without rights for the cluster it cannot be watched."""
        before = self._cache.get(NAMESPACE, "", namespace)
        live = await self._accounts.read_namespace(namespace)
        if (before or {}).get("metadata", {}).get("uid") != (live or {}).get("metadata", {}).get("uid"):
            self._agenda.request(Key("account", namespace))
            self._agenda.request(DIRECTORY)

    async def follow_namespaces(self) -> None:
        """Read the served Namespaces every ten seconds, for ever, where they cannot be watched.

        A namespace that is deleted and created again is another account.
        """
        while self._namespaces:
            await asyncio.sleep(NAMESPACE_SECONDS)
            for namespace in self._namespaces:
                try:
                    await self._read_namespace(namespace)
                except OperatorError as error:
                    log.debug("namespace not read", namespace=namespace, error=str(error))
