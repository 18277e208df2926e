"""Whom the operator asks, and what it takes from an answer: real sockets, hostile pods."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from support.operator.namespaces import Namespaces
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.errors import NotFoundError
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import CONFIG_MAP, DEPLOYMENT, POD, Kind
from wsedge_operator.peers.relays import (
    DEADLINE_SECONDS,
    NO_ANSWER,
    NOT_A_RELAY,
    fetch_reports,
    relay_session,
    send_orders,
)
from wsedge_operator.reconcile.domain.memory import Memory, Phase, RebalanceMemory, Shed, ShedFailure
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.triggers import Key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
STATE = {"generation": "team-a/chat@1.0", "draining": False, "openConnections": 3}
_numbers = itertools.count(1)
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Pod:
    """A server on port 9090 of an address of its own, as a pod has one, which counts who asks."""

    reply: Reply
    host: str = field(default_factory=lambda: f"127.87.{os.getpid() % 250}.{next(_numbers) % 250}")
    asked: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            await self.reply(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def manifest(self, name: str = "p", **changes: Any) -> dict[str, Any]:
        """The pod as the operator sees it."""
        running = {"name": "relay", "restartCount": 0, "ready": True, "started": True}
        running["state"] = {"running": {}}
        reference = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "chat-relay-1",
            "uid": "uid-set",
            "controller": True,
        }
        return {
            "metadata": {
                "name": name,
                "namespace": "team-a",
                "uid": f"uid-{name}",
                "resourceVersion": "1",
                "labels": {"wsedge.io/domain-name": "chat"},
                "ownerReferences": [{**reference, **changes.pop("owner", {})}],
            },
            "spec": changes.pop("spec", {}),
            "status": {"podIP": self.host, "phase": "Running", "containerStatuses": [running]},
        }


@asynccontextmanager
async def listening(pod: Pod) -> AsyncIterator[Pod]:
    server = await asyncio.start_server(pod.serve, pod.host, 9090)
    async with server:
        yield pod


def says(body: bytes, *lines: str, status: str = "200 OK") -> Reply:
    async def reply(writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""])
        writer.write(head.encode() + body)
        await writer.drain()

    return reply


def tells(**changes: Any) -> Reply:
    return says(json.dumps({**STATE, **changes}).encode())


async def asked(pod: Pod) -> Any:
    async with listening(pod), relay_session() as session:
        (said,) = (await fetch_reports(session, [pod.manifest()])).values()
    return said


async def test_a_redirect_leads_nowhere() -> None:
    """What it points to is not asked, and nothing of it is in the answer."""
    async with listening(Pod(tells(generation="a secret of somebody else"))) as other:
        target = f"Location: http://{other.host}:9090/latest/meta-data"
        said = await asked(Pod(says(b"", target, status="302 Found")))
    assert (said.state, said.error, other.asked) == (None, NOT_A_RELAY, [])


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


HOSTILE: dict[str, Reply] = {
    "a body that unpacks to a gigabyte": says(
        gzip.compress(bytes(1 << 22)), "Content-Encoding: gzip", "Content-Type: application/json"
    ),
    "a body without an end": _endless,
    "a long body": says(json.dumps(STATE).encode() + b" " * 65536),
    "no JSON": says(b"<html>"),
    "another document": says(b'{"password": "hunter2"}'),
    "an error": says(b"denied", status="403 Forbidden"),
    "no HTTP": says(b"", status="SSH-2.0"),
}


@pytest.mark.parametrize("reply", HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_answer_of_a_relay_is_told_in_one_word(reply: Reply) -> None:
    """Nothing of it is repeated, and no more than 64 KiB of it are read."""
    said = await asked(Pod(reply))
    assert said.state is None
    assert said.error in {NOT_A_RELAY, NO_ANSWER}


async def test_a_silent_pod_and_none_are_told_alike() -> None:
    """Or whoever writes pods could see which addresses and ports are there."""

    async def never(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(10 * DEADLINE_SECONDS)

    async def drips(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(DEADLINE_SECONDS / 20)

    nobody = Pod(never)
    async with relay_session() as session:
        (said,) = (await fetch_reports(session, [nobody.manifest()])).values()
    assert {said.error, (await asked(Pod(never))).error, (await asked(Pod(drips))).error} == {NO_ANSWER}


async def test_no_connection_stays_after_an_answer() -> None:
    """A thousand relays are called after a start, and each of them is not called again for long."""
    pod = Pod(tells())
    assert (await asked(pod)).error == ""
    assert b"Connection: close\r\n" in pod.asked[0]


async def test_an_answer_is_bounded_field_by_field() -> None:
    """What a status shows of it is short and printable, and numbers are those of an int32."""
    said = await asked(
        Pod(
            tells(
                openConnections=10**30,
                refusedGeneration="g",
                refusedReason="\x1b[31m\n" + "x" * 10_000,
                unknown="field",
            )
        )
    )
    assert said.state.openConnections == 2**31 - 1
    assert said.state.refusedReason == "?[31m?" + "x" * 494


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that are meant for the way to the API server count for no pod."""
    async with listening(Pod(tells(generation="the proxy's"))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{proxy.host}:9090")
        said = await asked(Pod(tells()))
    assert said.state.generation == STATE["generation"]
    assert proxy.asked == []


class ApiServer:
    """Has the ReplicaSets of one namespace."""

    def __init__(self, *sets: dict[str, Any]) -> None:
        self.sets = {live["metadata"]["name"]: live for live in sets}
        self.asked: list[str] = []

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        if kind.kind == "ReplicaSet":
            self.asked.append(name)
            if name in self.sets:
                return self.sets[name]
        raise NotFoundError(f"GET {name}", 404, "NotFound", "")


def replica_set(name: str, uid: str, deployment: str) -> dict[str, Any]:
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "x",
        "uid": deployment,
        "controller": True,
    }
    return {"metadata": {"name": name, "uid": uid, "ownerReferences": [owner]}}


def child(kind: str, **metadata: Any) -> dict[str, Any]:
    owner = {"uid": "uid-chat"}
    return {
        "kind": kind,
        "metadata": {
            "name": "chat-relay",
            "namespace": "team-a",
            "uid": f"uid-{kind}",
            "resourceVersion": "1",
            "ownerReferences": [owner],
            **metadata,
        },
        "spec": {},
    }


def domain() -> dict[str, Any]:
    return {
        "metadata": {
            "name": "chat",
            "namespace": "team-a",
            "uid": "uid-chat",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-01T00:00:00Z",
        },
        "spec": {
            "domain": "chat.example.com",
            "websocket": {"originProtocol": "HTTP"},
            "origins": [{"host": "o"}],
        },
    }


async def test_only_pods_of_the_deployment_are_asked() -> None:
    """By references that the API server has: labels and references of a pod are its maker's word."""
    forged: dict[str, dict[str, Any]] = {
        "no-such-set": {"owner": {"name": "gone", "uid": "uid-gone"}},
        "another-uid": {"owner": {"uid": "uid-other"}},
        "set-of-another": {"owner": {"name": "foreign-1", "uid": "uid-foreign"}},
        "another-kind": {"owner": {"kind": "StatefulSet"}},
        "no-controller": {"owner": {"controller": False}},
        "node-network": {"spec": {"hostNetwork": True}},
    }
    api = ApiServer(
        replica_set("chat-relay-1", "uid-set", "uid-Deployment"),
        replica_set("foreign-1", "uid-foreign", "uid-foreign-deployment"),
    )
    cache = Cache()
    cache.put(CONFIG_MAP, child("ConfigMap", annotations={"wsedge.io/generation": "team-a/chat@2.0"}))
    cache.put(DEPLOYMENT, child("Deployment"))
    own, stranger = Pod(tells()), Pod(tells())
    cache.put(POD, own.manifest("own"))
    for name, changes in forged.items():
        cache.put(POD, stranger.manifest(name, **changes))
    async with listening(own), listening(stranger), relay_session() as session:
        client = cast(Client, api)
        gatherer = Gatherer(
            client=client,
            cache=cache,
            session=session,
            image=RelayImage("relay:1"),
            accounts=Accounts(cast(Client, Namespaces()), cache, "UTC"),
        )
        key = Key("domain", "team-a", "chat")
        first = await gatherer.domain(key, domain(), NOW)
        assert sorted(api.asked) == ["chat-relay-1", "foreign-1", "gone"]
        # Who is of the Deployment is known by now; who is not may be some day.
        again = await gatherer.domain(key, domain(), NOW)
    assert api.asked.count("chat-relay-1") <= 2
    assert stranger.asked == []
    assert len(own.asked) == 2
    assert own.asked[0].startswith(b"GET /config HTTP/1.1\r\n")
    assert b"Accept-Encoding: identity\r\n" in own.asked[0]
    assert first.running(own.manifest("own")) == STATE["generation"] == again.running(own.manifest("own"))
    names = {pod["metadata"]["name"] for pod in first.pods}
    assert names & {"another-kind", "no-controller"} == set()


async def test_a_measured_domain_asks_all_relays_once_in_a_period() -> None:
    """With autoscaling: also those that are current, after a period and after an edit; else none of them."""
    api = ApiServer(replica_set("chat-relay-1", "uid-set", "uid-Deployment"))
    cache = Cache()
    generation = str(STATE["generation"])
    cache.put(CONFIG_MAP, child("ConfigMap", annotations={"wsedge.io/generation": generation}))
    cache.put(DEPLOYMENT, child("Deployment"))
    own, silent = Pod(tells()), Pod(says(b"no relay"))
    ending = own.manifest("ending")
    ending["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    for live in (own.manifest("own"), ending):
        cache.put(POD, live)
    async with listening(own), listening(silent), relay_session() as session:
        client = cast(Client, api)
        gatherer = Gatherer(
            client=client,
            cache=cache,
            session=session,
            image=RelayImage("relay:1"),
            accounts=Accounts(cast(Client, Namespaces()), cache, "UTC"),
        )
        key = Key("domain", "team-a", "chat")
        live = domain()
        assert (await gatherer.domain(key, live, NOW)).load is None
        before = len(own.asked)
        assert (await gatherer.domain(key, live, NOW)).load is None
        assert len(own.asked) == before
        live["spec"]["relay"] = {
            "replicas": 2,
            "autoscaling": {"maxReplicas": 5, "connectionsPerReplica": 10},
        }
        live["metadata"]["generation"] = 2
        for seconds, asked in ((0, 2), (5, 2), (14.9, 2), (15, 4), (-60, 6)):
            found = (await gatherer.domain(key, live, NOW + timedelta(seconds=seconds))).load
            assert found is not None
            assert found.counts == {"uid-own": 3, "uid-ending": 3}
            assert len(own.asked) == before + asked, seconds
        live["metadata"]["generation"] = 3
        cache.put(POD, silent.manifest("mute"))
        found = (await gatherer.domain(key, live, NOW)).load
        assert found is not None
        assert (found.counts["uid-mute"], found.silent) == (None, 1)
        del live["spec"]["relay"]
        assert (await gatherer.domain(key, live, NOW)).load is None
        gatherer.remember(key, Memory(rebalance=RebalanceMemory(2, Phase.MEASURING)))
        gatherer.shed_failures[key] = {"uid-own": ShedFailure.FAILED}
        snapshot = await gatherer.domain(key, live, NOW)
        assert snapshot.load is not None
        assert snapshot.memory.needs_load
        assert snapshot.shed_failures == {"uid-own": ShedFailure.FAILED}
        gatherer.remember(key, Memory())
        snapshot = await gatherer.domain(key, live, NOW)
        assert (snapshot.load, snapshot.memory, snapshot.shed_failures) == (None, Memory(), {})


async def test_an_order_goes_with_the_token_and_its_failure_comes_back() -> None:
    """A relay of an older release does not know the path; a redirect is no acceptance, and leads nowhere."""
    other = Pod(says(b"", status="202 Accepted"))
    pods = {
        "new": Pod(says(b"", status="202 Accepted")),
        "old": Pod(says(b"", status="404 Not Found")),
        "draining": Pod(says(b"", status="409 Conflict")),
        "moved": Pod(says(b"", f"Location: http://{other.host}:9090/shed", status="307 Temporary Redirect")),
    }
    gone = Pod(tells())
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(relay_session())
        for pod in (*pods.values(), other):
            await stack.enter_async_context(listening(pod))
        orders = [Shed(pod.manifest(name), "o.1", 7, 1 / 3) for name, pod in (*pods.items(), ("gone", gone))]
        failures = await send_orders(session, orders, "secret-1")
    assert failures == {
        "uid-old": ShedFailure.UNKNOWN,
        "uid-draining": ShedFailure.FAILED,
        "uid-moved": ShedFailure.FAILED,
        "uid-gone": ShedFailure.FAILED,
    }
    (asked,) = pods["new"].asked
    assert asked.startswith(b"POST /shed?order=o.1&connections=7&perSecond=0.333333 HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret-1\r\n" in asked
    assert other.asked == []
