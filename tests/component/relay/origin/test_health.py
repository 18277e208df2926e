"""Active health checks: the requests that origins get, and the effects of results."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from support.relay.certificates import authority
from support.relay.running import DOMAIN, echo, on_pump_loop, origin, raw_origin, refusing, running
from wsedge_relay.contract import OriginHealthCheck
from wsedge_relay.errors import NoDescriptorError
from wsedge_relay.origin import health
from wsedge_relay.origin.balance import Target
from wsedge_relay.origin.health import families

QUICK_CHECKS = {"intervalSeconds": 1, "timeoutSeconds": 10, "unhealthyAfter": 1, "healthyAfter": 1}
NEVER_BEFORE_THE_END = {**QUICK_CHECKS, "intervalSeconds": 300}


def at(port: int) -> dict[str, Any]:
    """Return an origin on a loopback port."""
    return {"host": "127.0.0.1", "httpPort": port, "httpsPort": port}


@asynccontextmanager
async def answering(answers: dict[str, bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that answers every request with `answers["now"]`; yield its port and the requests."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers["now"])
        await writer.drain()

    async with raw_origin(answer) as port:
        yield port, seen


def target(relay: Any, place: int = 0) -> Target:
    """Return the relay's state of an origin."""
    found: Target = relay.site.origins.targets[place]
    return found


@on_pump_loop
async def test_a_check_is_a_whole_websocket() -> None:
    """By default the origin sees a handshake at "/" with its own Host, and a Close with 1000."""
    seen: asyncio.Queue[tuple[Any, int | None]] = asyncio.Queue()

    async def note(connection: ServerConnection) -> None:
        await connection.wait_closed()
        seen.put_nowait((connection.request, connection.close_code))

    async with origin(note) as port, running(port, originHealthCheck=QUICK_CHECKS) as relay:
        request, code = await seen.get()
        await relay.until(lambda: target(relay).good)
        assert (request.path, request.headers["Host"], code) == ("/", f"127.0.0.1:{port}", 1000)
        assert "wsedge" in request.headers["User-Agent"]
        assert target(relay).healthy
        assert 0 <= target(relay).latency < 10
        assert relay.totals.opened_connections == 0


JUDGEMENTS = {
    "a handshake that is refused for want of a cookie is good": (None, b"HTTP/1.1 401 x", True),
    "a handshake at a path that is not there is good": (None, b"HTTP/1.1 404 x", True),
    "a broken server is bad": (None, b"HTTP/1.1 503 x", False),
    "a 200 to a handshake is bad": (None, b"HTTP/1.1 200 x", False),
    "a 101 that proves nothing is bad": (None, b"HTTP/1.1 101 x", False),
    "no HTTP is bad": (None, b"220 mail.example.com", False),
    "a GET answered by 204 is good": ("/up", b"HTTP/1.1 204 x", True),
    "a GET answered by 302 is good": ("/up", b"HTTP/1.1 302 x", True),
    "a GET answered by 404 is bad": ("/up", b"HTTP/1.1 404 x", False),
    "a GET answered by 500 is bad": ("/up", b"HTTP/1.1 500 x", False),
}


@pytest.mark.parametrize("case", JUDGEMENTS)
@on_pump_loop
async def test_judgement(case: str) -> None:
    """The result of a check, by its answer."""
    path, first_line, good = JUDGEMENTS[case]
    rules = {**QUICK_CHECKS, "path": path}
    async with (
        answering({"now": first_line + b"\r\n\r\n"}) as (port, _),
        running(port, originHealthCheck=rules) as relay,
    ):
        await relay.until(lambda: target(relay).good + target(relay).bad)
        assert target(relay).healthy is good


@on_pump_loop
async def test_an_http_check_is_a_get() -> None:
    """With a path the origin gets a plain GET of it."""
    async with (
        answering({"now": b"HTTP/1.1 200 x\r\n\r\n"}) as (port, seen),
        running(port, originHealthCheck={**QUICK_CHECKS, "path": "/up?a=1"}) as relay,
    ):
        await relay.until(lambda: seen)
    assert seen[0].startswith(b"GET /up?a=1 HTTP/1.1\r\nHost: 127.0.0.1")
    assert b"Upgrade" not in seen[0]


@on_pump_loop
async def test_checks_go_on_after_one_that_could_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a descriptor there is no result, and a crash is logged; later checks are made."""
    wrong: list[Exception] = [NoDescriptorError("too many open files"), ZeroDivisionError()]

    async def check(*arguments: Any, **named: Any) -> None:
        if wrong:
            raise wrong.pop(0)
        await real(*arguments, **named)

    real = health.check
    monkeypatch.setattr(health, "check", check)
    async with answering({"now": b"HTTP/1.1 403 x\r\n\r\n"}) as (port, _):
        with capture_logs() as logs:
            async with running(port, originHealthCheck=QUICK_CHECKS) as relay:
                await relay.until(lambda: target(relay).good > 0)
                assert target(relay).bad == 0
    assert [line["event"] for line in logs] == ["health check crashed"]


@on_pump_loop
async def test_silence_is_bad() -> None:
    """An origin that accepts connections and does not answer is unhealthy after its time."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    rules = {**QUICK_CHECKS, "timeoutSeconds": 1}
    async with raw_origin(silent) as port, running(port, originHealthCheck=rules) as relay:
        await relay.until(lambda: not target(relay).healthy)


@on_pump_loop
async def test_a_check_speaks_tls_as_connections_do() -> None:
    """HTTPS origins are checked over TLS, and an untrusted certificate is a failure."""
    server = authority().server_context("127.0.0.1")
    tls: dict[str, Any] = {"originProtocol": "HTTPS", "originHealthCheck": QUICK_CHECKS}
    async with origin(echo, ssl=server) as port:
        async with running(port, originTLS={"insecureSkipVerify": True}, **tls) as relay:
            await relay.until(lambda: target(relay).good)
        async with running(port, **tls) as relay:
            await relay.until(lambda: target(relay).bad)


@on_pump_loop
async def test_unhealthy_origins_get_nothing_until_they_are_well() -> None:
    """Connections go to the healthy origin, without a failed dial; each change is logged once."""
    answers = {"now": b"HTTP/1.1 500 x\r\n\r\n"}
    async with answering(answers) as (sick, seen), origin(echo) as well:
        with capture_logs() as logs:
            async with running(origins=[at(sick), at(well)], originHealthCheck=QUICK_CHECKS) as relay:
                await relay.until(lambda: target(relay).bad > 1)
                for _ in range(4):
                    async with relay.connect() as client:
                        await client.send("x")
                        assert await client.recv() == "x"
                metrics = {
                    family.name: dict(family.rows) for family in families({DOMAIN: relay.site.origins}, 0.0)
                }
                assert metrics["origin_healthy"][DOMAIN, f"127.0.0.1:{sick}/{sick}"] == 0
                answers["now"] = b"HTTP/1.1 403 x\r\n\r\n"
                await relay.until(lambda: target(relay).healthy)
        assert relay.counters.origin_failures == {}
        assert all(b"(health check)" in request for request in seen)
    turns = [(line["event"], line["origin"]) for line in logs if line["event"].startswith("origin ")]
    name = f"127.0.0.1:{sick}/{sick}"
    assert turns == [("origin became unhealthy", name), ("origin became healthy", name)]


@on_pump_loop
async def test_all_unhealthy_are_still_tried() -> None:
    """When all origins are unhealthy the checks may be wrong, and connections ignore them."""
    async with origin(echo) as port:
        rules = {**QUICK_CHECKS, "path": "/"}  # which a WebSocket server does not answer well
        async with running(port, originHealthCheck=rules) as relay:
            await relay.until(lambda: not target(relay).healthy)
            async with relay.connect() as client:
                await client.send("x")
                assert await client.recv() == "x"


@on_pump_loop
async def test_checks_follow_the_configuration() -> None:
    """They start and stop with the field, without a restart; without checks no origin is unhealthy."""
    with refusing() as nobody:
        async with running(nobody) as relay:
            assert target(relay).due == 0
            relay.apply(originHealthCheck=QUICK_CHECKS)
            await relay.until(lambda: not target(relay).healthy)
            relay.apply(originHealthCheck=None)
            assert (target(relay).healthy, target(relay).due) == (True, 0)
            relay.apply(originHealthCheck=NEVER_BEFORE_THE_END)
            assert target(relay).due
            relay.apply(originHealthCheck=QUICK_CHECKS)
            await relay.until(lambda: not target(relay).healthy)


@on_pump_loop
async def test_checks_end_with_the_domain() -> None:
    """A disabled or removed domain is not checked."""
    async with (
        answering({"now": b"HTTP/1.1 404 x\r\n\r\n"}) as (port, seen),
        running(port, originHealthCheck=QUICK_CHECKS) as relay,
    ):
        await relay.until(lambda: target(relay).good)
        kept = target(relay)
        relay.apply(enabled=False)
        assert kept.due == 0
        relay.apply(enabled=True)
        assert kept.due > 0
        before = len(seen)
        relay.apply(domain="other.example.com", originHealthCheck=None)
        began = time.monotonic()
        await relay.until(lambda: time.monotonic() - began > 1.2)
        assert len(seen) - before <= 1  # one may have been under way


@on_pump_loop
async def test_checks_are_spread() -> None:
    """The times of many origins' checks are spread over the interval."""
    origins = [at(port) for port in range(40001, 40065)]
    async with running(origins=origins, originHealthCheck=NEVER_BEFORE_THE_END) as relay:
        now = asyncio.get_running_loop().time()
        waits = sorted(one.due - now for one in relay.site.origins.targets)
    assert len(waits) == 64
    assert max(after - before for before, after in itertools.pairwise(waits)) < 60
    assert waits[-1] - waits[0] > 200


def test_the_defaults_are_those_on_the_page() -> None:
    """Every 10 s, 5 s long, unhealthy after 3, healthy after 2."""
    rules = OriginHealthCheck()
    assert (rules.intervalSeconds, rules.timeoutSeconds) == (10, 5)
    assert (rules.unhealthyAfter, rules.healthyAfter) == (3, 2)
