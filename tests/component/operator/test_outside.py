"""The operator's shells against real programs and sockets: statistics, relays, a silent server."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from support_relay.running import refusing
from support_relay_shell.process import RelayProcess
from support_statistics.process import statistics
from wsedge_operator import account
from wsedge_operator.activation import Account, Period, Terms
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.errors import AccessError, UnreachableError
from wsedge_operator.kube.access import Access, connection_info, find_access
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, PLAN
from wsedge_operator.reconcile.claims import DomainClaim, claim_of
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.health import serving
from wsedge_operator.runtime.relays import ask
from wsedge_operator.runtime.statistics import DirectoryKeeper

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTES = timedelta(minutes=1)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def domain(
    name: str, host: str, *, version: int = 1, created: str = "2026-11-01T00:00:00Z"
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": created,
        },
        "spec": {"domain": host, "websocket": {"enabled": True, "originProtocol": "HTTP"}, "origins": []},
    }


def record() -> dict[str, Any]:
    terms = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "UTC")
    data = account.to_data(Account(periods=(Period(terms, NOW),), plan="p", asked=NOW))
    metadata = {"name": account.CONFIG_MAP, "namespace": "team-a", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "data": data}


async def test_the_directory_reaches_the_statistics(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """One entry per domain, its owner's; put when it changes and every so often, not in between."""
    cache = Cache()

    async def claims(name: str | None, now: datetime) -> tuple[DomainClaim, ...]:
        return tuple(claim_of(live, can_be_served=True) for live in cache.claims(name or ""))

    cache.put(CONFIG_MAP, record())
    cache.put(DOMAIN, domain("chat", "chat.example.com"))
    cache.put(DOMAIN, domain("copy", "chat.example.com", created="2026-11-02T00:00:00Z"))
    cache.put(DOMAIN, {**domain("odd", ""), "spec": ["of another version"]})
    quic = domain("quic", "quic.example.com")
    quic["spec"]["websocket"] = {"enabled": True, "originProtocol": "QUIC"}
    cache.put(DOMAIN, quic)
    keeper = DirectoryKeeper(cache, claims, session, "", every=10 * MINUTES)
    with statistics(tmp_path) as program:
        url = f"http://127.0.0.1:{program.port}"
        assert await keeper.keep(url, NOW) == NOW + 10 * MINUTES
        listed = await asyncio.to_thread(lambda: program.get("/v1/domains", account="team-a").json)
        assert [entry["domain"] for entry in listed["domains"]] == ["chat.example.com", "quic.example.com"]
        assert await keeper.keep(url, NOW + MINUTES) == NOW + 10 * MINUTES
        cache.put(DOMAIN, domain("room", "room.example.com", version=2))
        assert await keeper.keep(url, NOW + 2 * MINUTES) == NOW + 12 * MINUTES
        assert await keeper.keep(url, NOW + 12 * MINUTES) == NOW + 22 * MINUTES
        listed = await asyncio.to_thread(lambda: program.get("/v1/domains", account="team-a").json)
        assert [entry["domain"] for entry in listed["domains"]] == [
            "chat.example.com",
            "quic.example.com",
            "room.example.com",
        ]
    with refusing() as nobody, pytest.raises(UnreachableError, match=r"PUT http://127\.0\.0\.1"):
        await keeper.keep(f"http://127.0.0.1:{nobody}", NOW + 30 * MINUTES)


async def test_without_statistics_there_is_nothing_to_put(session: aiohttp.ClientSession) -> None:
    """Neither when none are wanted nor while they are not found."""

    async def claims(name: str | None, now: datetime) -> tuple[DomainClaim, ...]:
        return ()

    keeper = DirectoryKeeper(Cache(), claims, session, "", every=MINUTES)
    assert await keeper.keep(None, NOW) is None
    assert await keeper.keep("", NOW) is None


async def test_relays_say_what_they_run(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A running relay answers with its generation; one that is not there is told as such, in time."""
    address = f"127.{random.randrange(100, 250)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
    path = tmp_path / "relay.json"
    path.write_text(
        '{"version": 1, "generation": "team-a/chat@7.0", "domains": [], "statistics": null,'
        ' "listen": {"host": "127.0.0.1", "http": 0, "admin": 9090}}'
    )

    def pod(uid: str, host: str) -> dict[str, Any]:
        return {"metadata": {"uid": uid}, "status": {"podIP": host, "containerStatuses": []}}

    async with RelayProcess("--config", path, "--host", address) as relay:
        await relay.event("listening", listener="admin")
        said = await ask(session, [pod("up", address), pod("down", "127.0.0.254")])
    assert said["up"].state is not None
    assert said["up"].state.generation == "team-a/chat@7.0"
    assert said["down"].state is None
    assert "Error" in said["down"].error


async def test_every_call_has_a_deadline() -> None:
    """A server that says nothing is given up in time, and so is one that is not there."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    def client(port: int) -> Client:
        access = Access(host=f"http://127.0.0.1:{port}")
        access.retries = False
        return Client(access, call_seconds=0.2)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, client(server.sockets[0].getsockname()[1]) as unanswered:
        with pytest.raises(UnreachableError, match=r"GET .*/billingplans/p: no answer within 0\.2 s"):
            await unanswered.get(PLAN, "team-a", "p")
    with refusing() as nobody:
        async with client(nobody) as refused:
            with pytest.raises(UnreachableError, match=r"GET /apis/wsedge\.io/v1alpha1"):
                await refused.list(PLAN, None)


async def test_health_tells_readiness_and_metrics(session: aiohttp.ClientSession) -> None:
    """/readyz gives the reason for not being ready; /healthz does not depend on it."""
    why: list[str] = ["not yet"]
    async with serving(("127.0.0.1", 0), CollectorRegistry(), lambda: why[0] if why else None) as port:

        async def ask_for(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        assert await ask_for("/healthz") == (200, "ok\n")
        assert await ask_for("/readyz") == (503, "not yet\n")
        why.clear()
        assert await ask_for("/readyz") == (200, "ok\n")
        assert (await ask_for("/metrics"))[0] == 200


KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


async def test_a_rotated_token_is_read_anew(tmp_path: Path) -> None:
    """The kubelet replaces the token file; client and kopf use what is in it now."""
    config, token = tmp_path / "kubeconfig", tmp_path / "token"
    config.write_text(KUBECONFIG)
    token.write_text("first\n")
    access = await find_access({"KUBECONFIG": str(config)})
    assert (await connection_info(access)).token == "first"
    token.write_text("second\n")
    assert (await connection_info(access)).as_http_headers() == {"Authorization": "Bearer second"}
    assert (await access.auth_settings())["BearerToken"]["value"] == "Bearer second"


async def test_no_way_to_an_api_server_is_told(tmp_path: Path) -> None:
    """The error names what was tried."""
    with pytest.raises(AccessError, match=r"KUBECONFIG=.*nowhere"):
        await find_access({"KUBECONFIG": str(tmp_path / "nowhere")})
    with pytest.raises(AccessError, match="no KUBECONFIG, and not in a pod"):
        await find_access({})


def run(**settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("WSEDGE", "KUBE"))
    }
    command = [sys.executable, "-c", "from wsedge_operator.main import main; main()"]
    return subprocess.run(
        command, env={**environment, **settings}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_wrong_setting_is_told_by_name() -> None:
    """Exit code 2, the variable and the rule."""
    ended = run(WSEDGE_OPERATOR_DEFAULT_TIME_ZONE="Mars/Olympus")
    assert ended.returncode == 2
    assert "WSEDGE_OPERATOR_DEFAULT_TIME_ZONE: " in ended.stderr
    assert "'Mars/Olympus' is not a time zone" in ended.stderr


def test_without_an_api_server_it_ends_with_a_reason() -> None:
    """Exit code 1 and one line that says why, no traceback."""
    ended = run(WSEDGE_OPERATOR_LISTEN="127.0.0.1:0")
    assert ended.returncode == 1
    assert "cannot reach an API server" in ended.stderr
    assert "Traceback" not in ended.stderr
