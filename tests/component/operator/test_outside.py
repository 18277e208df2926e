"""The operator's shells against real programs and sockets: statistics, relays, a silent server."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from prometheus_client import CollectorRegistry

from support.relay.running import refusing
from support.relay_process.process import RelayProcess
from support.statistics.process import statistics
from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing import record as account_record
from wsedge_operator.billing.activation import Account, Period, Terms
from wsedge_operator.errors import AccessError, ApiError, LeaseLostError, UnreachableError
from wsedge_operator.kube.access import Access, find_access
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.connection import Connection
from wsedge_operator.kube.kinds import CONFIG_MAP, DOMAIN, NAMESPACE, PLAN
from wsedge_operator.peers.relays import fetch_reports
from wsedge_operator.reconcile.domain.claims import DomainClaim, claim_of
from wsedge_operator.reconcile.selection import parse_selector
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.admin import serving
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.directory import DirectoryKeeper
from wsedge_statistics.contract import DIRECTORY_PATH

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
    life = account_record.Life("team-a", "u1", NOW, "wsedge-system")
    data = account_record.record_data(
        Account(periods=(Period(terms, NOW),), plan="p", requested_at=NOW), life
    )
    metadata = {"name": life.record_name, "namespace": life.records_in, "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "data": data}


def keeper_of(
    cache: Cache, session: aiohttp.ClientSession, every: timedelta, *, selector: str = ""
) -> DirectoryKeeper:
    async def claims(name: str | None, now: datetime) -> tuple[DomainClaim, ...]:
        return tuple(claim_of(live, can_be_served=True) for live in cache.claims(name or ""))

    nobody: Any = None  # no object that is not in the cache is asked for
    accounts = Accounts(nobody, cache, "UTC", selector=parse_selector(selector))
    return DirectoryKeeper(cache, claims, accounts, session, "", every)


async def test_the_directory_reaches_the_statistics(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """One entry per domain, its owner's; put when it changes and every so often, not in between."""
    cache = Cache("wsedge-system")
    cache.put(CONFIG_MAP, record())
    cache.put(DOMAIN, domain("chat", "chat.example.com"))
    cache.put(DOMAIN, domain("copy", "chat.example.com", created="2026-11-02T00:00:00Z"))
    cache.put(DOMAIN, {**domain("odd", ""), "spec": ["of another version"]})
    quic = domain("quic", "quic.example.com")
    quic["spec"]["websocket"] = {"enabled": True, "originProtocol": "QUIC"}
    cache.put(DOMAIN, quic)
    keeper = keeper_of(cache, session, 10 * MINUTES)
    with statistics(tmp_path) as program:
        url = f"http://127.0.0.1:{program.port}"
        assert await keeper.put_if_due(url, NOW) == NOW + 10 * MINUTES
        listed = await asyncio.to_thread(lambda: program.get("/v1/domains", account="team-a").json)
        assert [entry["domain"] for entry in listed["domains"]] == ["chat.example.com", "quic.example.com"]
        assert await keeper.put_if_due(url, NOW + MINUTES) == NOW + 10 * MINUTES
        cache.put(DOMAIN, domain("room", "room.example.com", version=2))
        assert await keeper.put_if_due(url, NOW + 2 * MINUTES) == NOW + 12 * MINUTES
        assert await keeper.put_if_due(url, NOW + 12 * MINUTES) == NOW + 22 * MINUTES
        listed = await asyncio.to_thread(lambda: program.get("/v1/domains", account="team-a").json)
        assert [entry["domain"] for entry in listed["domains"]] == [
            "chat.example.com",
            "quic.example.com",
            "room.example.com",
        ]
    with refusing() as nobody, pytest.raises(UnreachableError, match=r"PUT http://127\.0\.0\.1"):
        await keeper.put_if_due(f"http://127.0.0.1:{nobody}", NOW + 30 * MINUTES)


async def test_what_serves_stays_in_the_directory_when_its_namespace_is_unselected(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Its relays' counts are taken on; a domain there that was never served is not for anybody to report."""
    cache = Cache("wsedge-system")
    cache.put(CONFIG_MAP, record())
    labels = {"name": "team-a", "uid": "u1", "resourceVersion": "1", "labels": {"edge": "off"}}
    cache.put(NAMESPACE, {"metadata": {**labels, "creationTimestamp": "2026-11-01T00:00:00Z"}})
    kept = {"type": "NameKept", "status": "True", "lastTransitionTime": "2026-11-02T00:00:00Z"}
    cache.put(DOMAIN, {**domain("chat", "chat.example.com"), "status": {"conditions": [kept]}})
    cache.put(DOMAIN, domain("new", "new.example.com"))
    keeper = keeper_of(cache, session, 10 * MINUTES, selector="edge=on")
    with statistics(tmp_path) as program:
        await keeper.put_if_due(f"http://127.0.0.1:{program.port}", NOW)
        listed = await asyncio.to_thread(lambda: program.get("/v1/domains", account="team-a").json)
        assert [entry["domain"] for entry in listed["domains"]] == ["chat.example.com"]


async def test_statistics_of_the_last_release_get_a_directory_too(session: aiohttp.ClientSession) -> None:
    """They refuse fields that they do not know, and are given it once more without them."""
    taken: list[dict[str, Any]] = []

    async def put(request: web.Request) -> web.Response:
        document = await request.json()
        taken.append(document)
        unknown = [account for account in document["accounts"] if account.keys() - {"account", "periods"}]
        return web.Response(status=422 if unknown else 204)

    app = web.Application()
    app.add_routes([web.put(DIRECTORY_PATH, put)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        cache = Cache("wsedge-system")
        cache.put(CONFIG_MAP, record())
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await keeper_of(cache, session, MINUTES).put_if_due(url, NOW)
    finally:
        await runner.cleanup()
    told, plain = taken
    assert told["accounts"][0]["uid"] == "u1"
    assert plain["accounts"] == [{"account": "team-a", "periods": told["accounts"][0]["periods"]}]


async def test_without_statistics_there_is_nothing_to_put(session: aiohttp.ClientSession) -> None:
    """Neither when none are wanted nor while they are not found."""
    keeper = keeper_of(Cache(), session, MINUTES)
    assert await keeper.put_if_due(None, NOW) is None
    assert await keeper.put_if_due("", NOW) is None


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
        said = await fetch_reports(session, [pod("up", address), pod("down", "127.0.0.254")])
    assert said["up"].state is not None
    assert said["up"].state.generation == "team-a/chat@7.0"
    assert said["down"].state is None
    assert said["down"].error == "no answer on its admin port"


async def test_every_call_has_a_deadline() -> None:
    """A server that says nothing is given up in time, and so is one that is not there."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    def client(port: int) -> Client:
        return Client(Access(Connection(server=f"http://127.0.0.1:{port}")), call_seconds=0.2)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, client(server.sockets[0].getsockname()[1]) as unanswered:
        with pytest.raises(UnreachableError, match=r"GET .*/billingplans/p: no answer within 0\.2 s"):
            await unanswered.get(PLAN, "team-a", "p")
    with refusing() as nobody:
        async with client(nobody) as refused:
            with pytest.raises(UnreachableError, match=r"GET /apis/wsedge\.io/v1alpha1"):
                await refused.list(PLAN, None)


async def test_a_write_after_the_lease_is_not_sent() -> None:
    """The fence is asked before a write, and again after connecting; reads pass."""
    seen: list[str] = []
    answers = iter([True, False])

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.method)
        return web.json_response({})

    def fence() -> None:
        if not next(answers, False):
            raise LeaseLostError("gone")

    async with api_server(answer) as port:
        access = Access(Connection(server=f"http://127.0.0.1:{port}"))
        async with Client(access, call_seconds=5) as client:
            guarded = client.guarded(fence)
            for _ in range(2):  # with a connection that it opens, then with none
                with pytest.raises(LeaseLostError):
                    await guarded.merge(PLAN, "team-a", "p", {})
            await guarded.get(PLAN, "team-a", "p")
            assert next(answers, None) is None
    assert seen == ["GET"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("0", 0.0), ("soon", None), ("-1", None), ("inf", None)]
)
async def test_an_answer_that_asks_to_wait_is_an_error_with_its_seconds(
    text: str, seconds: float | None
) -> None:
    """Retry-After is seconds; anything else asks for nothing."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, status=429, headers={"Retry-After": text})

    async with api_server(answer) as port:
        access = Access(Connection(server=f"http://127.0.0.1:{port}"))
        async with Client(access, call_seconds=5) as client:
            with pytest.raises(ApiError) as error:
                await client.get(PLAN, "team-a", "p")
    assert error.value.retry_after == seconds


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
    """The kubelet replaces the token file; the client uses what is in it now."""
    token = tmp_path / "token"
    (tmp_path / "ca.crt").write_text("")
    token.write_text("first\n")
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"resources": []})

    async with api_server(answer) as port:
        environ = {"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": "443"}
        found = find_access(environ, tmp_path)
        assert found.connection.server == "https://[::1]:443"
        plain = Connection(server=f"http://127.0.0.1:{port}")
        access = Access(plain, found.token_file)
        async with Client(access, call_seconds=5) as client:
            await client.served("wsedge.io", "v1alpha1")
            token.write_text("second\n")
            await client.served("wsedge.io", "v1alpha1")
            assert seen == ["Bearer first", "Bearer second"]
            assert access.current().headers() == {"Authorization": "Bearer second"}
            token.unlink()
            with pytest.raises(UnreachableError, match="cannot read the token"):
                await client.served("wsedge.io", "v1alpha1")


async def test_a_redirect_is_an_error_and_gets_no_token() -> None:
    """No API server redirects a call; whoever answers with a redirect does not learn the token."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response({"message": "over there"}, status=307, headers={"Location": "/elsewhere"})

    async with api_server(answer) as port:
        connection = Connection(server=f"http://127.0.0.1:{port}", token="secret")
        async with Client(Access(connection), call_seconds=5) as client:
            with pytest.raises(ApiError, match="307"):
                await client.get(PLAN, "team-a", "p")
    assert seen == [PLAN.path("team-a", "p")]


@asynccontextmanager
async def api_server(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[int]:
    """Whatever is asked is answered by `answer`; gives the port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def kubeconfig(cluster: dict[str, Any], user: dict[str, Any]) -> str:
    document = yaml.safe_load(KUBECONFIG)
    document["clusters"][0]["cluster"].update(cluster)
    document["users"][0]["user"] = user
    return yaml.safe_dump(document)


KUBECONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a certificate in files beside it": (
        {"certificate-authority": "ca.crt"},
        {"client-certificate": "c.crt", "client-key": "/abs/c.key"},
        {"ca_path": "FOLDER/ca.crt", "certificate_path": "FOLDER/c.crt", "private_key_path": "/abs/c.key"},
    ),
    "data in it go before files": (
        {"certificate-authority": "ca.crt", "certificate-authority-data": "QQ=="},
        {"client-certificate": "x", "client-certificate-data": "QQ==", "client-key-data": "QQ=="},
        {"ca_path": None, "ca_data": "QQ==", "certificate_path": None, "certificate_data": "QQ=="},
    ),
    "a token": ({}, {"token": "t"}, {"token": "t"}),
    "a name and a password": ({}, {"username": "n", "password": "p"}, {"username": "n", "password": "p"}),
    "a server that is not checked, behind a proxy": (
        {"insecure-skip-tls-verify": True, "proxy-url": "http://127.0.0.1:3"},
        {},
        {"insecure": True, "proxy_url": "http://127.0.0.1:3"},
    ),
    "a server under a path": (
        {"server": "https://127.0.0.1:1/k8s/c/"},
        {},
        {"server": "https://127.0.0.1:1/k8s/c"},
    ),
}


@pytest.mark.parametrize(("cluster", "user", "found"), KUBECONFIGS.values(), ids=KUBECONFIGS.keys())
def test_a_kubeconfig_is_read_as_kubectl_reads_it(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], found: dict[str, Any]
) -> None:
    """Certificates, tokens, passwords, proxies; a path is relative to its file, data go before a path."""
    file = tmp_path / "config"
    file.write_text(kubeconfig(cluster, user))
    connection = find_access({"KUBECONFIG": str(file)}).connection
    for field, value in found.items():
        expected = value.replace("FOLDER", str(tmp_path)) if isinstance(value, str) else value
        assert getattr(connection, field) == expected


def test_of_several_kubeconfigs_the_first_that_names_a_thing_wins(tmp_path: Path) -> None:
    """The context and the cluster come from the first, the user that only the second has from it."""
    first, second = tmp_path / "first", tmp_path / "b" / "second"
    second.parent.mkdir()
    first.write_text(kubeconfig({"server": "https://127.0.0.1:1"}, {}).replace("users:", "others:"))
    second.write_text(kubeconfig({"server": "https://127.0.0.1:2"}, {"tokenFile": "token"}))
    (second.parent / "token").write_text("t")
    access = find_access({"KUBECONFIG": f"{first}:{second}"})
    assert (access.connection.server, access.current().token) == ("https://127.0.0.1:1", "t")


NO_ACCESS: dict[str, tuple[str | None, str]] = {
    "no such file": (None, "KUBECONFIG=.*config"),
    "no YAML": ("{", "KUBECONFIG=.*config"),
    "no mapping": ("[]", "is no kubeconfig"),
    "a context that is not there": (KUBECONFIG.replace("name: x", "name: y"), "there is no context 'x'"),
    "a user that is not there": (KUBECONFIG.replace("name: u", "name: v"), "there is no user 'u'"),
    "an entry without a name": (KUBECONFIG.replace("name: c,", ""), "an entry of clusters has no name"),
    "no server": (KUBECONFIG.replace("server", "sever"), "cluster 'c' has no server"),
    "a program to be run": (kubeconfig({}, {"exec": {"command": "aws"}}), "user has exec.*kubectl proxy"),
    "to act as somebody else": (kubeconfig({}, {"token": "t", "as": "root"}), "user has as,.*kubectl proxy"),
    "another name in the certificate": (
        kubeconfig({"tls-server-name": "x"}, {}),
        "cluster has tls-server-name",
    ),
}


@pytest.mark.parametrize(("text", "message"), NO_ACCESS.values(), ids=NO_ACCESS.keys())
def test_a_kubeconfig_that_cannot_be_followed_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    """The error names the file and the field; nothing in it is left out in silence."""
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    with pytest.raises(AccessError, match=message):
        find_access({"KUBECONFIG": str(file)})


async def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    """The client names what it cannot use before the first call."""
    file = tmp_path / "config"
    file.write_text(kubeconfig({"certificate-authority": "nowhere.crt"}, {}))
    with pytest.raises(AccessError, match="cannot use the certificates"):
        async with Client(find_access({"KUBECONFIG": str(file)}), call_seconds=5):
            pass


def test_no_way_to_an_api_server_is_told(tmp_path: Path) -> None:
    """Without KUBECONFIG and outside a pod, or in a pod without token, the error says what was looked for."""
    with pytest.raises(AccessError, match="no KUBECONFIG is set"):
        find_access({})
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    with pytest.raises(AccessError, match=f"no ServiceAccount.s token is mounted .*{tmp_path}/token"):
        find_access(environ, tmp_path)


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


PROXIES: dict[str, tuple[dict[str, Any], dict[str, str], str | None]] = {
    "none is named": ({}, {}, None),
    "the kubeconfig's": ({"proxy_url": "http://one:1"}, {"HTTPS_PROXY": "http://two:2"}, "http://one:1"),
    "the environment's": ({"trust_env": True}, {"HTTPS_PROXY": "http://two:2"}, "http://two:2"),
    "not in a pod": ({}, {"HTTPS_PROXY": "http://two:2"}, None),
    "not for this host": ({"trust_env": True}, {"HTTPS_PROXY": "http://two:2", "NO_PROXY": "api.test"}, None),
}


@pytest.mark.parametrize("name", PROXIES)
def test_the_proxy_to_an_api_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig's goes before the environment's, which counts outside of pods only."""
    parts, environ, expected = PROXIES[name]
    for variable in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert Connection("https://api.test:6443", **parts).proxy() == expected
