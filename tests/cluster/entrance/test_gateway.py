"""Clients come in through the routes of the Gateway API, with a real proxy that is configured from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.entrance.gateway import GatewayController, gateway
from support.entrance.ingress import HTTP, HTTPS
from support.entrance.visitors import (
    BEHIND_HEADERS,
    BEHIND_HTTP,
    BEHIND_NOTHING,
    PROXIES,
    Visitors,
    change,
    own_address,
    trust,
)
from support.faults.client import Door
from support.faults.edge import aside
from support.foreign import GATEWAY_API, Api
from wsedge_devcluster.cluster.cluster import Cluster

PLAIN = {"name": "http", "port": 80, "protocol": "HTTP"}
THROUGH = {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}


@pytest.fixture(scope="module")
def gateway_api(installed: Cluster) -> Iterator[None]:
    api = Api(installed, GATEWAY_API)
    api.install()
    yield
    api.remove()


@pytest.mark.usefixtures("gateway_api")
@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
async def test_a_gateway(visitors: Visitors, tmp_path: Path, kind: str) -> None:
    """Ws by the HTTPRoute, wss by the TLSRoute or where TLS ends; addresses as docs/exposure.md promises."""
    site = visitors.site
    place = site.place
    tls = await aside(trust, place, "edge-ca")
    controller = GatewayController(place, kind, kind, tmp_path, own_address(PROXIES))
    address = controller.proxy.address
    ws, wss = Door(address, HTTP, site.host), Door(address, HTTPS, site.host, tls)
    live = await aside(place.get, site.resource)
    assert live is not None
    secret = live["spec"]["tls"]["secretName"]
    ends = {"mode": "Terminate", "certificateRefs": [{"name": secret}]}
    ending = {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": site.host, "tls": ends}

    async def use(clients: dict[str, Any], second: dict[str, Any], **parts: Any) -> None:
        """Change the domain, its Gateway's listeners and the routes; the controller follows."""
        await aside(place.apply, gateway(kind, PLAIN, second))
        asked = {"tls": None, **parts, "parentRefs": [{"name": kind}]}
        await aside(lambda: site.patch(clients=clients, exposure={"gateway": asked}))
        await aside(place.await_reason, site.resource, "ConfigurationCurrent", "Current")
        await aside(controller.sync)
        await aside(site.await_serving)

    try:
        await use(BEHIND_NOTHING, THROUGH)
        await aside(place.await_reason, site.resource, "Exposed", "Exposed")
        live = await aside(place.get, site.resource)
        assert live is not None
        assert live["status"]["addresses"] == [{"type": "IPAddress", "value": address, "via": "Gateway"}]
        await visitors.come(wss, address, taken_for=address)
        await aside(lambda: change(site, clients=BEHIND_HTTP))
        await visitors.come(ws, address)
        # A policy of the controller's own, as Envoy Gateway's BackendTrafficPolicy.
        controller.proxy_protocol = 2 if kind == "haproxy" else 1
        await use(BEHIND_HEADERS, THROUGH)
        await visitors.come(wss, address)
        if kind == "haproxy":  # nginx sends no PROXY header with HTTP
            await visitors.come(ws, address)
        controller.proxy_protocol = None
        await use(BEHIND_HTTP, ending, tls="Terminate")
        await visitors.come(ws, address)
        await visitors.come(wss, address)
        assert await aside(place.items, "tlsroute") == []
    finally:
        controller.proxy.stop()
    await visitors.check()
