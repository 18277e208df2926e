"""A served domain in this process: its configuration in force, and what lives as long as the domain does."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from wsedge_relay.balance import Balancer
from wsedge_relay.bounds import Bounds
from wsedge_relay.config import Material
from wsedge_relay.contract import Domain
from wsedge_relay.counters import DomainCounters
from wsedge_relay.forwarded import Networks
from wsedge_relay.limits import Limiter
from wsedge_relay.names import Names
from wsedge_relay.places import Place
from wsedge_relay.tls import origin_context
from wsedge_relay.usage import UsageKey
from wsedge_relay.web_origin import AllowedOrigins

if TYPE_CHECKING:
    from wsedge_relay.tunnel import Tunnel


class Site:
    """One domain. `take` replaces its configuration; open tunnels hold on to the site and see the new one."""

    __slots__ = (
        "allowed_origins",
        "balancer",
        "context",
        "counters",
        "domain",
        "drain",
        "key",
        "keys",
        "limiter",
        "names",
        "proxies",
        "tunnels",
    )

    allowed_origins: AllowedOrigins
    proxies: Networks
    domain: Domain
    key: UsageKey
    keys: dict[Place, UsageKey]
    balancer: Balancer
    context: ssl.SSLContext | None

    def __init__(
        self, domain: Domain, material: Material, *, bounds: Bounds, counters: DomainCounters
    ) -> None:
        self.counters = counters
        self.tunnels: set[Tunnel] = set()
        self.limiter = Limiter()
        self.names = Names(fresh_seconds=bounds.name_seconds)
        self.drain: asyncio.Task[None] | None = None
        self.balancer = Balancer(
            forget_seconds=bounds.failed_origin_seconds, most_seconds=bounds.failed_origin_most_seconds
        )
        self._put(domain, origin_context(domain, material))

    def take(self, domain: Domain, material: Material) -> bool:
        """Serve by another configuration from now on; return whether the heartbeat changed.

        Raises ssl.SSLError, with nothing changed, when the material is of no use.
        """
        before = self.domain
        self._put(domain, origin_context(domain, material))
        if domain.origins != before.origins:
            self.names.forget()
        return domain.heartbeatSeconds != before.heartbeatSeconds

    def key_of(self, place: Place) -> UsageKey:
        """Return what is counted of clients from `place`: one object for all of them."""
        key = self.keys.get(place)
        if key is None:
            key = self.keys[place] = UsageKey(self.key.domain, self.key.account, *place)
        return key

    def _put(self, domain: Domain, context: ssl.SSLContext | None) -> None:
        self.domain = domain
        self.context = context
        self.key = UsageKey(domain.domain, domain.account)
        self.keys = {}
        self.allowed_origins = AllowedOrigins(domain.clients.allowedOrigins)
        self.proxies = Networks(domain.clients.trustedProxies)
        self.balancer.take(domain.origins, domain.originRequest.loadBalancing)
