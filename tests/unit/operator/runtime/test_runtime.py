"""Queue, back-off, wake-ups, cache and triggers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.operator.controller import made
from support.operator.snapshots import live_domain
from wsedge_operator.desired.names import DOMAIN_LABEL
from wsedge_operator.kube.client import Page
from wsedge_operator.kube.kinds import (
    CERTIFICATE_REQUEST,
    CONFIG_MAP,
    DEPLOYMENT,
    DOMAIN,
    GATEWAY,
    NAMESPACE,
    PLAN,
    POD,
    SECRET,
    SERVICE,
    Kind,
)
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.queue import CONTEST_WINDOW, LONGEST_PAUSE_SECONDS, Backoff, Contests, WorkQueue
from wsedge_operator.runtime.triggers import DIRECTORY, Key, keys_of
from wsedge_operator.runtime.wakeups import LONGEST_SLEEP_SECONDS, WakeUps

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def live(name: str, version: int = 1, *, uid: str = "", **parts: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "team-a",
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
        **parts.pop("metadata", {}),
    }
    return {"metadata": metadata, **parts}


def domain(name: str, host: str, **spec: Any) -> dict[str, Any]:
    return live(name, spec={"domain": host, **spec})


async def test_a_key_is_in_the_queue_once() -> None:
    """Several requests for a key are one reconciliation."""
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_that_is_requested_during_its_reconciliation_follows() -> None:
    """No other worker gets the key meanwhile, and it is reconciled once more afterwards."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert len(queue) == 0


async def test_the_queue_says_how_long_its_first_key_waits() -> None:
    """Of the key that came first among those that wait; a key that a worker has does not count."""
    now = 100.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    assert queue.oldest_seconds() == 0
    queue.add("a")
    now = 103.0
    queue.add("b")
    queue.add("a")
    now = 110.0
    assert queue.oldest_seconds() == 10
    await queue.get()
    assert queue.oldest_seconds() == 7
    queue.add("a")  # again, once the worker is done with it
    await queue.get()
    assert queue.oldest_seconds() == 0
    now = 120.0
    queue.done("a")
    assert queue.oldest_seconds() == 0
    now = 121.0
    assert queue.oldest_seconds() == 1


async def test_a_worker_waits_for_a_key() -> None:
    """It continues with the first request."""
    queue: WorkQueue[str] = WorkQueue()
    taker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not taker.done()
    queue.add("a")
    assert await taker == "a"


def test_pauses_double_per_key_up_to_a_limit() -> None:
    """Failures of one key do not delay another; a success ends the back-off."""
    backoff: Backoff[str] = Backoff(lambda: 1.0)
    assert [backoff.failed("a") for _ in range(4)] == [0.5, 1, 2, 4]
    assert backoff.failed("b") == 0.5
    for _ in range(40):
        last = backoff.failed("a")
    assert last == LONGEST_PAUSE_SECONDS
    backoff.succeeded("a")
    assert backoff.failed("a") == 0.5


def test_jitter_is_at_most_half() -> None:
    """Keys that fail together are not retried together."""
    backoff: Backoff[str] = Backoff(lambda: 0.0)
    assert backoff.failed("a") == 0.25


def test_the_pause_of_reverted_writes_grows() -> None:
    """Writes within ten minutes count, until the object is edited."""
    contests: Contests[str] = Contests(lambda: 1.0)
    write = frozenset({"restore Deployment x"})
    last, now, pauses = NOON, NOON, []
    for _ in range(9):
        last, now = now, now + timedelta(seconds=61)
        pauses.append(contests.note("a", write, 1, last)[1])
        assert contests.note("a", frozenset(), 1, last) == (frozenset(), 0.0)  # a quiet look in between
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, 32, 60]
    assert contests.suspended_until("a", write, 2, last) is None
    assert contests.suspended_until("a", write | {"apply Service y"}, 1, last) is None
    assert contests.suspended_until("a", write, 1, last + timedelta(seconds=59)) is not None
    assert contests.suspended_until("a", write, 1, last + timedelta(seconds=60)) is None
    assert contests.reported_until("a", now) == last + CONTEST_WINDOW
    assert contests.note("a", write, 2, now) == (frozenset(), 0.0)
    late = last + CONTEST_WINDOW
    assert contests.reported_until("a", late) is None
    assert contests.note("a", write, 1, late + CONTEST_WINDOW) == (frozenset(), 0.0)


def test_a_clock_that_is_set_back_suspends_no_write() -> None:
    """The contests begin anew; a step of NTP, less than a second, changes nothing."""
    contests: Contests[str] = Contests(lambda: 1.0)
    write = frozenset({"restore Deployment x"})
    for _ in range(8):
        contests.note("a", write, 1, NOON)
    assert contests.suspended_until("a", write, 1, NOON - SECOND) == NOON + 32 * SECOND
    assert contests.suspended_until("a", write, 1, NOON - 7200 * SECOND) is None
    assert contests.reported_until("a", NOON - 7200 * SECOND) is None
    assert contests.note("a", write, 1, NOON - 7200 * SECOND) == (frozenset(), 0.0)


def test_the_latest_time_of_a_key_counts() -> None:
    """It replaces the time before, earlier or later; None removes it."""
    wakeups: WakeUps[str] = WakeUps()
    wakeups.set("a", NOON + 5 * SECOND)
    wakeups.set("a", NOON + 9 * SECOND)
    wakeups.set("b", NOON + 7 * SECOND)
    wakeups.set("c", NOON + SECOND)
    wakeups.set("c", None)
    assert wakeups.due(NOON + 6 * SECOND) == []
    assert wakeups.due(NOON + 7 * SECOND) == ["b"]
    assert wakeups.due(NOON + 60 * SECOND) == ["a"]
    assert len(wakeups) == 0


def test_a_clock_that_is_set_back_delays_no_key() -> None:
    """All keys are reconciled and request their times anew."""
    wakeups: WakeUps[str] = WakeUps()
    assert wakeups.due(NOON) == []
    wakeups.set("a", NOON + SECOND)
    assert wakeups.due(NOON - timedelta(hours=1)) == ["a"]
    wakeups.set("a", NOON)
    assert wakeups.due(NOON - timedelta(hours=1)) == []


def test_sleep_is_bounded() -> None:
    """At most a minute, so that a suspended machine or a changed clock is noticed."""
    wakeups: WakeUps[str] = WakeUps()
    assert wakeups.pause(NOON) == LONGEST_SLEEP_SECONDS
    wakeups.set("a", NOON + timedelta(days=9))
    assert wakeups.pause(NOON) == LONGEST_SLEEP_SECONDS
    wakeups.set("b", NOON + 3 * SECOND)
    assert wakeups.pause(NOON) == 3
    assert wakeups.pause(NOON + timedelta(hours=1)) == 0
    wakeups.set("b", None)
    assert wakeups.pause(NOON) == LONGEST_SLEEP_SECONDS


class Clock:
    """A clock that a test sets; waiting lets other tasks run."""

    def __init__(self) -> None:
        self.time = NOON
        self.waits: list[float] = []
        self.turned = asyncio.Event()

    def now(self) -> datetime:
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.turned.clear()
        waiters = [asyncio.create_task(event.wait()), asyncio.create_task(self.turned.wait())]
        _, pending = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        for waiter in pending:
            waiter.cancel()

    async def set(self, instant: datetime) -> None:
        self.time = instant
        self.turned.set()
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_time_is_of_the_wall_clock() -> None:
    """After a suspension or a changed clock a due key is reconciled at the next wake-up."""
    wakeups: WakeUps[str] = WakeUps()
    woken: list[str] = []
    clock = Clock()
    running = asyncio.create_task(wakeups.run(clock, woken.append))
    await asyncio.sleep(0)
    wakeups.set("boundary", NOON + timedelta(days=30))
    await clock.set(NOON + timedelta(days=29))
    assert woken == []
    await clock.set(NOON + timedelta(days=31))
    assert woken == ["boundary"]
    assert max(clock.waits) <= LONGEST_SLEEP_SECONDS
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_earlier_time_interrupts_the_sleep() -> None:
    """A request for now is met at once."""
    wakeups: WakeUps[str] = WakeUps()
    woken: list[str] = []
    clock = Clock()
    running = asyncio.create_task(wakeups.run(clock, woken.append))
    await asyncio.sleep(0)
    wakeups.set("now", NOON)
    for _ in range(5):
        await asyncio.sleep(0)
    assert woken == ["now"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_newer_versions_win_in_any_order() -> None:
    """An older event that arrives late, or the same event again, changes nothing."""
    cache = Cache()
    assert cache.put(POD, live("a", 9))
    assert not cache.put(POD, live("a", 9))
    assert not cache.put(POD, live("a", 10 - 3))
    assert cache.put(POD, live("a", 10))


def test_an_equal_version_with_other_contents_is_stored() -> None:
    """Another CustomResourceDefinition adds defaults and prunes fields without a write."""
    cache = Cache()
    assert cache.put(DOMAIN, domain("a", "a.example", legs="Both"))
    assert cache.put(DOMAIN, domain("a", "a.example"))
    assert not cache.put(DOMAIN, domain("a", "a.example"))
    other = domain("a", "a.example", legs="Client")
    assert cache.put(DOMAIN, other)
    assert not cache.put(DOMAIN, other)
    # A Secret's contents and a domain's managed fields are not kept, so they are no difference either.
    assert cache.put(SECRET, live("s", data={"password": "x"}))
    assert not cache.put(SECRET, live("s", data={"password": "y"}))


MALFORMED: dict[str, Any] = {
    "no spec": {},
    "a spec that is none": {"spec": None},
    "a spec that is a list": {"spec": ["a"]},
    "no name": {"spec": {"websocket": {"enabled": True}}},
    "a name that is a list": {"spec": {"domain": ["a.example"]}},
    "references of another shape": {
        "spec": {"domain": "b.example", "origins": {"a": 1}, "tls": "x", "originTLS": ["y"]}
    },
    "origins of another shape": {"spec": {"domain": "b.example", "origins": ["a", {"service": "room"}]}},
}


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_object_affects_no_other(parts: dict[str, Any]) -> None:
    """It is reconciled itself, other keys are found, and it can be replaced and removed."""
    cache = Cache()
    cache.put(DOMAIN, domain("good", "a.example", tls={"secretName": "tls"}))
    bad = live("bad", **parts)
    assert cache.put(DOMAIN, bad)
    assert Key("domain", "team-a", "bad") in set(keys_of(cache, DOMAIN, bad))
    good = Key("domain", "team-a", "good")
    assert set(keys_of(cache, SECRET, live("tls"))) == {good}
    assert set(keys_of(cache, SERVICE, live("room"))) == set()
    assert good in set(keys_of(cache, PLAN, live("plan")))
    assert [claim["metadata"]["name"] for claim in cache.claims("a.example")] == ["good"]
    assert cache.put(DOMAIN, live("bad", 2, spec={"domain": "c.example"}))
    assert [claim["metadata"]["name"] for claim in cache.claims("c.example")] == ["bad"]
    assert cache.put(DOMAIN, live("bad", 3, **parts))
    assert cache.claims("c.example") == []
    assert cache.remove(DOMAIN, bad)


def test_a_late_deletion_spares_the_successor() -> None:
    """An object of the same name with another uid remains in the cache."""
    cache = Cache()
    cache.put(POD, live("a", 9, uid="new"))
    assert not cache.remove(POD, live("a", 8, uid="old"))
    assert cache.get(POD, "team-a", "a") is not None
    assert cache.remove(POD, live("a", 9, uid="new"))
    assert not cache.remove(POD, live("a", 9, uid="new"))


class Lists:
    """An API server with one list of a kind, in pages of one object."""

    def __init__(self, version: str, *objects: dict[str, Any], meanwhile: Callable[[], bool] = bool) -> None:
        self.version, self.objects, self.meanwhile = version, objects, meanwhile

    async def pages(self, kind: Any, namespace: str | None) -> AsyncIterator[Page]:
        for found in self.objects or [None]:
            page = Page([] if found is None else [found], self.version)
            self.meanwhile()
            yield page


async def test_a_list_corrects_the_cache_after_a_gap() -> None:
    """Missed deletions and new objects are applied; objects newer than the list remain."""
    cache = Cache()
    for name, version in (("gone", 3), ("stays", 3), ("newer", 30)):
        cache.put(POD, live(name, version))
    intake = made(cache, Lists("20", live("stays", 3), live("new", 4))).intake
    assert await intake.list_kind(POD, None) == "20"
    assert {found["metadata"]["name"] for found in cache.all(POD)} == {"stays", "new", "newer"}


async def test_a_list_does_not_restore_an_object_deleted_meanwhile() -> None:
    """A deletion event during the list counts."""
    cache = Cache()
    cache.put(POD, live("a", 3))
    lists = Lists("3", live("a", 3), meanwhile=lambda: cache.remove(POD, live("a", 3)))
    await made(cache, lists).intake.list_kind(POD, None)
    assert cache.count(POD) == 0


async def test_a_list_of_a_namespace_changes_no_other() -> None:
    """An operator of some namespaces lists each of them."""
    cache = Cache()
    cache.put(POD, live("a", 3))
    await made(cache, Lists("9")).intake.list_kind(POD, "team-b")
    assert cache.count(POD) == 1


def test_a_domain_is_found_by_what_it_names() -> None:
    """An edit of its spec, and its deletion, are followed."""
    cache = Cache()
    first = domain("a", "a.example", origins=[{"service": {"name": "web"}}], tls={"secretName": "cert"})
    cache.put(DOMAIN, first)
    cache.put(DOMAIN, domain("b", "b.example", origins=[{"service": {"name": "web"}}]))

    def naming(kind: Kind, name: str) -> list[str]:
        return [found["metadata"]["name"] for found in cache.naming(kind, "team-a", name)]

    assert naming(SERVICE, "web") == ["a", "b"]
    assert naming(SECRET, "cert") == ["a"]
    assert naming(SECRET, "web") == []
    edited = domain("a", "a.example", origins=[{"service": {"name": "other"}}])
    edited["metadata"]["resourceVersion"] = "2"
    cache.put(DOMAIN, edited)
    assert (naming(SERVICE, "web"), naming(SERVICE, "other"), naming(SECRET, "cert")) == (["b"], ["a"], [])
    cache.remove(DOMAIN, edited)
    assert naming(SERVICE, "other") == []


def test_the_pods_of_a_domain_are_those_with_its_label() -> None:
    """A pod whose label changes, and a pod that is deleted, leave it."""
    cache = Cache()
    label = {"labels": {DOMAIN_LABEL: "chat"}}
    cache.put(POD, live("one", 1, metadata=label))
    cache.put(POD, live("two", 1, metadata=label))
    cache.put(POD, live("stranger", 1))
    assert [pod["metadata"]["name"] for pod in cache.pods_of("team-a", "chat")] == ["one", "two"]
    assert cache.pods_of("team-b", "chat") == []
    cache.put(POD, live("one", 2))
    cache.remove(POD, live("two", 1, metadata=label))
    assert cache.pods_of("team-a", "chat") == []
    assert cache.count(POD) == 2


def test_of_a_pod_its_network_is_kept() -> None:
    """The rest of its spec is most of its bytes, and no decision reads it."""
    cache = Cache()
    cache.put(POD, live("one", spec={"hostNetwork": True, "containers": [{"name": "relay"}]}))
    kept = cache.get(POD, "team-a", "one")
    assert kept is not None
    assert kept["spec"] == {"hostNetwork": True}


def test_the_cache_has_no_secret() -> None:
    """Without Secrets' contents and kubectl's copy; of managedFields it has the times of edits."""
    cache = Cache()
    cache.put(SECRET, live("s", data={"password": "x"}, metadata={"managedFields": [1]}))
    kept = cache.get(SECRET, "team-a", "s")
    assert kept is not None
    assert "data" not in kept
    assert "managedFields" not in kept["metadata"]
    cache.put(PLAN, live("p", metadata={"managedFields": [1]}))
    plan = cache.get(PLAN, "team-a", "p")
    assert plan is not None
    assert plan["metadata"]["managedFields"] == [1]
    copied = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}
    cache.put(POD, live("c", metadata=copied))
    pod = cache.get(POD, "team-a", "c")
    assert pod is not None
    assert pod["metadata"]["annotations"] == {"a": "b"}


def test_a_deployment_keeps_its_field_managers() -> None:
    """Fields are most of managedFields, and only those of the subresource scale are kept."""
    cache = Cache()
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    scaled = {"manager": "hpa", "operation": "Update", "subresource": "scale", "fieldsV1": fields}
    edited = {"manager": "kubectl-edit", "operation": "Update", "time": "x", "fieldsV1": fields}
    cache.put(DEPLOYMENT, live("d", metadata={"managedFields": [scaled, edited]}))
    kept = cache.get(DEPLOYMENT, "team-a", "d")
    assert kept is not None
    assert kept["metadata"]["managedFields"] == [
        scaled,
        {"manager": "kubectl-edit", "operation": "Update"},
    ]


def test_claims_follow_the_domains() -> None:
    """The claims on a domain are indexed, also after an edit and a deletion."""
    cache = Cache()
    cache.put(DOMAIN, domain("a", "x.example.com"))
    cache.put(DOMAIN, domain("b", "x.example.com"))
    assert {c["metadata"]["name"] for c in cache.claims("x.example.com")} == {"a", "b"}
    cache.remove(DOMAIN, domain("a", "x.example.com"))
    assert {c["metadata"]["name"] for c in cache.claims("x.example.com")} == {"b"}
    cache.remove(DOMAIN, domain("b", "x.example.com"))
    assert cache.claims("x.example.com") == []


CHAT, ROOM = Key("domain", "team-a", "chat"), Key("domain", "team-a", "room")
LABEL = {"labels": {"wsedge.io/domain-name": "chat"}}
ROUTES = {
    "a plan concerns its account and all its domains": (
        PLAN,
        live("plan"),
        {Key("account", "team-a"), CHAT, ROOM},
    ),
    "an account's record concerns the Directory as well": (
        CONFIG_MAP,
        live("wsedge-account-team-a.u1", metadata={"namespace": "wsedge-system"}),
        {Key("account", "team-a"), CHAT, ROOM, DIRECTORY},
    ),
    "a ConfigMap named like a record elsewhere concerns nobody": (
        CONFIG_MAP,
        live("wsedge-account-team-a.u1"),
        set(),
    ),
    "the copy of a record concerns its account": (
        CONFIG_MAP,
        live("wsedge-account"),
        {Key("account", "team-a")},
    ),
    "a Namespace concerns its account, the Directory and, by its labels, its domains": (
        NAMESPACE,
        {"metadata": {"name": "team-a", "uid": "u1", "resourceVersion": "1"}},
        {Key("account", "team-a"), CHAT, ROOM, DIRECTORY},
    ),
    "a domain concerns those that claim the same": (
        DOMAIN,
        domain("new", "chat.example.com"),
        {Key("domain", "team-a", "new"), CHAT, DIRECTORY},
    ),
    "a child concerns its domain": (CONFIG_MAP, live("chat-relay", metadata=LABEL), {CHAT}),
    "a relay pod concerns its domain": (POD, live("chat-relay-x", metadata=LABEL), {CHAT}),
    "a Service concerns those that have it as origin": (SERVICE, live("web"), {ROOM}),
    "a Secret concerns those that refer to it": (SECRET, live("tls"), {CHAT}),
    "an authority is a reference too": (SECRET, live("ca"), {ROOM}),
    "a Secret that nobody means concerns nobody": (SECRET, live("password"), set()),
}


@pytest.mark.parametrize("kind", [PLAN, CONFIG_MAP], ids=["a plan", "a record"])
def test_a_change_of_an_account_triggers_claims_on_its_names(kind: Any) -> None:
    """When its plan takes effect, a claim in another namespace may lose the name."""
    cache = Cache("wsedge-system")
    cache.put(DOMAIN, domain("chat", "chat.example.com"))
    elsewhere = domain("squat", "chat.example.com")
    elsewhere["metadata"]["namespace"] = "team-b"
    cache.put(DOMAIN, elsewhere)
    changed = live("plan")
    if kind is CONFIG_MAP:
        changed = live("wsedge-account-team-a.u1", metadata={"namespace": "wsedge-system"})
    assert Key("domain", "team-b", "squat") in set(keys_of(cache, kind, changed))


@pytest.mark.parametrize(("kind", "changed", "concerned"), ROUTES.values(), ids=ROUTES.keys())
def test_the_keys_that_a_change_triggers(kind: Any, changed: dict[str, Any], concerned: set[Key]) -> None:
    """Exactly the keys whose decision may differ."""
    cache = Cache("wsedge-system")
    cache.put(DOMAIN, domain("chat", "chat.example.com", tls={"secretName": "tls"}, origins=[{"host": "a"}]))
    room = {"origins": [{"service": {"name": "web"}}], "originTLS": {"caSecretName": "ca"}}
    cache.put(DOMAIN, domain("room", "room.example.com", **room))
    assert set(keys_of(cache, kind, changed)) == concerned


def test_a_gateway_concerns_the_domains_whose_routes_name_it() -> None:
    """A Gateway's addresses concern its domains; the number of its routes concerns none."""
    cache = Cache()
    asking = live_domain(exposure={"gateway": {"parentRefs": [{"name": "public", "namespace": "gateways"}]}})
    cache.put(DOMAIN, asking)
    cache.put(DOMAIN, {**live_domain(), "metadata": {**live_domain()["metadata"], "name": "other"}})

    def gateway(version: int, address: str, routes: int) -> dict[str, Any]:
        return {
            "metadata": {
                "namespace": "gateways",
                "name": "public",
                "uid": "u",
                "resourceVersion": str(version),
            },
            "spec": {"listeners": []},
            "status": {"addresses": [{"value": address}], "listeners": [{"attachedRoutes": routes}]},
        }

    assert cache.put(GATEWAY, gateway(1, "203.0.113.9", 1))
    assert list(keys_of(cache, GATEWAY, gateway(1, "203.0.113.9", 1))) == [Key("domain", "team-a", "chat")]
    assert not cache.put(GATEWAY, gateway(2, "203.0.113.9", 2))
    assert cache.put(GATEWAY, gateway(3, "203.0.113.10", 2))
    assert not cache.put(GATEWAY, gateway(2, "203.0.113.9", 2))  # older than what is there
    cache.drop(GATEWAY)
    assert cache.count(GATEWAY) == 0


def test_of_a_certificate_request_only_the_conditions_are_kept() -> None:
    """Requests are found by the domain in their label; when the API is removed, none is left."""
    cache = Cache()
    labels = {"labels": {"wsedge.io/domain-name": "chat"}}
    told = {"conditions": [{"type": "Ready"}], "certificate": "x" * 4000}
    made = live("chat-relay-1", metadata=labels, spec={"request": "y" * 4000}, status=told)
    assert cache.put(CERTIFICATE_REQUEST, made)
    assert list(keys_of(cache, CERTIFICATE_REQUEST, made)) == [Key("domain", "team-a", "chat")]
    (kept,) = cache.certificate_requests_of("team-a", "chat")
    assert (kept["spec"], kept["status"]) == ({}, {"conditions": [{"type": "Ready"}]})
    assert cache.pods_of("team-a", "chat") == []
    cache.drop(CERTIFICATE_REQUEST)
    assert cache.certificate_requests_of("team-a", "chat") == []
