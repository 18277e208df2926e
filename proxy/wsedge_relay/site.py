"""A domain that this process serves: the rules in force, its limits, its origins. It owns no connection."""

from __future__ import annotations

from wsedge_relay.config.material import Material
from wsedge_relay.contract import Domain, HeartbeatLegs
from wsedge_relay.errors import HandshakeRefusedError
from wsedge_relay.geo.labels import Place
from wsedge_relay.metering.usage import UsageKey
from wsedge_relay.origin.origins import Origins
from wsedge_relay.origin.reach import Reach
from wsedge_relay.policy.allowed_origins import AllowedOrigins
from wsedge_relay.policy.limits import Limiter
from wsedge_relay.policy.path_rules import PathRules, is_plain, path_of
from wsedge_relay.policy.sticky_cookie import Sticky
from wsedge_relay.protocol.forwarded import Networks
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.timeouts import Timeouts


class Site:
    """One domain. Open tunnels refer to its site, so `apply` changes the rules for them too."""

    __slots__ = (
        "allowed_origins",
        "allowed_paths",
        "counters",
        "domain",
        "key",
        "keys",
        "limiter",
        "origins",
        "passed_paths",
        "pings_client",
        "pings_origin",
        "proxies",
        "real_ip",
        "sticky",
    )

    allowed_origins: AllowedOrigins
    allowed_paths: PathRules
    passed_paths: PathRules
    pings_client: bool
    pings_origin: bool
    proxies: Networks
    real_ip: bool
    sticky: Sticky | None
    domain: Domain
    key: UsageKey
    keys: dict[Place, UsageKey]

    def __init__(
        self,
        domain: Domain,
        material: Material,
        *,
        timeouts: Timeouts,
        counters: DomainCounters,
        limiter: Limiter | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.counters = counters
        self.limiter = limiter or Limiter()
        self.origins = Origins(domain, material, timeouts=timeouts, counters=counters, reach=reach)
        self._set_rules(domain)

    def apply(self, domain: Domain, material: Material) -> bool:
        """Put another configuration in force; return whether the heartbeat changed.

        Raises ssl.SSLError, with nothing changed, when the material cannot be used.
        """
        before = self.domain
        self.origins.apply(domain, material)
        self._set_rules(domain)
        return (domain.heartbeatSeconds, domain.heartbeatLegs) != (
            before.heartbeatSeconds,
            before.heartbeatLegs,
        )

    def key_of(self, place: Place) -> UsageKey:
        """Return the usage key of clients from `place`: one object for all these clients, to save memory."""
        key = self.keys.get(place)
        if key is None:
            key = self.keys[place] = UsageKey(self.key.domain, self.key.account, *place)
        return key

    def check_path(self, target: bytes) -> bytes:
        """Return the path of a request's target, as `path_of` does; raises HandshakeRefusedError (400, 403).

        While rules for paths exist, a path with dot segments or encoded separators gets 400: an origin may
        decode it to a path that the rules do not allow.
        """
        path = path_of(target)
        if (self.allowed_paths or self.passed_paths) and not is_plain(path):
            raise HandshakeRefusedError(
                400, "path", "The path must not have dot segments or encoded separators."
            )
        if not self.allowed_paths.allow(path):
            raise HandshakeRefusedError(403, "allowedPaths", "This domain does not allow this path.")
        return path

    def _set_rules(self, domain: Domain) -> None:
        self.domain = domain
        legs = domain.heartbeatLegs or HeartbeatLegs.BOTH
        self.pings_client = legs in (HeartbeatLegs.BOTH, HeartbeatLegs.CLIENT)
        self.pings_origin = legs in (HeartbeatLegs.BOTH, HeartbeatLegs.ORIGIN)
        self.key = UsageKey(domain.domain, domain.account)
        self.keys = {}
        self.allowed_origins = AllowedOrigins(domain.clients.allowedOrigins)
        self.allowed_paths = PathRules(domain.clients.allowedPaths)
        self.passed_paths = PathRules(domain.passThrough.paths if domain.passThrough is not None else ())
        self.proxies = Networks(domain.clients.trustedProxies)
        self.real_ip = bool(domain.originRequest.xRealIP)
        self.limiter.apply(domain.limits)
        rules = domain.originRequest.stickyCookie
        names = [target.name for target in self.origins.targets]
        salt = f"{domain.account}/{domain.domain}"
        self.sticky = Sticky(rules, names, salt=salt) if rules is not None else None
