"""Open connections are listed in pages and in slices; one is closed by its id, and no other."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.relay.frames import frame
from support.relay.http2 import http2_connection
from support.relay.running import DEADLINE, DOMAIN, on_pump_loop, origin, running
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess, request
from support.relay_process.secure import http2_config
from support.relay_process.traffic import Client, echo_origin
from wsedge_relay.contract import MOST_LISTED_CONNECTIONS, OpenConnection, OpenConnections
from wsedge_relay.tunnel import listing
from wsedge_relay.tunnel.tunnel import Tunnel

TOKEN = "Wsedge-Token: secret-1\r\n"


def facts(tunnel: Tunnel) -> OpenConnection:
    loop = asyncio.get_running_loop()
    found = listing.facts_of(tunnel, epoch="e", now=loop.time(), wall=datetime.now(UTC).timestamp())
    assert found is not None
    return OpenConnection.model_validate(found)


@pytest.mark.usefixtures("each_form")
@on_pump_loop
async def test_a_connection_is_shown_with_its_client_counts_and_round_trip() -> None:
    """Bytes and messages are those of the usage; the kernel has measured both legs' round trips."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(origin())
        relay = await stack.enter_async_context(running(port))
        began = datetime.now(UTC)
        client = await stack.enter_async_context(relay.connect(compression=None))
        for _ in range(3):
            await client.send("hello")
            await client.recv()
        (tunnel,) = relay.tunnels
        shown = facts(tunnel)
        assert (shown.id, shown.domain, shown.client) == ("e-1", DOMAIN, "127.0.0.1")
        assert (shown.origin, shown.http2, shown.closing) == (f"127.0.0.1:{port}/{port}", False, False)
        assert (shown.sentMessages, shown.receivedMessages) == (3, 3)
        assert (shown.sentBytes, shown.receivedBytes) == (3 * 7, 3 * 11)
        since = datetime.fromisoformat(shown.since)
        assert -1 < (since - began).total_seconds() < DEADLINE
        assert shown.clientRttSeconds is not None
        assert shown.originRttSeconds is not None
        assert 0 < shown.clientRttSeconds < DEADLINE
    assert listing.facts_of(tunnel, epoch="e", now=0, wall=0) is None, "an ended one has no facts"


def some_tunnels(numbers: list[int], name: str = DOMAIN) -> list[Tunnel]:
    made = [SimpleNamespace(number=number, key=SimpleNamespace(domain=name)) for number in numbers]
    return cast("list[Tunnel]", made)


@given(
    numbers=st.sets(st.integers(1, 12_000), max_size=60),
    limit=st.integers(1, 20),
    seed=st.integers(0, 100),
)
def test_pages_have_each_connection_once_in_their_order(numbers: set[int], limit: int, seed: int) -> None:
    """As if the sorted list were cut, whatever order a set has."""
    mixed = sorted(numbers)
    random.Random(seed).shuffle(mixed)
    tunnels = [*some_tunnels(mixed), *some_tunnels([7, 13], "other.example.com")]

    async def listed() -> list[int]:
        seen: list[int] = []
        after = 0
        while page := await listing.page_of(tunnels, domain=DOMAIN, after=after, limit=limit):
            assert len(page) <= limit
            seen += [one.number for one in page]
            after = seen[-1]
        return seen

    assert asyncio.run(listed()) == sorted(numbers)


async def test_a_page_of_a_hundred_thousand_gives_way_again_and_again() -> None:
    """Other tasks run between slices: a relay with that many tunnels answers its clients meanwhile."""
    numbers = list(range(1, 100_001))
    random.Random(1).shuffle(numbers)
    tunnels = some_tunnels(numbers)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    page = await listing.page_of(tunnels, domain=None, after=50_000, limit=10**9)
    counting.cancel()
    assert [one.number for one in page] == list(range(50_001, 50_001 + MOST_LISTED_CONNECTIONS))
    assert turns >= 50


async def listed(relay: RelayProcess, query: str = "", token: str = TOKEN) -> tuple[int, Any]:
    head = f"GET /connections{query} HTTP/1.1\r\nHost: relay\r\n{token}\r\n"
    status, body = await request(await relay.port("admin"), head.encode())
    return status, json.loads(body) if status == 200 else body


async def all_listed(relay: RelayProcess, limit: int) -> list[OpenConnection]:
    found: list[OpenConnection] = []
    after: str | None = "0.0"
    while after is not None:
        status, body = await listed(relay, f"?limit={limit}&domain={DOMAIN}&after={after}")
        assert status == 200, body
        page = OpenConnections.model_validate(body)
        found += page.connections
        after = page.next
    return found


async def order_close(relay: RelayProcess, name: str, token: str = TOKEN) -> tuple[int, str]:
    head = f"POST /connections/{quote(name)}/close HTTP/1.1\r\nHost: relay\r\n{token}\r\n"
    return await request(await relay.port("admin"), head.encode())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("form", ["plain", "auto"])
async def test_one_of_many_is_closed_with_1001_whatever_process_has_it(
    workers: int, form: str, tmp_path: Path
) -> None:
    """The listing has the connections of all processes once; the others go on after a close."""
    async with echo_origin() as target:
        served = domain(origins=[{"host": "127.0.0.1", "httpPort": target}], heartbeatSeconds=300)
        path = write(tmp_path / "relay.json", config(served))
        (tmp_path / "admin-token").write_text("secret-1")
        arguments = ("--config", path, "--workers", str(workers), "--pump", form)
        async with RelayProcess(*arguments) as relay:
            clients = [await Client().open(await relay.port("http")) for _ in range(24)]
            for size, client in enumerate(clients):
                await client.echo(b"x" * (size + 1))
            shown = await all_listed(relay, limit=5)
            assert len({one.id for one in shown}) == len(shown) == 24
            assert {one.client for one in shown} == {"127.0.0.1"}
            chosen = clients[7]
            (wanted,) = [one for one in shown if one.receivedBytes == 8 + 6]
            assert (await order_close(relay, wanted.id))[0] == 202
            assert (await chosen.answer_close())[2:4] == b"\x03\xe9"
            for client in clients:
                if client is not chosen:
                    await client.echo(b"still here")
            assert await order_close(relay, wanted.id) == (404, "No open connection has this id.\n")
            left = await all_listed(relay, limit=1000)
            assert {one.id for one in left} == {one.id for one in shown} - {wanted.id}
            labels = f'{{by="relay",code="1001",domain="{DOMAIN}",reason="closed by request"}}'
            assert (await relay.metrics())[f"wsedge_relay_ended_connections_total{labels}"] == 1
            for client in clients:
                client.close()


WRONG_QUERIES = {
    "a limit that is none": "?limit=x",
    "nothing": "?limit=0",
    "too many": f"?limit={MOST_LISTED_CONNECTIONS + 1}",
    "a place that is none": "?after=x",
    "half a place": "?after=1",
    "a negative place": "?after=-1.0",
}
WRONG_IDS = {
    "another process's": "00000000-1",
    "a number alone": "1",
    "a number that is none": "{epoch}-x",
    "a number beyond all": "{epoch}-" + "9" * 40,
    "other digits": "{epoch}-\u0661",
    "a place in the file system": "..",
}


async def test_clients_addresses_need_the_token(tmp_path: Path) -> None:
    """Neither a list nor a close without it; whoever has it may use any name for the relay's host."""
    async with echo_origin() as target:
        served = domain(origins=[{"host": "127.0.0.1", "httpPort": target}], heartbeatSeconds=300)
        path = write(tmp_path / "relay.json", config(served))
        (tmp_path / "admin-token").write_text("secret-1")
        async with RelayProcess("--config", path) as relay:
            client = await Client().open(await relay.port("http"))
            await client.echo(b"here")
            (shown,) = await all_listed(relay, limit=1000)
            for token in ("", "Wsedge-Token: secret-2\r\n", "X-Token: secret-1\r\n"):
                assert (await listed(relay, token=token))[0] == 401
                assert (await order_close(relay, shown.id, token))[0] == 401
            for case, query in WRONG_QUERIES.items():
                assert (await listed(relay, query))[0] == 400, case
            for case, name in WRONG_IDS.items():
                one = name.replace("{epoch}", shown.id.partition("-")[0])
                assert (await order_close(relay, one))[0] == 404, case
            assert (await listed(relay, "?domain=other.example.com")) == (
                200,
                {"connections": [], "next": None},
            )
            admin = await relay.port("admin")
            named = "GET {} HTTP/1.1\r\nHost: api.example.com:6443\r\n{}\r\n"
            assert (await request(admin, named.format("/config", "").encode()))[0] == 421
            assert (await request(admin, named.format("/config", TOKEN).encode()))[0] == 200
            await client.echo(b"still here")
            client.close()


async def test_a_stream_of_http2_has_no_round_trip_of_its_own(tmp_path: Path) -> None:
    """The kernel has none for a pair of Unix sockets; a close ends that stream alone."""
    async with (
        echo_origin() as target,
        AsyncExitStack() as stack,
        RelayProcess("--config", http2_config(tmp_path, target)) as relay,
    ):
        port = await relay.port("https")
        client = await stack.enter_async_context(http2_connection("127.0.0.1", port))
        await client.begin()
        first, second = [await client.open() for _ in range(2)]
        status, body = await listed(relay, token="")
        assert status == 200
        one, other = body["connections"]
        assert (one["http2"], one["clientRttSeconds"]) == (True, None)
        assert one["originRttSeconds"] is not None
        assert (await order_close(relay, one["id"], token=""))[0] == 202
        away = frame(b"\x03\xe9closed by request", opcode=8)
        assert await client.hear(first, len(away)) == away
        await client.say(second, b"still here")
        assert await client.hear(second, len(frame(b"still here"))) == frame(b"still here")
        assert not client.goaway
        assert other["id"] != one["id"]


async def test_a_relay_without_a_token_lists_for_its_own_machine_alone(tmp_path: Path) -> None:
    """Not through a proxy on it, as for orders."""
    path = write(tmp_path / "relay.json", config(domain()))
    async with RelayProcess("--config", path) as relay:
        assert (await listed(relay, token=""))[0] == 200
        assert (await listed(relay, token="X-Forwarded-For: 192.0.2.1\r\n"))[0] == 403


async def test_a_worker_that_hangs_is_no_empty_list(tmp_path: Path) -> None:
    """Its connections are open, so the answer is an error; one that has ended has no connections."""
    path = write(tmp_path / "relay.json", config(domain()))
    async with RelayProcess("--config", path, "--workers", "2") as relay:
        started = [await relay.event("worker started", worker=number) for number in (1, 2)]
        await relay.event("listening", listener="admin")
        os.kill(started[1]["process"], signal.SIGSTOP)
        status, body = await listed(relay, "?after=2.0")
        assert (status, body) == (503, "A worker process gave no list: no answer within 5 s.\n")
        assert (await order_close(relay, "00000000-1"))[0] == 503
        os.kill(started[1]["process"], signal.SIGKILL)
        await relay.event("worker ended", worker=2)
        assert (await listed(relay, "?after=2.0"))[0] == 200
