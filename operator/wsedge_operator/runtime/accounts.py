"""The accounts' records: to which life of a namespace an object belongs, and where that life's record is.

    namespace created ──▶ life (its uid) ──▶ plan or domain ──▶ record `wsedge-account-NAMESPACE.UID`
    namespace deleted ──▶ the record stays, and is settled without plans: it ends at its boundary
    namespace created again ──▶ another life, another record

Whenever the cache has a new object of a namespace, the namespace's uid is read from the API server. The watch
of namespaces may be behind that of the object, and an object belongs to one life of its namespace alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog

from wsedge_operator.api.meta import instant_text
from wsedge_operator.billing import record
from wsedge_operator.errors import ConflictError, NotFoundError, OperatorError
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, NAMESPACE, OLD_RECORD, PLAN, Kind
from wsedge_operator.reconcile.account import decide as account_decision
from wsedge_operator.reconcile.account.decide import AccountSnapshot, record_manifest
from wsedge_operator.reconcile.directory import RecordedAccount
from wsedge_operator.reconcile.outcome import EventNote
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.reconcile.selection import EVERYTHING, LabelSelector
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock, WallClock

log = structlog.get_logger()

# A ConfigMap. Once it exists, records in the accounts' own namespaces are not read, since a tenant could
# write one. Where only some namespaces are served, each of them has such a ConfigMap.
MARKER: Final = "wsedge-accounts"
Written = Callable[[Kind, str, Object], None]


@dataclass
class Accounts:
    """Snapshots of accounts, by namespace.

    Served are `namespaces` (empty: all) whose labels `selector` matches.
    """

    client: Client
    cache: Cache
    default_zone: str
    namespaces: tuple[str, ...] = ()
    selector: LabelSelector = EVERYTHING
    clock: Clock = field(default_factory=WallClock)
    _seen: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    _gone: dict[str, datetime] = field(default_factory=dict)
    _moved: set[str | None] = field(default_factory=set)
    _notes: list[EventNote] = field(default_factory=list)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def current(self, namespace: str) -> AccountSnapshot | None:
        """Return the current account of a namespace; None when the namespace does not exist."""
        await self._move_records(namespace if self.namespaces else None)
        objects = [*self.cache.all(PLAN, namespace), *self.cache.all(DOMAIN, namespace)]
        live = await self._namespace(namespace, objects)
        if live is None:
            return None
        life = self._life(live)
        found = self._record(life.record_name)
        if found is None and objects:
            # An account without a record is a new customer. A late watch or a removed label must not make it
            # one, so the record is read from the API server.
            found = await self._fetch(CONFIG_MAP, life.records_in, life.record_name)
        # Not `objects`: those of an earlier life have left the cache since.
        plans = tuple(self.cache.all(PLAN, namespace))
        copy = self.cache.get(CONFIG_MAP, namespace, record.COPY_NAME)
        return AccountSnapshot(life, plans, found, self.default_zone, copy, selected=self._matches(live))

    async def all_lives(self, namespace: str) -> list[AccountSnapshot]:
        """Return the current account of a namespace, and its former accounts that have not ended yet."""
        if not self.serves(namespace):
            return []
        await self._move_records(namespace if self.namespaces else None)
        kept = {life.uid: (life, live) for life, live in self._records(namespace)}
        if not kept and not (self.cache.has(PLAN, namespace) or self.cache.has(DOMAIN, namespace)):
            return []
        current = await self.current(namespace)
        former = [
            AccountSnapshot(life, (), live, self.default_zone)
            for life, live in kept.values()
            if current is None or life.uid != current.life.uid
        ]
        return [*([current] if current is not None else []), *former]

    def serves(self, namespace: str) -> bool:
        """Return whether a namespace is among the served ones, whatever its labels."""
        return not self.namespaces or namespace in self.namespaces

    def selects(self, namespace: str) -> bool:
        """Return whether the selector matches a namespace's labels; True where these are not in the cache."""
        live = self.cache.get(NAMESPACE, "", namespace)
        return live is None or self._matches(live)

    def _matches(self, live: Object) -> bool:
        return self.selector.matches(live["metadata"].get("labels") or {})

    def recorded(self, now: datetime) -> list[RecordedAccount]:
        """Return the account of each served namespace's last life, for the Directory."""
        last: dict[str, tuple[record.Life, Object]] = {}
        for life, live in sorted(self._records(), key=lambda entry: str(entry[0].created or "")):
            if self.serves(life.namespace):
                last[life.namespace] = (life, live)
        found: list[RecordedAccount] = []
        for namespace, (life, live) in last.items():
            there = self.cache.get(NAMESPACE, "", namespace)
            if there is None:
                found.append(RecordedAccount(life, live, gone=self._gone.setdefault(life.uid, now)))
                continue
            self._gone.pop(life.uid, None)
            if there["metadata"]["uid"] == life.uid:
                found.append(RecordedAccount(life, live))
            else:
                again = self._life(there)
                found.append(RecordedAccount(again, self._record(again.record_name)))
        return found

    async def read_namespace(self, namespace: str) -> Object | None:
        """Read a Namespace from the API server into the cache; None when it does not exist."""
        live = await self._fetch(NAMESPACE, "", namespace)
        known = self.cache.get(NAMESPACE, "", namespace)
        if known is not None and (live is None or live["metadata"]["uid"] != known["metadata"]["uid"]):
            self.cache.remove(NAMESPACE, known)
        if live is not None:
            self.cache.put(NAMESPACE, live)
        return live

    async def reload_record(self, snapshot: AccountSnapshot) -> None:
        """Read the record into the cache, after a write conflicted with a version that is not there."""
        found = await self._fetch(CONFIG_MAP, snapshot.life.records_in, snapshot.life.record_name)
        if found is not None:
            self.cache.put(CONFIG_MAP, found)

    async def update_copy(self, before: AccountSnapshot, written: Written) -> None:
        """Apply the copy of the record in the account's namespace, if it differs; a failure is only logged.

        The copy is for the tenant to read; no decision depends on it.
        """
        there = self.cache.get(NAMESPACE, "", before.life.namespace)
        if there is None or there["metadata"]["uid"] != before.life.uid:
            return
        if there["metadata"].get("deletionTimestamp"):
            return  # The API server creates nothing in it any more.
        snapshot = AccountSnapshot(
            before.life,
            before.plans,
            self._record(before.life.record_name) or before.config_map,
            self.default_zone,
            self.cache.get(CONFIG_MAP, before.life.namespace, record.COPY_NAME),
        )
        manifest = account_decision.copy_manifest(snapshot)
        if manifest is None:
            return
        try:
            written(CONFIG_MAP, "apply", await self.client.apply(CONFIG_MAP, dict(manifest)))
        except OperatorError as error:
            log.warning("copy of the record not written", namespace=before.life.namespace, error=str(error))

    async def _move_records(self, scope: str | None) -> None:
        """Move the records of the last release to the operator's namespace, once.

        A tenant that can write a ConfigMap in a namespace could write a record there. So the records at the
        first start of this release are trusted, as in the last release, and later ones are not. Before they
        are moved, no account is reconciled: without its record it would be a new customer.
        """
        async with self._moving:
            if scope in self._moved:
                return
            marker = _marker(self.cache.records_in, scope, self.clock.now())
            if await self._fetch(CONFIG_MAP, self.cache.records_in, marker["metadata"]["name"]) is None:
                listed, _ = await self.client.list(OLD_RECORD, scope)
                moved = [note for old in listed if (note := await self._move(old)) is not None]
                await self._create(marker)
                self._notes += moved
                log.info("records moved", number=len(moved))
            self._moved.add(scope)

    def pop_move_events(self) -> list[EventNote]:
        """Return an Event for each record that was moved since the last call."""
        notes, self._notes = self._notes, []
        return notes

    async def _move(self, old: Object) -> EventNote | None:
        live = await self._fetch(NAMESPACE, "", old["metadata"]["namespace"])
        if live is None:
            return None
        life = self._life(live)
        # A damaged record is moved unchanged: the operator reports the damage in the plan's status.
        text = (old.get("data") or {}).get(record.KEY)
        kept = {} if text is None else {record.KEY: text}
        if not await self._create(
            record_manifest(life, {**kept, "namespace": life.namespace, "uid": life.uid})
        ):
            return None
        where = f"{life.records_in}/{life.record_name}"
        message = f"the account's record is now ConfigMap {where}; this ConfigMap is a copy that is not read"
        return EventNote(old, "Normal", Reason.RECORD_MOVED, message, f"moved {life.uid}")

    async def _create(self, manifest: Mapping[str, Any]) -> bool:
        """Create a ConfigMap; return False, without a change, when one of that name exists."""
        try:
            made = await self.client.create(CONFIG_MAP, manifest["metadata"]["namespace"], dict(manifest))
        except ConflictError:
            return False
        self.cache.put(CONFIG_MAP, made)
        return True

    async def _namespace(self, namespace: str, objects: Iterable[Object]) -> Object | None:
        """Return the Namespace of the objects; objects of its former lives leave the cache."""
        uids = frozenset(live["metadata"]["uid"] for live in objects)
        known = self.cache.get(NAMESPACE, "", namespace)
        uid, seen = self._seen.get(namespace, ("", frozenset()))
        if known is not None and known["metadata"]["uid"] == uid and uids and uids <= seen:
            return known
        live = await self.read_namespace(namespace)
        if live is None:
            self._seen.pop(namespace, None)
            return None
        for kind in (PLAN, DOMAIN):
            await self._drop_former(kind, live)
        kept = [*self.cache.all(PLAN, namespace), *self.cache.all(DOMAIN, namespace)]
        self._seen[namespace] = (
            live["metadata"]["uid"],
            uids & frozenset(found["metadata"]["uid"] for found in kept),
        )
        return live

    async def _drop_former(self, kind: Kind, live: Object) -> None:
        """Remove objects older than their namespace from the cache, unless the API server lists them.

        Two API servers' clocks may differ, so an object of this life may have an earlier time than its
        namespace.
        """
        name, created = live["metadata"]["name"], live["metadata"]["creationTimestamp"]
        older = [
            found for found in self.cache.all(kind, name) if found["metadata"]["creationTimestamp"] < created
        ]
        if older:
            listed, _ = await self.client.list(kind, name)
            there = {found["metadata"]["uid"] for found in listed}
            for found in older:
                if found["metadata"]["uid"] not in there:
                    self.cache.remove(kind, found)

    def _life(self, live: Object) -> record.Life:
        metadata = live["metadata"]
        created = datetime.fromisoformat(metadata["creationTimestamp"])
        return record.Life(metadata["name"], metadata["uid"], created, self.cache.records_in)

    def _records(self, namespace: str | None = None) -> list[tuple[record.Life, Object]]:
        """Return the records of a namespace (None: of all) in the cache, each with its life."""
        found = []
        begin = "" if namespace is None else record.names_begin(namespace)
        for live in self.cache.all(CONFIG_MAP, self.cache.records_in):
            name = live["metadata"]["name"]
            if name.startswith(begin) and (identity := record.identity_of(name)) is not None:
                text = (live["metadata"].get("annotations") or {}).get(record.CREATED_ANNOTATION)
                created = _instant(text)
                found.append((record.Life(*identity, created, self.cache.records_in), live))
        return found

    def _record(self, name: str) -> Object | None:
        return self.cache.get(CONFIG_MAP, self.cache.records_in, name)

    async def _fetch(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return await self.client.get(kind, namespace, name)
        except NotFoundError:
            return None


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None  # edited by hand; the time is only reported in the Directory


def _marker(namespace: str, scope: str | None, now: datetime) -> dict[str, Any]:
    note = "at that time records in the accounts' own namespaces were moved here; they are not read any more"
    metadata = {
        "name": MARKER if scope is None else f"{MARKER}.{scope}",
        "namespace": namespace,
        "labels": account_decision.OWN_LABELS,
        "annotations": {"wsedge.io/note": note},
    }
    data = {"movedAt": instant_text(now)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
