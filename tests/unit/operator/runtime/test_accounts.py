"""Lives of namespaces and their records, with an API server of plain objects."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing.activation import Account, Period, Terms
from wsedge_operator.billing.record import COPY_NAME, KEY, Life, from_record, identity_of, to_data
from wsedge_operator.errors import AccountError, ConflictError, ForbiddenError, NotFoundError
from wsedge_operator.kube.kinds import CONFIG_MAP, NAMESPACE, PLAN, Kind
from wsedge_operator.reconcile.account.decide import decide, record_manifest
from wsedge_operator.reconcile.selection import parse_selector
from wsedge_operator.runtime.accounts import MARKER, Accounts
from wsedge_operator.runtime.cache import Cache

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OWN = "wsedge-system"
DAILY = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "UTC")
OLD = Account(periods=(Period(DAILY, datetime(2026, 11, 1, tzinfo=UTC)),), plan="uid-plan", requested_at=NOW)


def namespace(uid: str, created: str = "2026-11-01T00:00:00Z", **metadata: Any) -> dict[str, Any]:
    named = {"name": "team-a", "uid": uid, "creationTimestamp": created, "resourceVersion": "5"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {**named, **metadata}}


def plan(uid: str, created: str = "2026-11-02T00:00:00Z") -> dict[str, Any]:
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "BillingPlan",
        "metadata": {
            "name": "plan",
            "namespace": "team-a",
            "uid": uid,
            "generation": 1,
            "creationTimestamp": created,
            "resourceVersion": "7",
        },
        "spec": {"billingCycle": "Daily", "meteringMethod": "Traffic"},
    }


def copy(data: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": COPY_NAME, "namespace": "team-a", "uid": "uid-copy", "resourceVersion": "9"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class ApiServer:
    """Objects by kind, namespace and name; it counts requests and can refuse writes in a namespace."""

    def __init__(self, *objects: dict[str, Any], forbidden: str = "") -> None:
        self.objects = {self._place(live): live for live in objects}
        self.asked: list[tuple[str, str]] = []
        self._forbidden = forbidden

    @staticmethod
    def _place(live: dict[str, Any]) -> tuple[str, str, str]:
        return live["kind"], live["metadata"].get("namespace", ""), live["metadata"]["name"]

    def put(self, live: dict[str, Any]) -> None:
        self.objects[self._place(live)] = live

    async def get(self, kind: Kind, where: str, name: str) -> dict[str, Any]:
        self.asked.append((kind.kind, name))
        try:
            return self.objects[kind.kind, where, name]
        except KeyError:
            raise NotFoundError("GET", 404, "NotFound", name) from None

    async def list(self, kind: Kind, where: str | None) -> tuple[list[dict[str, Any]], str]:
        name = kind.fields.removeprefix("metadata.name=")
        found = [
            live for (of, _, named), live in self.objects.items() if of == kind.kind and name in ("", named)
        ]
        return [live for live in found if where in (None, live["metadata"]["namespace"])], "9"

    async def create(self, kind: Kind, where: str, body: dict[str, Any]) -> dict[str, Any]:
        if self._place(body) in self.objects:
            raise ConflictError("POST", 409, "AlreadyExists", "")
        return await self.apply(kind, body)

    async def apply(self, kind: Kind, body: dict[str, Any], *, subresource: str = "") -> dict[str, Any]:
        if body["metadata"]["namespace"] == self._forbidden:
            raise ForbiddenError("PATCH", 403, "Forbidden", "quota")
        metadata = {**body["metadata"], "uid": f"uid-{body['metadata']['name']}", "resourceVersion": "11"}
        self.put({**body, "metadata": metadata})
        return self.objects[self._place(body)]


def accounts(server: Any, *cached: tuple[Kind, dict[str, Any]], **settings: Any) -> Accounts:
    cache = Cache(OWN)
    for kind, live in cached:
        cache.put(kind, live)
    return Accounts(server, cache, "UTC", **settings)


def recorded(uid: str, created: str = "2026-11-01T00:00:00Z", account: Account = OLD) -> dict[str, Any]:
    life = Life("team-a", uid, datetime.fromisoformat(created), OWN)
    made = record_manifest(life, {**to_data(account), "namespace": "team-a", "uid": uid})
    return {**made, "metadata": {**made["metadata"], "uid": f"of-{uid}", "resourceVersion": "6"}}


def test_the_name_of_a_record() -> None:
    """Namespace and uid are separated by a dot, which no namespace has; the longest name is valid."""
    life = Life("a" * 63, "8f9c0f6e-3d0c-4d0a-9a68-0c8f6a4f8d11", None, OWN)
    assert identity_of(life.record_name) == (life.namespace, life.uid)
    assert len(life.record_name) <= 253
    for other in ("wsedge-account", "wsedge-account-team-a", MARKER, "chat-relay"):
        assert identity_of(other) is None


def test_the_record_of_another_namespace_is_refused() -> None:
    """A record that was restored under a wrong name must not bill this namespace."""
    life = Life("team-a", "u1", None, OWN)
    assert from_record({**to_data(OLD), "namespace": "team-a", "uid": "u1"}, life) == OLD
    for wrong in ({"uid": "u2"}, {"namespace": "team-b"}):
        with pytest.raises(AccountError, match="of another namespace"):
            from_record({**to_data(OLD), "namespace": "team-a", "uid": "u1", **wrong}, life)


async def test_a_namespace_that_is_created_again_is_a_new_account() -> None:
    """Its plan has no record yet; the account of the deleted namespace ends."""
    server = ApiServer(namespace("u2", "2026-11-10T00:00:00Z"))
    kept = accounts(
        server,
        (NAMESPACE, namespace("u1")),
        (CONFIG_MAP, recorded("u1")),
        (PLAN, plan("uid-new", "2026-11-11T00:00:00Z")),
    )
    current, former = await kept.all_lives("team-a")
    assert (current.life.uid, current.config_map) == ("u2", None)
    assert (former.life.uid, former.plans) == ("u1", ())
    made = decide(current, NOW).apply[0]
    assert made["metadata"]["name"] == "wsedge-account-team-a.u2"
    assert made["metadata"]["resourceVersion"] == "0"
    assert from_record(made["data"], current.life).periods[0].start == datetime(2026, 11, 11, tzinfo=UTC)
    ending = from_record(decide(former, NOW).apply[0]["data"], former.life).pending
    assert ending is not None
    assert ending.terms is None


async def test_a_plan_of_the_deleted_namespace_is_ignored() -> None:
    """A late watch may still have it: it is older than its namespace."""
    server = ApiServer(namespace("u2", "2026-11-10T00:00:00Z"))
    kept = accounts(server, (NAMESPACE, namespace("u1")), (PLAN, plan("uid-plan", "2026-11-02T00:00:00Z")))
    current = await kept.current("team-a")
    assert current is not None
    assert (current.life.uid, current.plans) == ("u2", ())


async def test_an_existing_plan_counts_with_differing_clocks() -> None:
    """With clocks of several API servers a plan may seem older than its namespace."""
    early = plan("uid-plan", "2026-11-09T23:59:59Z")
    server = ApiServer(namespace("u2", "2026-11-10T00:00:00Z"), early)
    current = await accounts(server, (PLAN, early)).current("team-a")
    assert current is not None
    assert [live["metadata"]["uid"] for live in current.plans] == ["uid-plan"]


async def test_the_namespace_is_read_once_per_object() -> None:
    """An idle cluster has no requests; a new object causes another read."""
    server = ApiServer(namespace("u1"), recorded("u1"))
    kept = accounts(server, (CONFIG_MAP, recorded("u1")), (PLAN, plan("uid-plan")))
    for _ in range(3):
        await kept.current("team-a")
    assert server.asked.count(("Namespace", "team-a")) == 1
    kept.cache.put(PLAN, {**plan("uid-2"), "metadata": {**plan("uid-2")["metadata"], "name": "second"}})
    await kept.current("team-a")
    assert server.asked.count(("Namespace", "team-a")) == 2


async def test_a_record_without_its_label_is_read_by_name() -> None:
    """The watch by label misses it, and without a record the account would begin anew."""
    server = ApiServer(namespace("u1"), recorded("u1"))
    current = await accounts(server, (PLAN, plan("uid-plan"))).current("team-a")
    assert current is not None
    assert current.config_map == recorded("u1")


async def test_records_of_the_last_release_are_moved_once() -> None:
    """A damaged record is moved too; an Event reports it; later edits of the old one are ignored."""
    server = ApiServer(namespace("u1"), copy(to_data(OLD)))
    kept = accounts(server, (PLAN, plan("uid-plan")))
    current = await kept.current("team-a")
    assert current is not None
    assert current.config_map is not None
    assert from_record(current.config_map["data"], current.life) == OLD
    (note,) = kept.pop_move_events()
    assert (note.regarding["metadata"]["name"], note.reason) == (COPY_NAME, "RecordMoved")
    assert ("ConfigMap", OWN, MARKER) in server.objects

    server.put({**namespace("u9"), "metadata": {**namespace("u9")["metadata"], "name": "team-b"}})
    forged = copy(to_data(OLD))
    server.put({**forged, "metadata": {**forged["metadata"], "namespace": "team-b"}})
    for again in (kept, accounts(server)):
        fresh = await again.current("team-b")
        assert fresh is not None
        assert fresh.config_map is None
        assert again.pop_move_events() == []


async def test_in_a_set_of_namespaces_each_is_moved_by_itself() -> None:
    """A namespace that cannot be read yet is no new account: its record is moved later."""
    server = ApiServer(namespace("u1"), copy(to_data(OLD)))
    kept = accounts(server, namespaces=("team-a", "team-b"))
    assert len(await kept.all_lives("team-a")) == 1
    assert ("ConfigMap", OWN, f"{MARKER}.team-a") in server.objects
    assert ("ConfigMap", OWN, f"{MARKER}.team-b") not in server.objects


async def test_the_backup_of_the_docs_selects_records_and_notes() -> None:
    """Both have the label by which docs/install.md saves them, in a set of namespaces too."""
    page = (Path(__file__).parents[4] / "docs" / "install.md").read_text("utf-8")
    (label, value), *_ = re.findall(r"get configmaps .*--selector ([\w./-]+)=(\w+) ", page)
    server = ApiServer(namespace("u1"), copy(to_data(OLD)))
    await accounts(server, namespaces=("team-a",)).all_lives("team-a")
    await accounts(server).all_lives("team-a")
    there = {key[2]: one for key, one in server.objects.items() if key[:2] == ("ConfigMap", OWN)}
    assert set(there) == {"wsedge-account-team-a.u1", MARKER, f"{MARKER}.team-a"}
    assert {one["metadata"]["labels"][label] for one in there.values()} == {value}


async def test_an_existing_record_is_not_overwritten_by_a_move() -> None:
    """A move that was interrupted continues, and changes since then remain."""
    server = ApiServer(namespace("u1"), copy({KEY: "{"}), recorded("u1"))
    kept = accounts(server)
    await kept.current("team-a")
    assert kept.pop_move_events() == []
    assert server.objects["ConfigMap", OWN, "wsedge-account-team-a.u1"] == recorded("u1")
    assert ("ConfigMap", OWN, MARKER) in server.objects


async def test_the_copy_follows_the_record() -> None:
    """It is in the last release's form, and written once; a refused write of it is no failure."""
    server = ApiServer(namespace("u1"))
    live = (CONFIG_MAP, recorded("u1"))
    kept = accounts(server, live, (PLAN, plan("uid-plan")))
    current = await kept.current("team-a")
    assert current is not None
    writes: list[str] = []

    def written(_: Kind, verb: str, made: dict[str, Any]) -> None:
        writes.append(verb)
        kept.cache.put(CONFIG_MAP, made)

    await kept.update_copy(current, written)
    assert server.objects["ConfigMap", "team-a", COPY_NAME]["data"] == to_data(OLD)
    await kept.update_copy(current, written)
    assert writes == ["apply"]
    full = accounts(ApiServer(namespace("u1"), forbidden="team-a"), live, (PLAN, plan("uid-plan")))
    snapshot = await full.current("team-a")
    assert snapshot is not None
    await full.update_copy(snapshot, written)
    assert writes == ["apply"]


async def test_the_lives_in_the_directory() -> None:
    """The current life, with or without a record, and the end of a namespace that is deleted."""
    gone = accounts(ApiServer(), (CONFIG_MAP, recorded("u1")))
    (told,) = gone.recorded(NOW)
    assert (told.life.uid, told.gone) == ("u1", NOW)
    (again,) = gone.recorded(datetime(2026, 11, 23, tzinfo=UTC))
    assert again == told
    made_again = (NAMESPACE, namespace("u2", "2026-11-10T00:00:00Z"))
    (told,) = accounts(ApiServer(), (CONFIG_MAP, recorded("u1")), made_again).recorded(NOW)
    assert (told.life.uid, told.config_map, told.gone) == ("u2", None, None)
    assert told.life.created == datetime(2026, 11, 10, tzinfo=UTC)


async def test_records_of_namespaces_that_are_not_served_remain() -> None:
    """An operator of some namespaces has only their accounts."""
    kept = accounts(ApiServer(), (CONFIG_MAP, recorded("u1")), namespaces=("team-b",))
    assert await kept.all_lives("team-a") == []
    assert kept.recorded(NOW) == []


async def test_the_current_labels_of_a_namespace_decide() -> None:
    """They are read with a new object, then watched; a deleted namespace keeps its last ones."""
    server = ApiServer(namespace("u1", labels={"edge": "on"}))
    kept = accounts(server, (PLAN, plan("uid-plan")), selector=parse_selector("edge=on"))
    current = await kept.current("team-a")
    assert current is not None
    assert current.selected
    assert kept.selects("team-a")
    kept.cache.put(NAMESPACE, namespace("u1", labels={"edge": "off"}, resourceVersion="6"))
    current = await kept.current("team-a")
    assert current is not None
    assert not current.selected
    assert not kept.selects("team-a")
    assert kept.selects("team-gone")
