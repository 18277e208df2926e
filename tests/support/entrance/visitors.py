"""Clients of a domain behind an entrance, and for whom the relays take them."""

from __future__ import annotations

import os
import ssl
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from support.faults.client import Crowd, Door
from support.faults.edge import Site, aside, metric
from support.operator.cluster import Place, until
from support.operator.keys import decoded
from support.relay.geo_files import mmdb
from wsedge_devcluster.comparison.counts import REPORT_SECONDS

CLIENTS, PROXIES, NOBODY = "127.1.0.0/16", "127.2.0.0/16", "203.0.113.0/24"
GEO = mmdb(
    {
        CLIENTS: {"autonomous_system_organization": "clients"},
        PROXIES: {"autonomous_system_organization": "proxies"},
        NOBODY: {"autonomous_system_organization": "nobody"},
    },
    kind="GeoLite2-ASN",
)
LIE = "203.0.113.66"

BEHIND_HTTP = {"trustedProxies": [PROXIES], "proxyProtocol": None}
BEHIND_HEADERS = {"trustedProxies": [PROXIES], "proxyProtocol": True}
BEHIND_NOTHING = {"trustedProxies": None, "proxyProtocol": None}


def trust(place: Place, authority: str) -> ssl.SSLContext:
    """Return a client's context that trusts an Issuer's authority alone, with the name of the domain."""
    live = place.get(f"secret/{authority}")
    assert live is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=decoded(live, "ca.crt").decode())
    return context


def own_address(network: str) -> str:
    """Return an address of a network that other test processes do not use."""
    return str(ip_network(network)[256 + os.getpid() % 60000])


class Visitors:
    """Clients of a domain: whom the relays take them for, as told by the origin, the log, the statistics."""

    def __init__(self, site: Site, seen: list[str]) -> None:
        self.site = site
        self.known, self.others = Crowd(), Crowd()
        self._seen = seen
        self._addresses: list[str] = []
        self._source = own_address(CLIENTS)

    async def come(self, door: Door, proxy: str, *, taken_for: str | None = None) -> None:
        """Let clients in, most of which lie; the relays must take them for themselves, or for an address."""
        lies = [
            [],
            [f"X-Forwarded-For: {LIE}"],
            [f"X-Forwarded-For: {LIE}, {proxy}", f"X-Forwarded-For: {proxy}"],
            [f"Forwarded: for={LIE}"],
            [
                f"X-Forwarded-For: {LIE}",
                f"Forwarded: for={LIE}",
                f"X-Real-IP: {LIE}",
                f"X_Forwarded_For: {LIE}",
            ],
        ]
        crowd = self.others if taken_for else self.known
        for lines in lies:
            await crowd.enter(replace(door, source=self._source, lines=tuple(lines)))
            self._addresses.append(taken_for or self._source)
            assert self._seen[-1] == self._addresses[-1], (door, lines)
        await crowd.leave()

    def _logged(self) -> list[str]:
        """Return the client of each connection that has ended."""
        lines = self.site.log()
        return [line["client"] for line in lines if line["event"] == "connection" and line["code"] == 101]

    async def check(self) -> None:
        """Compare the access log and the statistics; this ends the domain."""
        await aside(
            until, "each connection is in the log", lambda: len(self._logged()) >= len(self._addresses)
        )
        assert sorted(await aside(self._logged)) == sorted(self._addresses)
        await aside(self.site.remove)
        number = self.known.counts.opened
        async with await self.site.statistics(isp="clients") as statistics:
            answer = await statistics.wait_for(lambda one: one.opened == number, seconds=REPORT_SECONDS)
            assert (answer.opened, answer.switched) == (number, number)
        async with await self.site.statistics(isp="nobody") as statistics:
            assert (await statistics.ask()).opened == 0


def load_databases(site: Site) -> None:
    """Put the database on the relays' volume, and wait until they have it."""
    claim = site.place.get("pvc/places")
    assert claim is not None
    volume = site.place.get(f"pv/{claim['spec']['volumeName']}")
    assert volume is not None
    folder = Path(volume["spec"]["hostPath"]["path"])
    (folder / "isp.new").write_bytes(GEO)
    (folder / "isp.new").replace(folder / "isp.mmdb")
    (pod,) = site.pods()
    until("the database is taken", lambda: metric(pod, "geo_files", 'file="isp"') == 1)


def change(site: Site, **spec: Any) -> None:
    """Edit the domain, and wait until its relays run that."""
    site.patch(**spec)
    site.await_serving()
