"""The choice of an origin for each connection: a policy, what failed lately, what the health checks say.

Pure; `now` is any clock's seconds. Three policies, all of which respect weights: smooth weighted round robin,
which spreads a weight of 3 over the round instead of giving three connections in a row (nginx's scheme); the
fewest open connections for its weight; and weighted rendezvous hashing of the client's address, by which the
loss of an origin moves that origin's clients alone, and every relay makes the same choice.

An origin that cannot be reached, or gives bad answers in a row, is ejected: asked last, or every client would
wait for its timeout anew. Then one connection tries it; while that fails, the next try waits twice as long.
An origin that its health checks call unhealthy is not asked at all, unless all are unhealthy: then the checks
prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from wsedge_relay.contract import LoadBalancing, Origin, OriginHealthCheck

_MAX_DOUBLINGS = 16
_MISSES = 5  # so many bad answers in a row are the origin's fault, and not that of what it was asked


class Target:
    """One origin in use, and what is known of it. It outlives changes of its weight and role."""

    __slots__ = (
        "bad",  # health checks, as `good`
        "credit",
        "due",  # when the next health check is made; 0.0: none is planned
        "ejections",
        "failures",  # in a row
        "good",
        "healthy",
        "latency",  # seconds the last good health check took; negative before the first
        "misses",  # bad or late answers in a row
        "name",
        "open",  # handshakes under way and open tunnels
        "origin",
        "streak",  # health checks in a row that speak against `healthy`
        "trying",  # one connection finds out whether it works again
        "until",  # ejected so long
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
        """Tell whether it is asked last because it failed."""
        return self.until > now

    def checked(self, rules: OriginHealthCheck, *, good: bool) -> bool:
        """Take the result of one health check; return whether `healthy` changed by it."""
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
        """Forget what health checks said: there are none any more."""
        self.healthy = True
        self.streak = 0
        self.due = 0.0
        self.latency = -1.0


class Balancer:
    """The order in which origins are tried, connection by connection.

    An origin that failed is ejected for `forget_seconds`, doubled with each failed try, to `most_seconds` at
    the longest.
    """

    def __init__(self, *, forget_seconds: float, most_seconds: float) -> None:
        self._forget_seconds = forget_seconds
        self._most_seconds = most_seconds
        self._policy = LoadBalancing.ROUND_ROBIN
        self.targets: tuple[Target, ...] = ()

    def take(self, origins: Iterable[Origin], policy: LoadBalancing = LoadBalancing.ROUND_ROBIN) -> None:
        """Choose among these from now on. What is known of an origin at the same host and ports is kept.

        Who is named twice is one origin, with the weights of both, and no backup unless it is one twice.
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

    def order(self, now: float, client: str, *, kept: str | None = None) -> list[Target]:
        """Return the origins to try for one connection of `client`, best first; each at most once.

        `kept` is the name of the origin that has the client's session: it is first while it is well.
        """
        if len(self.targets) == 1 and not self.targets[0].failures:
            return list(self.targets)
        usable = [target for target in self.targets if target.healthy] or self.targets
        home = [target for target in usable if target.name == kept and target.until <= now]
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
            ready[0].until = now + self._forget_seconds  # the others do not wait for how this one fares
        return ready + ejected

    def failed(self, target: Target, now: float, *, connected: bool = False) -> None:
        """Note that `target` could not be used; `connected`: it took the request, and failed to answer it."""
        if target.until > now and not target.trying:
            return  # one outage fails many connections, and is one failure
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
        """Note that `target` answered."""
        target.failures = target.misses = 0
        target.until = 0.0
        target.trying = False

    def _ranked(self, up: Sequence[Target], client: str, *, turn: bool) -> list[Target]:
        if self._policy is LoadBalancing.CLIENT_HASH:
            key = client.encode()
            return sorted(up, key=lambda target: _draw(key, target), reverse=True)
        if self._policy is LoadBalancing.LEAST_CONNECTIONS:
            return _least(up, turn=turn)
        return _next(up, turn=turn)


def name_of(origin: Origin) -> str:
    """Return what an origin is called in metrics: its host and ports."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.httpPort}/{origin.httpsPort}"


def _both(one: Origin, other: Origin) -> Origin:
    return other.model_copy(
        update={"weight": one.weight + other.weight, "backup": one.backup and other.backup}
    )


def _next(up: Sequence[Target], *, turn: bool) -> list[Target]:
    """Smooth weighted round robin; `turn` False looks without taking a turn."""
    order = sorted(up, key=lambda target: target.credit, reverse=True)
    if not turn or not up:
        return order
    for target in up:
        target.credit += target.origin.weight
    first = max(up, key=lambda target: target.credit)
    order = sorted(up, key=lambda target: target.credit, reverse=True)
    first.credit -= sum(target.origin.weight for target in up)
    return [first, *(target for target in order if target is not first)]


def _least(up: Sequence[Target], *, turn: bool) -> list[Target]:
    """Fewest connections for its weight, counting the one to come; those that are level take turns."""

    def load(target: Target) -> float:
        return (target.open + 1) / target.origin.weight

    lowest = min(map(load, up), default=0.0)
    level = [target for target in up if load(target) == lowest]
    rest = sorted((target for target in up if load(target) > lowest), key=load)
    return _next(level, turn=turn) + rest


def _draw(client: bytes, target: Target) -> float:
    """Weighted rendezvous hashing: of all origins the one with the highest draw gets the client."""
    digest = blake2b(client + b"\n" + target.name.encode(), digest_size=8).digest()
    # 52 bits, so that neither end of the open interval (0, 1) is met by rounding.
    fraction = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52
    return target.origin.weight / -math.log(fraction)
