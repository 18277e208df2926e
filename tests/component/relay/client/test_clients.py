"""Admission of clients and their addresses, observed by real peers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from support.relay.running import on_pump_loop, origin, running

PAGE = "https://app.example.com"


@on_pump_loop
async def test_only_named_pages_may_connect() -> None:
    """Another page gets 403, counted by its reason; a request without an Origin header is admitted."""
    allowed = {"allowedOrigins": [PAGE, "https://*.example.org"]}
    async with origin() as port, running(port, clients=allowed) as relay:
        for page in (PAGE, "https://a.example.org", None):
            async with relay.connect(origin=page):
                pass
        with pytest.raises(InvalidStatus) as refused:
            await relay.connect(origin="https://evil.example.com")
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b"Web pages of this origin may not connect to this domain.\n"
        assert relay.counters.refusals() == {"allowedOrigins": 1}
        assert relay.totals.codes == {101: 3, 403: 1}


@on_pump_loop
async def test_a_change_of_the_pages_counts_for_new_connections() -> None:
    """The next handshake gets 403; open connections stay open."""
    async with origin() as port, running(port) as relay, relay.connect(origin=PAGE) as client:
        relay.apply(clients={"allowedOrigins": ["https://other.example.com"]})
        with pytest.raises(InvalidStatus):
            await relay.connect(origin=PAGE)
        await client.send("still here")
        assert await client.recv() == "still here"


@asynccontextmanager
async def telling_origin() -> AsyncIterator[int]:
    """Run an origin that sends each client the forwarding headers of its request."""

    async def tell(connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = connection.request.headers
        await connection.send(f"{headers['X-Forwarded-For']}|{headers['Forwarded'].partition(';')[0]}")
        await connection.wait_closed()

    async with origin(tell) as port:
        yield port


@on_pump_loop
async def test_what_a_trusted_proxy_says_of_a_client_counts() -> None:
    """Each client behind the proxy has its own limit, and the origin gets its address."""
    limits = {"connectionsPerClient": 1}
    clients = {"trustedProxies": ["127.0.0.0/8"]}
    one, other = ({"X-Forwarded-For": f"203.0.113.9, {address}"} for address in ("192.0.2.1", "192.0.2.2"))
    async with telling_origin() as port, running(port, clients=clients, limits=limits) as relay:
        async with relay.connect(additional_headers=one) as client:
            assert await client.recv() == (
                "203.0.113.9, 192.0.2.1, 127.0.0.1|for=203.0.113.9, for=192.0.2.1, for=127.0.0.1"
            )
            with pytest.raises(InvalidStatus):
                await relay.connect(additional_headers=one)
            async with relay.connect(additional_headers=other):
                pass
        assert relay.counters.refusals() == {"connectionsPerClient": 1}


@on_pump_loop
async def test_what_anyone_else_says_of_a_client_counts_for_nothing() -> None:
    """The client's address is that of the connection, until the configuration trusts the proxy."""
    said = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Real-IP": "192.0.2.1"}
    async with telling_origin() as port, running(port, clients={"trustedProxies": ["10.0.0.0/8"]}) as relay:
        async with relay.connect(additional_headers=said) as client:
            assert await client.recv() == "127.0.0.1|for=127.0.0.1"
        relay.apply(clients={"trustedProxies": ["127.0.0.1/32"]})
        async with relay.connect(additional_headers=said) as client:
            assert await client.recv() == "192.0.2.1, 127.0.0.1|for=192.0.2.1, for=127.0.0.1"
