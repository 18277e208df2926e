"""Clients come in by each kind of entrance, with the certificate of a real cert-manager."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from quickstart.room import Rooms
from websockets.asyncio.server import serve

from support.entrance.balancer import Balancer, node_addresses
from support.entrance.ingress import HTTP, HTTPS, SEND_PROXY, IngressController
from support.entrance.visitors import (
    BEHIND_HEADERS,
    BEHIND_HTTP,
    BEHIND_NOTHING,
    CLIENTS,
    LIE,
    PROXIES,
    Visitors,
    change,
    own_address,
    trust,
)
from support.faults.client import DEADLINE_SECONDS, Crowd, Door
from support.faults.edge import Site, aside, identities
from support.operator.cert_manager import create_authority, renew, secret_certificate
from support.operator.cluster import Place, until
from support.relay.heads import upgrade


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Run a room, the origin; it sends no ping of its own."""
    async with serve(Rooms().watch, "127.0.0.1", 0, ping_interval=None) as origin:
        yield next(iter(origin.sockets)).getsockname()[1]


def served(door: Door) -> x509.Certificate:
    """Return the certificate that a new client gets, verified for the domain's name."""
    assert door.tls is not None
    with (
        socket.create_connection((door.address, door.port), timeout=20) as plain,
        door.tls.wrap_socket(plain, server_hostname=door.host) as secured,
    ):
        chain = secured.getpeercert(binary_form=True)
    assert chain is not None
    return x509.load_der_x509_certificate(chain)


async def test_a_certificate_of_cert_manager(place: Place, port: int) -> None:
    """A domain has an Issuer's certificate; a renewed one is for new clients, and open connections stay."""
    certificate: dict[str, Any] = {"issuerRef": {"name": "team-ca"}}
    site = await aside(
        lambda: Site(
            place,
            origins=[{"host": "127.0.0.1", "httpPort": port}],
            tls={"secretName": "chat-tls"},
            exposure={"certificate": certificate},
        )
    )
    said = (
        "the Certificate is not ready: DoesNotExist: Issuing certificate as Secret does not exist; its"
        ' CertificateRequest: Pending: Referenced "Issuer" not found: issuer.cert-manager.io "team-ca" not'
        " found"
    )
    await aside(
        until,
        "cert-manager's words are told",
        lambda: place.condition(site.resource, "Exposed").get("message") == said,
    )
    assert (await aside(place.condition, site.resource, "Exposed"))["reason"] == "CertificatePending"
    await aside(create_authority, place, "team-ca")
    await aside(site.await_serving)
    await aside(place.await_reason, site.resource, "Exposed", "Exposed")
    door = await aside(lambda: site.door(trust(place, "team-ca")))
    first = await aside(served, door)
    assert first == await aside(secret_certificate, place, "chat-tls")
    before = identities(await aside(site.pods))
    (early,) = await site.crowd.enter(door)

    await aside(renew, place, f"certificate/{site.name}-relay")
    await aside(until, "new clients get the renewed certificate", lambda: served(door) != first)
    second = await aside(served, door)
    assert second == await aside(secret_certificate, place, "chat-tls")
    assert second.serial_number != first.serial_number
    await early.say()
    (late,) = await site.crowd.enter(door)

    await aside(place.kubectl, "delete", "secret/chat-tls")
    await aside(until, "new clients get a certificate again", lambda: served(door) != second)
    await early.say()
    await late.say()
    await aside(place.await_reason, site.resource, "Exposed", "Exposed")
    assert identities(await aside(site.pods)) == before
    await site.settle()


@pytest.mark.parametrize(("kind", "version"), [("haproxy", "proxy-v2"), ("nginx", "proxy-v1")])
async def test_an_ingress_controller(visitors: Visitors, tmp_path: Path, kind: str, version: str) -> None:
    """Behind HAProxy and nginx each client has its own address, where docs/exposure.md promises that."""
    site = visitors.site
    tls = await aside(trust, site.place, "edge-ca")
    controller = IngressController(site.place, kind, tmp_path, own_address(PROXIES))
    address = controller.proxy.address
    ws, wss = Door(address, HTTP, site.host), Door(address, HTTPS, site.host, tls)

    async def use(clients: dict[str, Any], **ingress: Any) -> None:
        """Change the domain and its Ingress, as docs/exposure.md says; the controller follows."""
        parts = {"className": kind, "tls": None, "annotations": None, **ingress}
        await aside(lambda: change(site, clients=clients, exposure={"ingress": parts}))
        await aside(controller.sync)

    try:
        await use(BEHIND_HTTP)
        await aside(site.place.await_reason, site.resource, "Exposed", "Exposed")
        live = await aside(site.place.get, site.resource)
        assert live is not None
        assert live["status"]["addresses"] == [{"type": "IPAddress", "value": address, "via": "Ingress"}]
        await visitors.come(ws, address)
        await visitors.come(wss, address)
        if kind == "haproxy":  # nginx sends no PROXY header with HTTP
            await use(BEHIND_HEADERS, annotations={SEND_PROXY: version})
            await visitors.come(ws, address)
            await visitors.come(wss, address)
        await use(BEHIND_HEADERS, tls="Passthrough", annotations={SEND_PROXY: version})
        await visitors.come(wss, address)
        await use(BEHIND_NOTHING, tls="Passthrough")
        await visitors.come(wss, address, taken_for=address)
        # Past the proxy a client has its own address too.
        await use(BEHIND_HTTP)
        await visitors.come(await aside(site.door), address)
    finally:
        controller.proxy.stop()
    await visitors.check()


async def test_ports_of_nodes_and_a_load_balancer(visitors: Visitors, tmp_path: Path) -> None:
    """A client keeps its address with policy Local or the PROXY header; policy Cluster hides it."""
    site = visitors.site
    tls = await aside(trust, site.place, "edge-ca")
    balancer = Balancer(site.place, f"{site.name}-relay", own_address(PROXIES), tmp_path)
    lie = balancer.address
    ws, wss = Door(lie, HTTP, site.host), Door(lie, HTTPS, site.host, tls)
    nodes = await aside(node_addresses, site.place)
    (pod,) = await aside(site.pods)
    here = nodes.pop(pod["spec"]["nodeName"])
    (elsewhere,) = nodes.values()

    async def use(policy: str | None, **service: Any) -> dict[str, tuple[int, int]]:
        """Change the Service, and wait until its ports of nodes follow; return them."""
        await aside(lambda: site.patch(exposure={"service": {"externalTrafficPolicy": policy, **service}}))
        await aside(until, "the Service has ports", lambda: len(balancer.ports()) == 2)
        ports = await aside(balancer.ports)
        wanted = {(here, port): True for _, port in ports.values()}
        wanted |= {(elsewhere, port): policy != "Local" for _, port in ports.values()}
        await aside(until, f"policy {policy}", lambda: {each: is_open(each) for each in wanted} == wanted)
        return ports

    try:
        ports = await use(None, type="NodePort")
        await aside(site.place.await_reason, site.resource, "Exposed", "Exposed")
        for node in (here, elsewhere):
            await visitors.come(Door(node, ports["http"][1], site.host), lie, taken_for=node)
            await visitors.come(Door(node, ports["https"][1], site.host, tls), lie, taken_for=node)
        ports = await use("Local")
        await visitors.come(Door(here, ports["http"][1], site.host), lie)
        await visitors.come(Door(here, ports["https"][1], site.host, tls), lie)

        # A load balancer that leaves the client's address as it is.
        ports = await use("Local", type="LoadBalancer", loadBalancerClass="example.com/played")
        await aside(site.place.await_reason, site.resource, "Exposed", "LoadBalancerPending")
        await balancer.pass_on(ports, [elsewhere, here])
        await aside(balancer.publish)
        await aside(site.await_serving)
        live = await aside(site.place.get, site.resource)
        assert live is not None
        told = live["status"]["addresses"]
        assert told == [{"type": "IPAddress", "value": balancer.address, "via": "Service"}]
        await visitors.come(ws, lie)
        await visitors.come(wss, lie)

        # One that dials itself: without the PROXY header it is the client, and must not be trusted.
        def announce(version: int | None) -> None:
            balancer.announce(ports, here, proxy_protocol=version)

        balancer.close()
        await aside(announce, None)
        await visitors.come(ws, lie, taken_for=balancer.address)
        await visitors.come(wss, lie, taken_for=balancer.address)
        for version in (1, 2):
            await aside(lambda: change(site, clients=BEHIND_HEADERS))
            await aside(announce, version)
            await visitors.come(ws, lie)
            await visitors.come(wss, lie)
        # Nobody gets past it, with or without a header.
        past = Door(here, ports["http"][1], site.host, source=own_address(CLIENTS))
        assert (await Crowd().refusal(past)).status == 403
        assert b" 400 " in await answer(past, f"PROXY TCP4 {LIE} {here} 4711 80\r\n".encode())

        await aside(lambda: change(site, clients=BEHIND_NOTHING))
        await use("Cluster")
        balancer.close()
        await balancer.pass_on(ports, [elsewhere])
        await visitors.come(ws, lie, taken_for=elsewhere)
        await visitors.come(wss, lie, taken_for=elsewhere)
    finally:
        balancer.close()
    await visitors.check()


def is_open(address: tuple[str, int]) -> bool:
    """Return whether something listens at an address."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


async def answer(door: Door, preface: bytes) -> bytes:
    """Return the first line of the answer to a handshake behind other bytes."""
    reader, writer = await asyncio.open_connection(door.address, door.port, local_addr=(str(door.source), 0))
    writer.write(preface + upgrade(host=door.host))
    async with asyncio.timeout(DEADLINE_SECONDS):
        line = await reader.readline()
    writer.close()
    return line
