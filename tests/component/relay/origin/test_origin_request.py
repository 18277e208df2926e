"""Host and X-Real-IP towards origins, as `originRequest` asks for them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from support.relay.certificates import authority
from support.relay.heads import accepted, upgrade
from support.relay.http2 import connect_lines, http2_client
from support.relay.http2_relay import http2
from support.relay.plain import PASS, raw
from support.relay.running import DOMAIN, on_pump_loop, port_of, raw_origin, running
from wsedge_relay.config.material import Material
from wsedge_relay.protocol.http1 import parse_request

PAGE: Final = f"Origin: https://{DOMAIN}:8443"


async def check_same_origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a page of the same host and port only, as gorilla/websocket does by default."""
    head = await reader.readuntil(b"\r\n\r\n")
    headers = parse_request(head).headers
    origin = urlsplit((headers.one(b"origin") or b"").decode())
    if origin.netloc.lower() != (headers.one(b"host") or b"").decode().lower():
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    elif b"websocket" in head:
        writer.write(accepted(head))
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await reader.read()


def status(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("host", "expected"),
    [("preserve", (101, 200, 200)), (f"{DOMAIN}:8443", (101, 200, 200)), (None, (403, 403, 403))],
)
@on_pump_loop
async def test_a_servers_own_check_of_origins(host: str | None, expected: tuple[int, int, int]) -> None:
    """The client's Host passes on demand: port included, for tunnels, plain requests and HTTP/2."""
    rules: dict[str, Any] = {"originRequest": {"host": host}}
    async with raw_origin(check_same_origin) as port:
        async with running(port, **rules, **PASS) as relay:
            plain = await relay.exchange(
                raw("GET / HTTP/1.1", PAGE, "Connection: close").replace(
                    DOMAIN.encode(), DOMAIN.encode() + b":8443", 1
                )
            )
            reader, writer = await relay.raw()
            writer.write(upgrade("/", PAGE, host=f"{DOMAIN}:8443"))
            opened = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await relay.until_idle()
        async with http2(port, **rules) as relay, http2_client(relay) as client:
            lines = connect_lines(
                [(b"origin", f"https://{DOMAIN}:8443".encode())], authority=f"{DOMAIN}:8443".encode()
            )
            stream = client.request(lines)
            await client.until(lambda: client.streams[stream].headers)
            assert (status(opened), status(plain), client.streams[stream].status) == expected


@pytest.mark.parametrize("passed", [False, True], ids=["a handshake", "a plain request"])
@on_pump_loop
async def test_a_url_as_target_names_the_host(passed: bool) -> None:
    """RFC 9112 section 3.2.2: the target's host replaces the Host header, also where it is preserved."""
    first = f"GET http://{DOMAIN}:8443/ HTTP/1.1"
    request = (
        raw(first, PAGE, "Connection: close")
        if passed
        else upgrade("/", PAGE, host="elsewhere.example").replace(b"GET / HTTP/1.1", first.encode())
    )
    async with (
        raw_origin(check_same_origin) as port,
        running(port, originRequest={"host": "preserve"}, **PASS) as relay,
    ):
        reader, writer = await relay.raw()
        writer.write(request)
        assert status(await reader.readuntil(b"\r\n\r\n")) == (200 if passed else 101)
        writer.close()
        await relay.until_idle()


@on_pump_loop
async def test_a_health_check_names_the_domain() -> None:
    """A check has no client whose Host could be preserved; every server of the domain knows its name."""
    heads: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    rules: dict[str, Any] = {"originHealthCheck": {"path": "/up", "intervalSeconds": 1}}
    async with raw_origin(note) as port, running(port, originRequest={"host": "preserve"}, **rules) as relay:
        request = parse_request(await heads.get())
        assert (request.target, request.headers.one(b"host")) == (b"/up", DOMAIN.encode())
        await relay.until(lambda: relay.site.origins.targets[0].good)


@asynccontextmanager
async def tls_origin(name: str, seen: list[tuple[str | None, bytes]]) -> AsyncIterator[int]:
    """Run an origin with a certificate for `name`; note the SNI and Host of each request."""
    pair = authority().issue(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair.load_into(context)
    named: list[str | None] = []
    context.sni_callback = lambda _tls, asked, _context: named.append(asked)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append((named[-1], parse_request(head).headers.one(b"host") or b""))
        writer.write(accepted(head))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield port_of(server)
    finally:
        server.close()


# The name in the origin's certificate, originTLS.serverName, the SNI that it gets, the status.
NAMES: Final[dict[str, tuple[str, str | None, str | None, int]]] = {
    "the dialled name": ("localhost", None, "localhost", 101),
    "the dialled name, with a certificate of the domain": (DOMAIN, None, None, 502),
    "the domain's name": (DOMAIN, DOMAIN, DOMAIN, 101),
}


@pytest.mark.parametrize(("certificate", "server_name", "sni", "expected"), NAMES.values(), ids=NAMES)
@on_pump_loop
async def test_a_preserved_host_does_not_change_whom_tls_trusts(
    certificate: str, server_name: str | None, sni: str | None, expected: int
) -> None:
    """SNI and the verified name are those of the configured server, not of the client's header."""
    seen: list[tuple[str | None, bytes]] = []
    material = Material(authorities={"ca.crt": authority().pem})
    async with tls_origin(certificate, seen) as port:
        rules: dict[str, Any] = {
            "origins": [{"host": "localhost", "httpsPort": port}],
            "originProtocol": "HTTPS",
            "originTLS": {"authority": {"file": "ca.crt"}, "serverName": server_name},
            "originRequest": {"host": "preserve"},
        }
        async with running(material=material, **rules) as relay:
            reader, writer = await relay.raw()
            writer.write(upgrade())
            assert status(await reader.readuntil(b"\r\n\r\n")) == expected
            writer.close()
            await relay.until_idle()
    assert seen == ([(sni, DOMAIN.encode())] if sni is not None else [])


@pytest.mark.parametrize("passed", [False, True], ids=["a handshake", "a plain request"])
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, []),
        ({"xRealIP": False}, []),
        ({"xRealIP": True}, [b"127.0.0.1"]),
    ],
    ids=["by default", "switched off", "on demand"],
)
@on_pump_loop
async def test_x_real_ip_is_the_relays_own(
    rules: dict[str, Any], expected: list[bytes], passed: bool
) -> None:
    """However a client spells it, its own value never reaches an origin."""
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n")

    forged = ("X-Real-IP: 6.6.6.6", "x_real_ip: 6.6.6.6", "X-REAL_IP: 6.6.6.6")
    async with raw_origin(note) as port, running(port, originRequest=rules, **PASS) as relay:
        request = raw("GET / HTTP/1.1", *forged, "Connection: close") if passed else upgrade("/", *forged)
        assert status(await relay.exchange(request)) == 403
    assert b"6.6.6.6" not in heads[0]
    assert parse_request(heads[0]).headers.all(b"x-real-ip") == expected


@on_pump_loop
async def test_x_real_ip_names_the_client_behind_a_proxy() -> None:
    """It is the address that limits and usage count, not the proxy's, and not what the client wrote."""
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n")

    rules: dict[str, Any] = {
        "originRequest": {"xRealIP": True},
        "clients": {"trustedProxies": ["127.0.0.0/8"]},
    }
    async with raw_origin(note) as port, running(port, **rules) as relay:
        await relay.exchange(upgrade("/", "X-Forwarded-For: 6.6.6.6, 203.0.113.9", "X-Real-IP: 6.6.6.6"))
    assert parse_request(heads[0]).headers.all(b"x-real-ip") == [b"203.0.113.9"]
