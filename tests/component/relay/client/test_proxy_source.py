"""Clients behind a load balancer that sends PROXY headers."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection

from support.relay.certificates import authority
from support.relay.heads import upgrade
from support.relay.running import DEADLINE, DOMAIN, QUICK, Running, on_pump_loop, origin, running
from wsedge_relay.config.material import Material

HEAD = upgrade()
TEXT = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 10, 0, 0, 1, 18, 103, 1, 187])
ANNOUNCED = {"trustedProxies": ["127.0.0.0/8"], "proxyProtocol": True}


async def tell(connection: ServerConnection) -> None:
    """Send a client the address that the origin received for it."""
    assert connection.request is not None
    await connection.send(connection.request.headers["X-Forwarded-For"])
    await connection.wait_closed()


async def opened(relay: Running, *pieces: bytes) -> bytes:
    """Send pieces one by one; return the first frame behind the 101, then disconnect."""
    reader, writer = await relay.raw()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    first = await reader.readexactly((await reader.readexactly(2))[1])
    writer.close()
    await writer.wait_closed()
    return first


@pytest.mark.parametrize("header", [TEXT, BINARY], ids=["version 1", "version 2"])
@on_pump_loop
async def test_the_client_is_whom_the_header_names(header: bytes) -> None:
    """The header arrives with the request, before it, or byte by byte; it is not usage."""
    async with origin(tell, compression=None) as port, running(port, clients=ANNOUNCED) as relay:
        assert await opened(relay, header + HEAD) == b"192.0.2.7"
        assert await opened(relay, header, HEAD) == b"192.0.2.7"
        assert await opened(relay, *(bytes([byte]) for byte in header + HEAD)) == b"192.0.2.7"
        await relay.until_idle()
        assert relay.totals.received_bytes == 3 * len(HEAD)


@on_pump_loop
async def test_a_header_precedes_tls() -> None:
    """No byte of the TLS handshake behind it is lost."""
    pair = authority().issue(DOMAIN)
    material = Material({("tls.crt", "tls.key"): pair}, {})
    tls = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
    async with (
        origin(tell, compression=None) as port,
        running(port, material=material, tls=tls, clients=ANNOUNCED) as relay,
    ):
        reader, writer = await asyncio.open_connection(*relay.relay.addresses["https"])
        writer.write(BINARY)
        await writer.start_tls(authority().client_context(), server_hostname=DOMAIN)
        assert isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject)
        writer.write(HEAD)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(11) == b"\x81\x09192.0.2.7"
        writer.close()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
@on_pump_loop
async def test_a_header_that_names_nobody_is_the_load_balancers_own(header: bytes) -> None:
    """For its health check the load balancer itself is the client."""
    async with origin(tell, compression=None) as port, running(port, clients=ANNOUNCED) as relay:
        assert await opened(relay, header + HEAD) == b"127.0.0.1"


@pytest.mark.parametrize("data", [HEAD, b"PROXY TCP4 nonsense\r\n" + HEAD, b"PROXY " + b"x" * 200])
@on_pump_loop
async def test_a_trusted_proxy_must_send_a_header(data: bytes) -> None:
    """A connection without a valid header is closed without an answer, and counted."""
    async with origin(tell) as port, running(port, clients=ANNOUNCED) as relay:
        with suppress(ConnectionResetError):  # it may overtake the end, for bytes were left unread
            assert await relay.exchange(data) == b""
        await relay.until_idle()
        families = {family.name: family.rows for family in relay.relay.metric_families()}
        assert families["unattributed_refusals"] == [(("proxyProtocol",), 1)]


@on_pump_loop
async def test_nobody_gets_past_the_load_balancer() -> None:
    """From other addresses a PROXY header is not read, and a request without one gets 403."""
    clients = {"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": True}
    async with origin(tell) as port, running(port, clients=clients) as relay:
        assert (await relay.exchange(TEXT + HEAD)).startswith(b"HTTP/1.1 400 ")
        answer = await relay.exchange(HEAD)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.endswith(b"This domain accepts connections from its load balancer only.\n")
        assert relay.counters.refusals() == {"proxyProtocol": 1}


@on_pump_loop
async def test_a_slow_header_has_the_time_of_a_head() -> None:
    """A connection whose header is not complete in time is closed, and leaves nothing."""
    async with origin(tell) as port, running(port, clients=ANNOUNCED, timeouts=QUICK) as relay:
        reader, writer = await relay.raw()
        writer.write(TEXT[:20])
        async with asyncio.timeout(DEADLINE):
            assert await reader.read() == b""
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_change_counts_for_new_connections() -> None:
    """Open connections stay; the next connection must begin with a header, or must not."""
    async with origin(tell, compression=None) as port, running(port) as relay:
        assert await opened(relay, HEAD) == b"127.0.0.1"
        async with relay.connect() as client:
            relay.apply(clients=ANNOUNCED)
            assert await opened(relay, TEXT + HEAD) == b"192.0.2.7"
            assert await client.recv() == "127.0.0.1"
            relay.apply(clients={"trustedProxies": ["127.0.0.0/8"]})
            assert await opened(relay, HEAD) == b"127.0.0.1"
