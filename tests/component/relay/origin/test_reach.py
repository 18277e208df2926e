"""Denied origins, and requests in a loop: real sockets, refused before a byte is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from support.relay.heads import upgrade
from support.relay.running import (
    DEADLINE,
    DOMAIN,
    forwarder,
    on_pump_loop,
    origin,
    outside,
    raw_origin,
    running,
)

PLAIN = f"GET /poll HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode()


class Listening:
    """A server that counts connections, and sends nothing."""

    def __init__(self) -> None:
        self.connections = self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read()
        writer.close()
        await writer.wait_closed()
        self.ended += 1


async def _refused(relay: Any, request: bytes) -> str:
    answer = (await relay.exchange(request)).decode()
    assert answer.startswith("HTTP/1.1 502 "), answer
    return answer.rpartition("\r\n\r\n")[2].strip()


TELLS = "The origin cannot be used: its address is denied to origins."


@on_pump_loop
async def test_a_denied_origin_is_never_dialled() -> None:
    """In tunnels, plain requests and health checks; by address, by name, in any form of an address."""
    inside = Listening()
    async with raw_origin(inside.serve) as port:
        hosts = ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "127.1", "2130706433", "0.0.0.0"]
        for host in hosts:
            origins = [{"host": host, "httpPort": port}]
            async with running(
                origins=origins,
                denied=["127.0.0.0/8", "0.0.0.0/8", "::1/128"],
                passThrough={},
                originHealthCheck={"intervalSeconds": 1, "unhealthyAfter": 1},
            ) as relay:
                assert await _refused(relay, upgrade()) == TELLS
                assert await _refused(relay, PLAIN) == TELLS
                await relay.until(lambda: relay.site.origins.targets[0].bad)
                assert relay.counters.origin_failures["denied"] >= 2
                assert relay.counters.handshakes[502, "origin"] == 2
    assert inside.connections == 0


@on_pump_loop
async def test_a_relay_in_a_pod_denies_loopback_by_itself() -> None:
    """Also with configurations of older operators, which lack the field."""
    async with origin() as port, running(port, in_pod=True, listen=outside()) as relay:
        with pytest.raises(InvalidStatus) as refused:
            async with relay.connect():
                pass
        assert refused.value.response.status_code == 502
        relay.denied = ["169.254.0.0/16"]
        relay.apply()
        async with relay.connect() as client:
            await client.send("now it may")
            assert await client.recv() == "now it may"


@on_pump_loop
async def test_a_relay_on_all_addresses_knows_its_own() -> None:
    """It compares the two ends of a connection before a byte is sent."""
    inside = Listening()
    server = await asyncio.start_server(inside.serve, outside(), 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        origins = [{"host": outside(), "httpPort": port}]
        async with running(origins=origins, listen="0.0.0.0") as relay:
            assert await _refused(relay, upgrade()) == TELLS
            relay.denied = []
            relay.apply()
            reader, writer = await relay.raw()
            writer.write(upgrade())
            await relay.until(lambda: inside.connections == 2)
            writer.close()
            await writer.wait_closed()
            assert not await reader.read()
            await relay.until(lambda: inside.ended == 2)


@on_pump_loop
async def test_allowed_addresses_of_a_name_are_dialled() -> None:
    """A denied address of a name does not deny its other addresses."""
    async with origin() as port:
        origins = [{"host": "localhost", "httpPort": port}]
        async with running(origins=origins, denied=["::1/128"]) as relay, relay.connect() as client:
            await client.send("hello")
            assert await client.recv() == "hello"


@on_pump_loop
async def test_the_relays_own_listeners_are_denied_whatever_is_allowed() -> None:
    """An origin that is the relay itself gets no connection."""
    async with running(1, denied=[]) as relay:
        _, port = relay.relay.addresses["http"]
        relay.apply(origins=[{"host": "127.0.0.1", "httpPort": port}])
        assert await _refused(relay, upgrade()) == TELLS
        assert relay.totals.codes == {502: 1}


@on_pump_loop
async def test_a_request_that_comes_round_is_refused() -> None:
    """The second arrival gets 508: the request passes once, and does not use up all sockets."""
    nominated = upgrade().replace(b"Connection: Upgrade", b"Connection: Upgrade, CDN-Loop")
    async with (
        running(1, passThrough={}) as relay,
        await forwarder(relay.relay.addresses["http"]) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        origins = [{"host": "127.0.0.1", "httpPort": port}]
        relay.apply(origins=origins, originRequest={"host": DOMAIN})
        for request in (upgrade(), PLAIN, nominated):
            answer = await relay.exchange(request)
            assert answer.startswith(b"HTTP/1.1 508 Loop Detected\r\n"), answer
        await relay.until_idle()
        assert relay.totals.codes == {508: 6}
        assert relay.counters.handshakes[508, "loop"] == 3


@on_pump_loop
async def test_relays_behind_relays_are_no_loop() -> None:
    """A relay may be the origin of another, and the origin gets the ids of both."""
    seen: list[str] = []

    async def note(connection: Any) -> None:
        seen.extend(connection.request.headers.get_all("CDN-Loop"))

    async with origin(note) as port, running(port) as inner:
        _, inner_port = inner.relay.addresses["http"]
        async with asyncio.timeout(DEADLINE):
            reader, writer = await inner.raw()
            writer.write(upgrade("/", "CDN-Loop: wsedge; id=fedcba9876543210, cloudflare"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head
            writer.close()
            await writer.wait_closed()
        await inner.until_idle_after_opening()
    assert seen[0] == "wsedge; id=fedcba9876543210, cloudflare"
    assert seen[1].startswith("wsedge; id=")
    assert inner_port
