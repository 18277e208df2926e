"""TLS handshakes that name no served domain: the default certificate, and the Host that then decides."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Final

import pytest

from support.relay.certificates import authority
from support.relay.heads import upgrade
from support.relay.http2 import Client, connect_lines
from support.relay.running import ACCOUNT, DEADLINE, DOMAIN, Running, config, on_pump_loop, origin, running
from wsedge_relay.config.material import Material

OTHER: Final = "other.example.com"
PLAIN: Final = "plain.example.com"
OLD: Final = "old.example.com"


def tls(name: str, **fields: Any) -> dict[str, Any]:
    """Return the certificate of a domain."""
    return {"certificateFile": f"{name}.crt", "keyFile": f"{name}.key", **fields}


def material(*names: str) -> Material:
    """Return certificates for these domains."""
    return Material({(f"{name}.crt", f"{name}.key"): authority().issue(name) for name in names})


def client_context(*alpn: str) -> ssl.SSLContext:
    """Return the context of a client that verifies no name, as one that connects to an address."""
    context = authority().client_context()
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


async def shown(relay: Running, name: str | None, host: str) -> tuple[str, bytes]:
    """Return the certificate's name that a client with this SNI gets, and the answer to a Host."""
    address = relay.relay.addresses["https"]
    reader, writer = await asyncio.open_connection(*address, ssl=client_context(), server_hostname=name or "")
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    writer.write(upgrade(host=host))
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    (((_, subject),),) = certificate["subject"]
    return subject, head.split(b" ", 2)[1]


# The fields of the two domains' tls, and whose certificate a client without a known SNI gets.
DEFAULTS: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str]]] = {
    "the first domain's": ({}, {}, DOMAIN),
    "that of the chosen domain": ({}, {"default": True}, OTHER),
    "not one that is excluded": ({"default": False}, {}, OTHER),
}


@pytest.mark.parametrize(("first", "second", "expected"), DEFAULTS.values(), ids=DEFAULTS)
@pytest.mark.parametrize("name", [None, "192.0.2.1.example", "elsewhere.example.com"])
@on_pump_loop
async def test_the_host_decides_behind_a_default_certificate(
    name: str | None, first: dict[str, Any], second: dict[str, Any], expected: str
) -> None:
    """A client without SNI, or with the name of its load balancer, reaches each domain with TLS."""
    async with origin() as port, running(port, material=material(DOMAIN), tls=tls(DOMAIN)) as relay:
        one = {**relay.domain, "tls": tls(DOMAIN, **first)}
        two = {**relay.domain, "domain": OTHER, "tls": tls(OTHER, **second)}
        three = {**relay.domain, "domain": PLAIN, "tls": None}
        relay.relay.apply(config([one, two, three]), material(DOMAIN, OTHER))
        assert await shown(relay, name, DOMAIN) == (expected, b"101")
        assert await shown(relay, name, OTHER) == (expected, b"101")
        assert await shown(relay, name, PLAIN) == (expected, b"421")  # served over ws only
        assert await shown(relay, name, "unknown.example.com") == (expected, b"421")
        assert await shown(relay, DOMAIN, DOMAIN) == (DOMAIN, b"101")
        assert await shown(relay, OTHER, DOMAIN) == (OTHER, b"421")  # the handshake named another domain
        await relay.until_idle()


@on_pump_loop
async def test_a_domain_for_any_name_has_the_default_certificate() -> None:
    """Its clients' names are unknown to the relay, so their handshakes are too."""
    async with origin() as port, running(port, material=material(DOMAIN), tls=tls(DOMAIN)) as relay:
        any_name = {**relay.domain, "domain": "*", "tls": tls(OTHER)}
        relay.relay.apply(config([relay.domain, any_name]), material(DOMAIN, OTHER))
        assert await shown(relay, "elsewhere.example.com", "elsewhere.example.com") == (OTHER, b"101")
        assert await shown(relay, None, DOMAIN) == (OTHER, b"101")
        await relay.until_idle()
        relay.relay.sweep()
        totals = relay.usage.totals
        assert {name: one.opened_connections for name, one in totals.items()} == {"*": 1, DOMAIN: 1}


@on_pump_loop
async def test_http2_behind_a_default_certificate() -> None:
    """:authority decides; a domain that offers no HTTP/2 is misdirected, since its owner chose so."""
    async with origin() as port, running(port, material=material(DOMAIN), tls=tls(DOMAIN)) as relay:
        domains = [
            {**relay.domain, "tls": tls(DOMAIN, http2=True)},
            {**relay.domain, "domain": OTHER, "tls": tls(OTHER, http2=True)},
            {**relay.domain, "domain": OLD, "tls": tls(OLD)},
            {**relay.domain, "domain": PLAIN, "tls": None},
        ]
        relay.relay.apply(config(domains), material(DOMAIN, OTHER, OLD))
        reader, writer = await asyncio.open_connection(
            *relay.relay.addresses["https"], ssl=client_context("h2"), server_hostname=""
        )
        client = Client(reader, writer)
        reading = asyncio.create_task(client.read())
        await client.begin()
        for name, status in ((DOMAIN, 200), (OTHER, 200), (OLD, 421), (PLAIN, 421)):
            stream = client.request(connect_lines(authority=name.encode()))
            await client.until(lambda stream=stream: client.streams[stream].headers)  # type: ignore[misc]
            assert client.streams[stream].status == status, name
        refused = await client.answer(connect_lines(authority=DOMAIN.encode(), protocol=b"other"))
        assert refused.status == 501
        writer.close()
        await reading
        await relay.until_idle()


@on_pump_loop
async def test_a_domain_for_any_name_over_http2() -> None:
    """A request that cannot be translated, whose name is not read, is refused and counted like others."""
    rules: dict[str, Any] = {"domain": "*", "account": ACCOUNT, "tls": tls(OTHER, http2=True)}
    async with origin() as port, running(port, material=material(OTHER), **rules) as relay:
        reader, writer = await asyncio.open_connection(
            *relay.relay.addresses["https"], ssl=client_context("h2"), server_hostname="any.example.com"
        )
        client = Client(reader, writer)
        reading = asyncio.create_task(client.read())
        await client.begin()
        stream = client.request(connect_lines(authority=b"any.example.com"))
        await client.until(lambda: client.streams[stream].headers)
        assert client.streams[stream].status == 200
        assert (await client.answer(connect_lines(protocol=b"connect-udp"))).status == 501
        writer.close()
        await reading
        await relay.until_idle()
        assert relay.relay.counters["*"].refusals() == {"protocol": 1}
