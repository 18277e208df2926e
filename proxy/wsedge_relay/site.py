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
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.forwarded import Networks
from wsedge_relay.limits import Limiter
from wsedge_relay.loops import Loop
from wsedge_relay.names import Names
from wsedge_relay.path_rules import PathRules, is_plain, path_of
from wsedge_relay.places import Place
from wsedge_relay.reach import Reach
from wsedge_relay.sticky import Sticky
from wsedge_relay.tls import origin_context
from wsedge_relay.usage import UsageKey
from wsedge_relay.web_origin import AllowedOrigins

if TYPE_CHECKING:
    from wsedge_relay.passthrough import Passing
    from wsedge_relay.tunnel import Tunnel


class Site:
    """One domain. `take` replaces its configuration; open tunnels hold on to the site and see the new one."""

    __slots__ = (
        "allowed_origins",
        "allowed_paths",
        "balancer",
        "context",
        "counters",
        "domain",
        "drain",
        "drained_by",
        "idle",
        "key",
        "keys",
        "limiter",
        "loop",
        "names",
        "passed_paths",
        "passing",
        "proxies",
        "reach",
        "sticky",
        "tunnels",
    )

    allowed_origins: AllowedOrigins
    loop: Loop
    allowed_paths: PathRules
    passed_paths: PathRules
    proxies: Networks
    sticky: Sticky | None
    domain: Domain
    key: UsageKey
    keys: dict[Place, UsageKey]
    balancer: Balancer
    context: ssl.SSLContext | None

    def __init__(
        self,
        domain: Domain,
        material: Material,
        *,
        bounds: Bounds,
        counters: DomainCounters,
        limiter: Limiter | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.counters = counters
        self.tunnels: set[Tunnel] = set()
        self.passing: set[Passing] = set()  # requests under way that are no upgrades
        self.idle: set[asyncio.Task[object]] = set()  # connections between two such requests
        self.limiter = limiter or Limiter()
        self.reach = reach or Reach()
        self.names = Names(fresh_seconds=bounds.name_seconds)
        self.drain: asyncio.Task[None] | None = None
        self.drained_by = 0.0  # the loop's time at the end of `drain`
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

    def check_path(self, target: bytes) -> bytes:
        """Return the path of a request's target; raises HandshakeRefusedError (400, 403)."""
        path = path_of(target)
        if (self.allowed_paths or self.passed_paths) and not is_plain(path):
            raise HandshakeRefusedError(400, "path", "The path has dot segments or encoded separators.")
        if not self.allowed_paths.allow(path):
            raise HandshakeRefusedError(403, "allowedPaths", "This path may not be asked for here.")
        return path

    def _put(self, domain: Domain, context: ssl.SSLContext | None) -> None:
        self.domain = domain
        self.context = context
        self.key = UsageKey(domain.domain, domain.account)
        self.keys = {}
        self.loop = Loop(domain)
        self.allowed_origins = AllowedOrigins(domain.clients.allowedOrigins)
        self.allowed_paths = PathRules(domain.clients.allowedPaths)
        self.passed_paths = PathRules(domain.passThrough.paths if domain.passThrough is not None else ())
        self.proxies = Networks(domain.clients.trustedProxies)
        self.balancer.take(domain.origins, domain.originRequest.loadBalancing)
        self.limiter.take(domain.limits)
        rules = domain.originRequest.stickyCookie
        names = [target.name for target in self.balancer.targets]
        salt = f"{domain.account}/{domain.domain}"
        self.sticky = Sticky(rules, names, salt=salt) if rules is not None else None
