"""The choice of an origin for each connection, by policy, recent failures and health checks.

Pure; `now` is any clock's seconds. There are three policies, and all respect weights:

    round robin         smooth and weighted, as in nginx: a weight of 3 is spread over the round
    least connections   the fewest open connections in proportion to the weight
    client hash         weighted rendezvous hashing of the client's address: when an origin fails, only its
                        own clients move, and every relay makes the same choice

An origin that refuses connections, or gives bad answers in a row, is ejected: it is tried last, because every
client would otherwise wait for its timeout. After a time one connection tests it; each further failure
doubles this time. An unhealthy origin is not tried at all, unless all are unhealthy: then the checks
themselves may be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from wsedge_relay.contract import LoadBalancing, Origin, OriginHealthCheck

_MAX_DOUBLINGS = 16
_MISSES = 5  # bad answers in a row; fewer may be the fault of the requests


class Target:
    """One origin, its counts and its health, which changes of its weight and role do not reset."""

    __slots__ = (
        "bad",  # number of bad health checks
        "credit",  # of smooth weighted round robin
        "due",  # time of the next health check; 0.0: none is planned
        "ejections",
        "failures",  # in a row
        "good",  # number of good health checks
        "healthy",
        "latency",  # seconds of the last good health check; negative before the first
        "misses",  # bad or late answers in a row
        "name",
        "open",  # handshakes under way and open tunnels
        "origin",
        "streak",  # health checks in a row whose result contradicts `healthy`
        "trying",  # one connection tests this origin after its ejection
        "until",  # time at which the ejection ends
    )

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.name = name_of(origin)
        self.credit = self.open = self.failures = self.ejections = 0
        self.misses = self.streak = self.good = self.bad = 0
        self.until = self.due = 0.0
        self.latency = -1.0
        self.healthy = True
        self.trying = False

    def ejected(self, now: float) -> bool:
        """Return whether the origin is ejected, that is tried last."""
        return self.until > now

    def checked(self, rules: OriginHealthCheck, *, good: bool) -> bool:
        """Apply the result of one health check; return whether it changed `healthy`."""
        if good is self.healthy:
            self.streak = 0
            return False
        self.streak += 1
        if self.streak < (rules.healthyAfter if good else rules.unhealthyAfter):
            return False
        self.healthy = good
        self.streak = 0
        return True

    def unchecked(self) -> None:
        """Reset the health, because the domain has no health checks any more."""
        self.healthy = True
        self.streak = 0
        self.due = 0.0
        self.latency = -1.0


class Balancer:
    """The order in which origins are tried, for each connection.

    An origin that failed is ejected for `forget_seconds`; each failed test doubles this, up to
    `most_seconds`.
    """

    def __init__(self, *, forget_seconds: float, most_seconds: float) -> None:
        self._forget_seconds = forget_seconds
        self._most_seconds = most_seconds
        self._policy = LoadBalancing.ROUND_ROBIN
        self.targets: tuple[Target, ...] = ()

    def set_origins(
        self, origins: Iterable[Origin], policy: LoadBalancing = LoadBalancing.ROUND_ROBIN
    ) -> None:
        """Choose among `origins` from now on; origins at the same host and ports keep counts and health.

        Two entries with the same host and ports are one origin: it has the sum of the weights, and is a
        backup only if both entries are. An origin with weight 0 is not used.
        """
        wanted: dict[str, Origin] = {}
        for origin in origins:
            if origin.weight:
                name = name_of(origin)
                wanted[name] = _both(wanted[name], origin) if name in wanted else origin
        known = {target.name: target for target in self.targets}
        targets = []
        for name, origin in wanted.items():
            target = known.get(name) or Target(origin)
            target.origin = origin
            target.credit = 0
            targets.append(target)
        self.targets = tuple(targets)
        self._policy = policy

    def order(self, now: float, client: str, *, sticky: str | None = None) -> list[Target]:
        """Return the origins to try for one connection of `client`, best first; each at most once.

        `sticky` is the name of the origin in the client's sticky cookie: it is first while it is usable.
        """
        if len(self.targets) == 1 and not self.targets[0].failures:
            return list(self.targets)
        usable = [target for target in self.targets if target.healthy] or self.targets
        home = [target for target in usable if target.name == sticky and target.until <= now]
        ready: list[Target] = []
        ejected: list[Target] = []
        for backup in (False, True):
            group = [target for target in usable if target.origin.backup is backup]
            up = [target for target in group if target.until <= now]
            ready += self._ranked(up, client, turn=not ready and not home)
            ejected += sorted(
                (target for target in group if target.until > now), key=lambda target: target.until
            )
        if home:
            ready.remove(home[0])
            ready.insert(0, home[0])
        if ready and ready[0].failures:
            ready[0].trying = True
            ready[0].until = (
                now + self._forget_seconds
            )  # other connections do not wait for the result of this test
        return ready + ejected

    def failed(self, target: Target, now: float, *, connected: bool = False) -> None:
        """Count a failure of `target`; `connected` says that it accepted the connection and then failed."""
        if target.until > now and not target.trying:
            return  # an outage breaks many connections and counts as one failure
        if connected and not target.trying:
            target.misses += 1
            if target.misses < _MISSES:
                return
        doublings = min(target.failures, _MAX_DOUBLINGS)
        target.until = now + min(self._most_seconds, self._forget_seconds * 2**doublings)
        target.failures += 1
        target.ejections += 1
        target.misses = 0
        target.trying = False

    def worked(self, target: Target) -> None:
        """Reset the failures of `target`, which answered."""
        target.failures = target.misses = 0
        target.until = 0.0
        target.trying = False

    def _ranked(self, up: Sequence[Target], client: str, *, turn: bool) -> list[Target]:
        if self._policy is LoadBalancing.CLIENT_HASH:
            key = client.encode()
            return sorted(up, key=lambda target: _score(key, target), reverse=True)
        if self._policy is LoadBalancing.LEAST_CONNECTIONS:
            return _least_connections(up, turn=turn)
        return _round_robin(up, turn=turn)


def name_of(origin: Origin) -> str:
    """Return the name of an origin in metrics: its host and ports."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.httpPort}/{origin.httpsPort}"


def _both(one: Origin, other: Origin) -> Origin:
    return other.model_copy(
        update={"weight": one.weight + other.weight, "backup": one.backup and other.backup}
    )


def _round_robin(up: Sequence[Target], *, turn: bool) -> list[Target]:
    """Return the order of smooth weighted round robin; without `turn`, credits do not change."""
    order = sorted(up, key=lambda target: target.credit, reverse=True)
    if not turn or not up:
        return order
    for target in up:
        target.credit += target.origin.weight
    first = max(up, key=lambda target: target.credit)
    order = sorted(up, key=lambda target: target.credit, reverse=True)
    first.credit -= sum(target.origin.weight for target in up)
    return [first, *(target for target in order if target is not first)]


def _least_connections(up: Sequence[Target], *, turn: bool) -> list[Target]:
    """Return the order of least connections for the weight; origins with equal load alternate.

    The new connection is included, so that weights matter between idle origins.
    """

    def load(target: Target) -> float:
        return (target.open + 1) / target.origin.weight

    lowest = min(map(load, up), default=0.0)
    level = [target for target in up if load(target) == lowest]
    rest = sorted((target for target in up if load(target) > lowest), key=load)
    return _round_robin(level, turn=turn) + rest


def _score(client: bytes, target: Target) -> float:
    """Return the score of `target` in weighted rendezvous hashing; the highest score gets the client."""
    digest = blake2b(client + b"\n" + target.name.encode(), digest_size=8).digest()
    # 52 bits, so that neither end of the open interval (0, 1) is met by rounding.
    fraction = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52
    return target.origin.weight / -math.log(fraction)
