"""Limits, as clients above them observe them."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.relay.frames import frame
from support.relay.heads import upgrade
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    Running,
    config,
    on_pump_loop,
    origin,
    raw_origin,
    refusing,
    running,
)
from wsedge_relay.config.material import Material
from wsedge_relay.pump import frames


async def refusal(relay: Running) -> tuple[int, str | None]:
    """Try to connect; return the refusal's status and Retry-After."""
    with pytest.raises(InvalidStatus) as refused:
        await relay.connect()
    response = refused.value.response
    return response.status_code, response.headers.get("Retry-After")


@pytest.mark.parametrize(
    ("field", "status", "after"), [("connections", 503, "5"), ("connectionsPerClient", 429, "5")]
)
@on_pump_loop
async def test_one_connection_too_many_is_refused(field: str, status: int, after: str) -> None:
    """It gets a status and Retry-After, others stay, and a closed connection frees a place."""
    async with origin() as port, running(port, limits={field: 2}) as relay, AsyncExitStack() as stack:
        first = await stack.enter_async_context(relay.connect())
        second = await stack.enter_async_context(relay.connect())
        assert await refusal(relay) == (status, after)
        assert relay.counters.refusals() == {field: 1}
        await first.close()
        await relay.until(lambda: relay.relay.open_connections == 1)
        await stack.enter_async_context(relay.connect())
        await second.send("still here")
        assert await second.recv() == "still here"


@on_pump_loop
async def test_a_burst_of_handshakes_over_the_pace_is_refused() -> None:
    """The handshakes of one second pass; the next gets Retry-After of a second."""
    clock = asyncio.get_running_loop().time
    async with origin() as port, running(port, limits={"handshakesPerSecond": 2}) as relay:
        began = clock()
        refusals = []
        for _ in range(20):
            try:
                async with relay.connect():
                    pass
            except InvalidStatus as refused:
                refusals.append((refused.response.status_code, refused.response.headers["Retry-After"]))
        assert 2 <= 20 - len(refusals) <= 2 + 2 * (clock() - began)
        assert set(refusals) == {(503, "1")}
        assert relay.counters.refusals() == {"handshakesPerSecond": len(refusals)}


@on_pump_loop
async def test_handshakes_under_way_have_places() -> None:
    """Clients that connect while origins are slow count in the limit."""
    asked = asyncio.Event()
    go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go.wait()

    async with raw_origin(slow) as port, running(port, limits={"connections": 1}) as relay:
        waiting = asyncio.ensure_future(refusal(relay))
        await asked.wait()
        assert await refusal(relay) == (503, "5")
        go.set()
        assert (await waiting)[0] == 502
        assert relay.counters.refusals() == {"connections": 1, "origin": 1}


@on_pump_loop
async def test_every_end_of_a_handshake_gives_its_place_back() -> None:
    """After any number of failed origins and disconnects a place is still free."""
    with refusing() as nobody:
        async with running(nobody, limits={"connections": 1}) as relay:
            for _ in range(5):
                assert (await refusal(relay))[0] == 502
            await relay.until_idle()

    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()

    async with raw_origin(silent) as port, running(port, limits={"connections": 1}) as relay:
        waiting = asyncio.ensure_future(relay.connect().__aenter__())
        await asked.wait()
        waiting.cancel()
        await relay.until_idle()
        async with origin() as better:
            relay.apply(origins=[{"host": "127.0.0.1", "httpPort": better}])
            async with relay.connect():
                pass


@on_pump_loop
async def test_a_changed_limit_counts_for_new_connections() -> None:
    """Open connections stay above a lowered limit; a raised limit applies at once."""
    async with origin() as port, running(port) as relay, relay.connect() as one, relay.connect():
        relay.apply(limits={"connections": 1})
        assert (await refusal(relay))[0] == 503
        await one.send("still here")
        assert await one.recv() == "still here"
        relay.apply(limits={"connections": 3})
        async with relay.connect():
            pass


@pytest.mark.parametrize("compression", [None, "deflate"])
@on_pump_loop
async def test_a_message_that_is_too_long_ends_its_connection(compression: str | None) -> None:
    """Its sender gets 1009, the origin 1001; a message up to the limit passes."""
    seen: list[bytes | str] = []
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    data = random.Random(1).randbytes(4000)  # no compression makes new ones shorter

    async def note(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                seen.append(message)
                await connection.send("taken")
        ended.set_result(connection.close_code)

    async with origin(note) as port, running(port, limits={"messageBytes": 1000}) as relay:
        async with relay.connect(compression=compression) as client:
            for good in (data[:900], [data[900:1200], data[1200:1800]]):
                await client.send(good)
                assert await client.recv() == "taken"
            await client.send([data[2000:2600], data[2600:3300]])
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1009
        await relay.until_idle()
        assert seen == [data[:900], data[900:1800]]
        assert await ended == 1001
        assert relay.counters.client.violations == {"message length": 1}


@on_pump_loop
async def test_a_message_of_an_origin_may_be_too_long_as_well() -> None:
    """The origin gets 1009, the client 1011."""
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def send_much(connection: ServerConnection) -> None:
        await connection.send("x" * 1001)
        await connection.wait_closed()
        ended.set_result(connection.close_code)

    async with (
        origin(send_much, compression=None) as port,
        running(port, limits={"messageBytes": 1000}) as relay,
    ):
        async with relay.connect() as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1011
        await relay.until_idle()
        assert await ended == 1009


@on_pump_loop
async def test_a_connection_keeps_the_message_limit_that_it_was_opened_with() -> None:
    """A change applies to the next connection."""
    async with origin(compression=None) as port, running(port) as relay, relay.connect() as client:
        relay.apply(limits={"messageBytes": 10})
        await client.send("x" * 100)
        assert await client.recv() == "x" * 100
        async with relay.connect() as other:
            await other.send("x" * 100)
            with pytest.raises(ConnectionClosed):
                await other.recv()


# Limits, what a client sends at once, the number of messages that the origin receives, and the reason.
TOO_FAST: dict[str, tuple[dict[str, int], bytes, int, str]] = {
    "messages": ({"messagesPerSecond": 20}, frame(b"x", key=b"mask") * 30, 20, "messages per second"),
    "frames": ({"framesPerSecond": 20}, frame(b"x", key=b"mask") * 30, 20, "frames per second"),
    "fragments": (
        {"framesPerSecond": 20},
        frame(b"x", fin=False, key=b"mask") + frame(b"x", opcode=0, fin=False, key=b"mask") * 30,
        0,
        "frames per second",
    ),
    "pings": ({"framesPerSecond": 20}, frame(opcode=9, key=b"mask") * 30, 0, "control frames per second"),
}


@pytest.mark.parametrize("case", TOO_FAST)
@on_pump_loop
async def test_a_client_that_sends_too_fast_is_closed(case: str) -> None:
    """It gets 1008 with the limit as the reason, the origin what is within the limit, then 1001."""
    limits, said, count, reason = TOO_FAST[case]
    seen: list[bytes | str] = []
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def note(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                seen.append(await connection.recv())
        ended.set_result(connection.close_code)

    async with origin(note) as port, running(port, limits=limits) as relay:
        reader, writer = await relay.raw()
        writer.write(upgrade())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        close = frames.close(1008, reason, None)
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(close)
        writer.close()
        assert await ended == 1001
        await relay.until_idle()
        assert seen == ["x"] * count
        assert relay.counters.client.violations == {reason: 1}
        assert relay.counters.endings == {("client", "violation", 1008): 1}


@on_pump_loop
async def test_an_origin_may_send_faster_than_its_clients() -> None:
    """FramesPerSecond and messagesPerSecond are limits of clients."""

    async def send_much(connection: ServerConnection) -> None:
        for _ in range(100):
            await connection.send("x")
        await connection.wait_closed()

    limits = {"framesPerSecond": 1, "messagesPerSecond": 1}
    async with origin(send_much) as port, running(port, limits=limits) as relay, relay.connect() as client:
        assert [await client.recv() for _ in range(100)] == ["x"] * 100


@on_pump_loop
async def test_changed_frame_rates_apply_to_open_connections() -> None:
    """Another configuration limits them at once, or no longer."""
    async with origin() as port, running(port) as relay, relay.connect() as client, relay.connect() as other:
        relay.apply(limits={"messagesPerSecond": 5})
        relay.apply(limits={"messagesPerSecond": 1000})
        for one in (client, other):
            for _ in range(50):
                await one.send("x")
                assert await one.recv() == "x"
        relay.apply(limits={"framesPerSecond": 1})
        for _ in range(3):
            with suppress(ConnectionClosed):
                await client.send("x")
        await client.wait_closed()
        assert client.close_code == 1008
        relay.apply(limits={})
        for _ in range(50):
            await other.send("x")
            assert await other.recv() == "x"


def with_cookie(size: int, domain: str = DOMAIN) -> bytes:
    """Return a handshake whose Cookie line has this length."""
    return upgrade("/", f"Cookie: {'c' * (size - 8)}", host=domain)


@on_pump_loop
async def test_a_longer_head_than_its_domain_takes_is_refused() -> None:
    """It gets 431; a change applies to the next request, in both directions."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 seen\r\nContent-Length: 0\r\nX-Size: %d\r\n\r\n" % len(head))

    async with raw_origin(answer) as port, running(port, limits={"headerBytes": 1024}) as relay:
        assert (await relay.exchange(with_cookie(500))).startswith(b"HTTP/1.1 403 seen")
        assert (await relay.exchange(with_cookie(1000))).startswith(b"HTTP/1.1 431 ")
        relay.apply(limits={"headerBytes": 65536})
        for size in (1000, 9000, 32_000):
            assert (await relay.exchange(with_cookie(size))).startswith(b"HTTP/1.1 403 seen")
        assert (await relay.exchange(with_cookie(32_769))).startswith(b"HTTP/1.1 431 ")
        assert (await relay.exchange(with_cookie(65_536))).startswith(b"HTTP/1.1 431 ")
        relay.apply(limits={})
        assert (await relay.exchange(with_cookie(9000))).startswith(b"HTTP/1.1 431 ")


@on_pump_loop
async def test_heads_are_read_as_far_as_any_domain_takes_them() -> None:
    """The head names the domain, so the domain's own limit applies, by its reason, after the head is read."""
    async with origin() as port, running(port, limits={"headerBytes": 2048}) as relay:
        other = {**relay.domain, "domain": "other.example.com", "limits": {"headerBytes": 4096}}
        relay.relay.apply(config([relay.domain, other]), Material())
        assert (await relay.exchange(with_cookie(3000))).startswith(b"HTTP/1.1 431 ")
        assert relay.counters.refusals() == {"headerBytes": 1}
        for domain in (DOMAIN, "other.example.com"):
            assert (await relay.exchange(with_cookie(5000, domain))).startswith(b"HTTP/1.1 431 ")
        assert relay.counters.refusals() == {"headerBytes": 1}
        refused = {family.name: family.rows for family in relay.relay.metric_families()}
        assert refused["unattributed_refusals"] == [(("headerBytes",), 2)]
