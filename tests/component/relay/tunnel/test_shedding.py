"""POST /shed: some connections are closed with 1001 at a rate, and no others."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection

from support.relay.frames import frame
from support.relay.http2 import http2_connection
from support.relay.running import DEADLINE, DOMAIN, on_pump_loop, origin, running
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess, request
from support.relay_process.secure import http2_config
from support.relay_process.traffic import Client, echo_origin
from wsedge_relay.tunnel.shedding import ShedOrder

AWAY = frame(b"\x03\xe9rebalance", opcode=8)  # 1001
TEN = "/shed?order=first&connections=10&perSecond=1000"


async def first_closed(clients: list[ClientConnection], number: int) -> list[ClientConnection]:
    """Wait until this many of the clients are closed; return the others, in their order."""
    for closing in asyncio.as_completed([client.wait_closed() for client in clients]):
        await closing
        number -= 1
        if not number:
            break
    return [client for client in clients if client.close_code is None]


@on_pump_loop
async def test_as_many_as_asked_are_closed_with_1001_and_the_others_serve_on() -> None:
    """New clients are admitted all the while, and each end is counted by its reason."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(origin())
        relay = await stack.enter_async_context(running(port))
        clients = [await stack.enter_async_context(relay.connect()) for _ in range(12)]
        relay.relay.shed(ShedOrder("a", 5, 1000.0))
        left = await first_closed(clients, 5)
        await relay.until(lambda: relay.relay.shed_progress.ended)
        assert {client.close_code for client in clients if client not in left} == {1001}
        assert {client.close_reason for client in clients if client not in left} == {"rebalance"}
        left.append(await stack.enter_async_context(relay.connect()))
        for client in left:
            await client.send("still here")
            assert await client.recv() == "still here"
        await relay.until(lambda: relay.relay.open_connections == 8)
        assert relay.relay.shed_progress.closed == 5
        assert {end: times for end, times in relay.counters.endings.items() if end.by == "relay"} == {
            ("relay", "rebalance", 1001): 5
        }


@on_pump_loop
async def test_connections_close_at_the_rate_and_a_newer_order_replaces_the_rest() -> None:
    """The first is closed at once; the rest of the old order is dropped, so that the sum stays as asked."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(origin())
        relay = await stack.enter_async_context(running(port))
        clients = [await stack.enter_async_context(relay.connect()) for _ in range(6)]
        relay.relay.shed(ShedOrder("slow", 6, 0.001))
        left = await first_closed(clients, 1)
        assert relay.relay.shed_progress.closed == 1
        relay.relay.shed(ShedOrder("quick", 2, 1000.0))
        await first_closed(left, 2)
        await relay.until(lambda: relay.relay.shed_progress.ended)
        assert (relay.relay.shed_progress.order, relay.relay.shed_progress.closed) == ("quick", 2)
        await relay.until(lambda: relay.relay.open_connections == 3)


@on_pump_loop
async def test_a_drain_ends_an_order_and_none_begins_during_it() -> None:
    """A drain closes all connections by its own time; after it, the relay takes orders again."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(origin())
        relay = await stack.enter_async_context(running(port, lifecycle={"drainSeconds": 3600}))
        clients = [await stack.enter_async_context(relay.connect()) for _ in range(4)]
        relay.relay.shed(ShedOrder("slow", 4, 0.001))
        left = await first_closed(clients, 1)
        drain = asyncio.create_task(relay.relay.drain())
        await first_closed(left, 1)
        assert relay.relay.shed_progress.ended
        relay.relay.shed(ShedOrder("late", 4, 1000.0))
        assert (relay.relay.shed_progress.order, relay.relay.shed_progress.closed) == ("slow", 1)
        drain.cancel()
        relay.relay.resume()
        relay.relay.shed(ShedOrder("after", 4, 1000.0))
        await relay.until(lambda: relay.relay.open_connections == 0)
        assert relay.relay.shed_progress.closed == 2


@on_pump_loop
async def test_a_connection_that_ends_by_itself_is_not_replaced() -> None:
    """An order never closes more than it chose: the relay is emptier by that client in any case."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(origin())
        relay = await stack.enter_async_context(running(port))
        clients = [await stack.enter_async_context(relay.connect()) for _ in range(3)]
        relay.relay.shed(ShedOrder("a", 3, 2.0))
        left = await first_closed(clients, 1)
        await left[0].close()
        await relay.until(lambda: relay.relay.shed_progress.ended)
        assert relay.relay.shed_progress.closed <= 2
        await relay.until(lambda: relay.relay.open_connections == 0)


REFUSED = {
    "no name": "/shed?connections=1&perSecond=1",
    "a name with a space": "/shed?order=a%20b&connections=1&perSecond=1",
    "a name that is too long": f"/shed?order={'a' * 65}&connections=1&perSecond=1",
    "no number": "/shed?order=a&perSecond=1",
    "no connection": "/shed?order=a&connections=0&perSecond=1",
    "half a connection": "/shed?order=a&connections=1.5&perSecond=1",
    "fewer than none": "/shed?order=a&connections=-1&perSecond=1",
    "other digits": "/shed?order=a&connections=%D9%A1&perSecond=1",
    "no rate": "/shed?order=a&connections=1",
    "a rate of nothing": "/shed?order=a&connections=1&perSecond=0",
    "a rate without bound": "/shed?order=a&connections=1&perSecond=10001",
}


async def enter(port: int, number: int) -> list[Client]:
    """Open connections and let each send a message."""
    clients = [await Client().open(port) for _ in range(number)]
    for client in clients:
        await client.echo(b"here")
    return clients


async def shed_state(relay: RelayProcess) -> dict[str, Any]:
    """Return the progress once the last order has ended."""
    async with asyncio.timeout(DEADLINE):
        while True:
            status, body = await relay.admin("/shed")
            assert status == 200
            state: dict[str, Any] = json.loads(body)
            if state["ended"]:
                return state


async def test_an_order_needs_the_token_and_counts_once(tmp_path: Path) -> None:
    """A repeated request closes nothing more; a request that is no order closes nothing."""
    async with echo_origin() as target:
        served = domain(origins=[{"host": "127.0.0.1", "httpPort": target}], heartbeatSeconds=300)
        path = write(tmp_path / "relay.json", config(served))
        (tmp_path / "admin-token").write_text("secret-1")
        async with RelayProcess("--config", path) as relay:
            admin = await relay.port("admin")
            clients = await enter(await relay.port("http"), 15)
            assert (await relay.admin(TEN, method="POST"))[0] == 401

            async def order(target: str) -> tuple[int, str]:
                head = f"POST {target} HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer secret-1\r\n\r\n"
                return await request(admin, head.encode())

            for case, wrong in REFUSED.items():
                assert (await order(wrong))[0] == 400, case
            assert await shed_state(relay) == {"order": None, "closed": 0, "ended": True}
            for _ in range(3):
                assert await order(TEN) == (202, "The relay closes up to 10 connections.\n")
            assert await shed_state(relay) == {"order": "first", "closed": 10, "ended": True}
            assert await order(TEN.replace("first", "second")) == (
                202,
                "The relay closes up to 10 connections.\n",
            )
            assert await shed_state(relay) == {"order": "second", "closed": 5, "ended": True}
            assert (await order("/drain"))[0] == 202
            assert await order(TEN.replace("first", "third")) == (409, "The relay is draining.\n")
            for client in clients:
                client.close()


async def test_each_worker_closes_its_part(tmp_path: Path) -> None:
    """Together as many as was asked, whichever worker has the connections; the state has their sum."""
    async with echo_origin() as target:
        served = domain(origins=[{"host": "127.0.0.1", "httpPort": target}], heartbeatSeconds=300)
        path = write(tmp_path / "relay.json", config(served))
        async with RelayProcess("--config", path, "--workers", "2") as relay:
            clients = await enter(await relay.port("http"), 40)
            assert (await relay.admin(TEN, method="POST"))[0] == 202
            parts = [await relay.event("shed ended", order="first", worker=worker) for worker in (1, 2)]
            assert sum(part["closed"] for part in parts) == 10
            assert await shed_state(relay) == {"order": "first", "closed": 10, "ended": True}
            metrics = await relay.metrics()
            labels = f'{{by="relay",code="1001",domain="{DOMAIN}",reason="rebalance"}}'
            for client in clients:
                client.close()
            assert metrics.get(f"wsedge_relay_ended_connections_total{labels}", 0) <= 10


async def test_a_stream_is_closed_and_its_connection_gets_goaway(tmp_path: Path) -> None:
    """The client cannot open its next stream on the same connection; its other streams stay open."""
    async with (
        echo_origin() as target,
        AsyncExitStack() as stack,
        RelayProcess("--config", http2_config(tmp_path, target)) as relay,
    ):
        port = await relay.port("https")
        client = await stack.enter_async_context(http2_connection("127.0.0.1", port))
        await client.begin()
        streams = [await client.open() for _ in range(4)]
        other = await stack.enter_async_context(http2_connection("127.0.0.1", port))
        await other.begin()
        target_ = "/shed?order=a&connections=1&perSecond=1000"
        assert (await relay.admin(target_, method="POST"))[0] == 202
        await client.until(lambda: any(client.streams[stream].data for stream in streams))
        (closed,) = [stream for stream in streams if client.streams[stream].data]
        assert await client.hear(closed, len(AWAY)) == AWAY
        await client.until(lambda: bool(client.goaway))
        for stream in streams:
            if stream != closed:
                await client.say(stream, b"still here")
                assert await client.hear(stream, len(frame(b"still here"))) == frame(b"still here")
        stream = await other.open()
        await other.say(stream, b"unmoved")
        assert await other.hear(stream, len(frame(b"unmoved"))) == frame(b"unmoved")
        assert not other.goaway
