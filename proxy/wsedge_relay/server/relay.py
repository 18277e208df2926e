"""The relay: its listeners, the domains in force, their connections, and drains.

The relay and each of its sites drain:

    relay     serving ──drain()──▶ draining ──resume()──▶ serving
              every state ──close()──▶ closed

    site      serving ──(1)──▶ draining until T ──(3)──▶ drained
                 ▲                 │  ▲  └─(2)─┐            │
                 │                 │  └────────┘            │
                 └───────(4)───────┴────────────────────────┘

    (1) The configuration disables or removes the domain, or the relay drains; also from drained. `admit`
        refuses new connections with 503. HTTP/2 sessions get GOAWAY, idle connections are closed, and tunnels
        are closed with 1001, spread evenly until T. Plain requests may end until T, and are then cut.
    (2) Another drain ends before T: its task replaces the present one.
    (3) The task has closed every connection that it found. Handshakes that were under way at (1) may still
        become tunnels; `Connection` closes these at once.
    (4) The domain is enabled again, or `resume` ends the drain of the relay. Connections that are still open
        stay. (A domain that was removed and is added again has a new site.)
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random as Chance
from typing import Final

import structlog

from wsedge_relay.client.arrival import Arrival, Http2Facts, SharedParts
from wsedge_relay.client.connection import Connection
from wsedge_relay.client.http2_session import Session
from wsedge_relay.client.http2_sessions import Sessions
from wsedge_relay.client.plain_requests import PlainRequests
from wsedge_relay.config.material import Material
from wsedge_relay.contract import ANY_DOMAIN, Domain, Limits, Listen, RelayConfig
from wsedge_relay.errors import HandshakeRefusedError, no_room
from wsedge_relay.geo.labels import NOWHERE, Place
from wsedge_relay.metering.usage import Usage
from wsedge_relay.origin import health
from wsedge_relay.origin.health import HealthChecks
from wsedge_relay.origin.reach import Reach
from wsedge_relay.policy.limits import Limiter
from wsedge_relay.protocol.forwarded import Networks
from wsedge_relay.protocol.http1 import MAX_HEAD_BYTES
from wsedge_relay.protocol.http2_translation import TranslatedRequest
from wsedge_relay.pump.frames import GOING_AWAY
from wsedge_relay.pump.pump import Event
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.accepting import Listeners, leaves_room
from wsedge_relay.site import Site
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.families import Distribution, Family, distributions, families
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.readiness import Fiber, wait_for_all
from wsedge_relay.transport.tls import ListenerTls, default_context, domain_contexts
from wsedge_relay.transport.wire import EXHAUSTED, Wire
from wsedge_relay.tunnel.drain import spread
from wsedge_relay.tunnel.shedding import SHED_REASON, Shedding, ShedOrder, ShedProgress
from wsedge_relay.tunnel.tunnel import Tunnel
from wsedge_relay.tunnel.tunnels import Tunnels

log = structlog.get_logger("wsedge_relay")

# The send buffer between a stream of HTTP/2 and its tunnel, each way: about that of a plain connection.
_STREAM_BUFFER: Final = 65536


@dataclass(frozen=True, slots=True)
class Drain:
    """The drain of one domain: its task, and the loop's time at which the drain ends."""

    task: asyncio.Task[None]
    until: float


class Relay:
    """Carry WebSocket connections between clients and origins.

    The relay runs on the loop `asyncio.SelectorEventLoop(selector)` and owns the selector's pump. `usage`
    gets the billed counts, by the place that `place_of` returns for a client's address; `counters` has the
    other counts of the metrics, by domain. `limiter_of` makes the limiter of a domain; `in_pod` is as in
    Reach. Order of calls: `apply`, `start`, then `apply` and `sweep` repeatedly, `drain`, `close`.
    """

    def __init__(
        self,
        usage: Usage,
        selector: PumpSelector,
        *,
        timeouts: Timeouts | None = None,
        random: random.Random | None = None,
        place_of: Callable[[str], Place] = lambda _: NOWHERE,
        limiter_of: Callable[[str], Limiter] = lambda _: Limiter(),
        in_pod: bool = False,
    ) -> None:
        self._reach = Reach(in_pod=in_pod)
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts or Timeouts()
        self._random = random or _random()
        self._limiter_of = limiter_of
        self._pump = selector.pump
        self.tunnels = Tunnels(
            loop=self._loop, pump=selector.pump, usage=usage, timeouts=self._timeouts, random=self._random
        )
        self.plain = PlainRequests()
        selector.notify = self._schedule_events
        self._ready = selector.readiness(self._loop)
        self._health = HealthChecks(ready=self._ready, timeouts=self._timeouts, random=self._random)
        self._shared = SharedParts(
            self, self.tunnels, self.plain, usage, place_of, self._timeouts, self._ready
        )
        self._tls = ListenerTls()
        self._proxy_header_senders = Networks()
        self._header_bytes = MAX_HEAD_BYTES
        self._sites: dict[str, Site] = {}
        self._listeners = Listeners(
            self._accepted, self._make_room, lambda: len(self._handshakes), ready=self._ready
        )
        self._handshakes: set[Fiber] = set()
        self._sessions = Sessions()
        chance = Chance(self._random.randbytes(16))  # noqa: S311  chooses tunnels, no secret
        self._shedding = Shedding(self._close_shed, chance)
        self._drains: dict[asyncio.Task[None], Site] = {}
        self._last_drain: dict[Site, Drain] = {}  # of sites that drain at present
        self._draining = False
        self.counters: dict[str, DomainCounters] = {}
        self._unattributed: dict[str, int] = {}

    @property
    def open_connections(self) -> int:
        """The number of tunnels that are open or closing."""
        return len(self.tunnels)

    @property
    def handshakes_under_way(self) -> int:
        """The number of accepted connections that have no tunnel yet."""
        return len(self._handshakes)

    @property
    def pauses(self) -> int:
        """The number of times that a leg was not read because the other leg's socket was full."""
        return self._pump.pauses

    @property
    def accept_pauses(self) -> int:
        """The number of times that accepting paused because few descriptors were left."""
        return self._listeners.pauses

    @property
    def draining(self) -> bool:
        """Whether the relay drains and refuses new connections."""
        return self._draining

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """The address of each listener: "http" and "https" to host and port (as the kernel chose it)."""
        return self._listeners.addresses

    def metric_families(self) -> Iterator[Family | Distribution]:
        """Yield the counts of all domains and of the process as metrics."""
        yield from families(self.counters)
        yield from distributions(self.counters)
        yield from health.families(
            {name: site.origins for name, site in self._sites.items()}, self._loop.time()
        )
        yield Family(
            "unattributed_refusals",
            "Requests refused that belong to no served domain, by reason.",
            ("reason",),
            [((reason,), times) for reason, times in sorted(self._unattributed.items())],
        )
        yield Family(
            "http2_connections",
            "Open HTTP/2 connections.",
            (),
            [((), len(self._sessions))],
            gauge=True,
        )
        yield Family(
            "pauses",
            "Pauses in reading a leg because the socket of the other leg was full.",
            (),
            [((), self.pauses)],
        )
        yield Family(
            "accept_failures",
            "Pauses in accepting because few descriptors were left.",
            (),
            [((), self.accept_pauses)],
        )

    async def start(self, listen: Listen, *, shared: bool = False) -> None:
        """Accept connections at the addresses of `listen`; raises OSError when an address is not available.

        Of a host name the first address is used; "::" accepts IPv4 too. With `shared` other processes listen
        at the same addresses, and the kernel spreads connections over all.
        """
        try:
            for listener, port in (("http", listen.http), ("https", listen.https)):
                if port is not None:
                    await self._listeners.open(listener, listen.host, port, shared=shared)
        except OSError:
            self._listeners.close()
            raise
        hosts = [host for host, _ in self.addresses.values()]
        if hosts:
            ports = [port for _, port in self.addresses.values()]
            self._reach.set_own(hosts[0], ports, admin=(listen.adminHost or hosts[0], listen.admin))

    def apply(self, config: RelayConfig, material: Material) -> None:
        """Put `config` in force; `config.listen` is ignored.

        Domains that were removed or disabled drain. Other open connections stay, and a changed heartbeat, age
        or rate applies to them at once. Raises ssl.SSLError when a certificate in `material` cannot be used;
        `config.load` has checked all certificates before.
        """
        contexts = domain_contexts(config.domains, material)
        default = default_context(config.domains, material)
        made = {
            domain.domain: Site(
                domain,
                material,
                timeouts=self._timeouts,
                counters=self._counters(domain.domain),
                limiter=self._limiter_of(domain.domain),
                reach=self._reach,
            )
            for domain in config.domains
            if domain.domain not in self._sites
        }
        for domain in config.domains:
            if domain.domain in self._sites:
                self._apply_to_site(self._sites[domain.domain], domain, material)
        for name in self._sites.keys() - {domain.domain for domain in config.domains}:
            self._drain_site(self._sites.pop(name))
        self._sites.update(made)
        self._reach.deny(config.deniedNetworks)
        self._health.watch(site.origins for site in self._sites.values())
        self._header_bytes = max(
            (domain.limits.headerBytes for domain in config.domains), default=MAX_HEAD_BYTES
        )
        self._proxy_header_senders = Networks(
            network
            for domain in config.domains
            if domain.clients.proxyProtocol
            for network in domain.clients.trustedProxies
        )
        self._tls.set_domains(contexts, default)

    def site(self, name: str) -> Site:
        """Return the site that serves a domain; raises HandshakeRefusedError (421)."""
        site = self._sites.get(name) or self._sites.get(ANY_DOMAIN)
        if site is None:
            raise HandshakeRefusedError(421, "domain", "This relay does not serve this domain.")
        return site

    def admit(self, site: Site) -> None:
        """Raise HandshakeRefusedError (503) while the site accepts no new connections."""
        if self._draining:
            reason, text = "draining", "This relay is shutting down."
        elif self._sites.get(site.domain.domain) is not site or not site.domain.enabled:
            reason, text = "disabled", "WebSocket connections to this domain are disabled."
        else:
            return
        raise HandshakeRefusedError(503, reason, text, retry_after=self._timeouts.retry_after_seconds)

    def expects_proxy_header(self, peer: str) -> bool:
        """Return whether connections from this address begin with a PROXY header.

        The domain is not known yet, so the peer's address decides: a trusted proxy of any domain with
        `proxyProtocol` sends a PROXY header on each connection, and no other peer does.
        """
        return peer in self._proxy_header_senders

    @property
    def header_bytes(self) -> int:
        """The maximum bytes of a head before its domain is determined: the largest limit of all domains."""
        return self._header_bytes

    def count_unattributed_refusal(self, reason: str) -> None:
        """Count a refusal that belongs to no served domain."""
        self._unattributed[reason] = self._unattributed.get(reason, 0) + 1

    def share_certificate(self, domain: str, other: str) -> bool:
        """Return whether two domains share a certificate."""
        return self._tls.share_certificate(domain, other)

    def serves_by_default(self, site: Site, *, http2: bool) -> bool:
        """Return whether the default certificate is enough for requests to a site."""
        return self._tls.serves_by_default(site.domain.domain, http2=http2)

    def serve_http2(self, sock: socket.socket, facts: Http2Facts) -> None:
        """Serve an HTTP/2 connection; the relay owns its socket from now on."""
        session = Session(
            sock,
            domain=facts.domain,
            open_stream=partial(self._serve_stream, facts),
            ended=self._sessions.remove,
            stall_seconds=partial(self._stall_seconds, facts.domain),
            timeouts=self._timeouts,
            loop=self._loop,
        )
        self._sessions.add(session, facts.session)
        session.start()
        if self._draining:  # after a delay, in which the client's first request gets its 503
            self._loop.call_later(self._timeouts.linger_seconds, session.go_away)

    def _stall_seconds(self, domain: str) -> float:
        site = self._sites.get(domain)
        return (site.domain.limits if site is not None else Limits()).stallSeconds

    def sweep(self) -> None:
        """Add the counts of open tunnels since the last sweep to the usage."""
        self.tunnels.sweep()

    async def drain(self, seconds: float | None = None) -> None:
        """Refuse new connections, close tunnels with 1001 over `seconds`, return when no connection is left.

        None stands for each domain's drainSeconds. A later call can only shorten the drain of a domain.
        """
        self._draining = True
        self._shedding.stop()
        self._sessions.go_away()
        # Removed sites that still drain are included: their drains must be shortened too.
        for site in dict.fromkeys((*self._sites.values(), *self._drains.values())):
            most = site.domain.lifecycle.drainSeconds if seconds is None else seconds
            drain = self._last_drain.get(site)
            if drain is None or drain.until > self._loop.time() + most:
                self._drain_site(site, most)
        # Handshakes under way may still become tunnels, which then close at once. Handshakes that begin later
        # are refused; waiting for them too might never end.
        drains = list(self._drains)
        await wait_for_all(list(self._handshakes))
        if drains:
            await asyncio.wait(drains)
        await self.tunnels.wait_until_none()
        await self._sessions.wait_until_none()

    def shed(self, order: ShedOrder) -> None:
        """Close some tunnels with 1001 as `order` says, in place of the last order; not during a drain."""
        if not self._draining:
            self._shedding.begin(order, list(self.tunnels))

    @property
    def shed_progress(self) -> ShedProgress:
        """The progress of the last order to shed."""
        return self._shedding.progress

    def resume(self) -> None:
        """End the drain and accept new connections; connections that are still open stay."""
        self._draining = False
        for site in self._sites.values():
            if site.domain.enabled:
                self._end_drain(site)

    async def close(self) -> None:
        """Close every listener, handshake and tunnel at once."""
        self._listeners.close()
        self._shedding.stop()
        self._sessions.abort_all()
        for handshake in list(self._handshakes):
            handshake.cancel()
        await wait_for_all(list(self._handshakes))
        tasks = [*self._drains, *self._health.close()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.tunnels.abort_all()

    def _apply_to_site(self, site: Site, domain: Domain, material: Material) -> None:
        age, rate = site.domain.lifecycle.maxConnectionAgeSeconds, site.domain.limits.bytesPerSecond
        frame_rates = site.domain.limits.framesPerSecond, site.domain.limits.messagesPerSecond
        if site.apply(domain, material):
            self.tunnels.reschedule_heartbeats(site)
        if domain.lifecycle.maxConnectionAgeSeconds != age:
            self.tunnels.limit_ages(site)
        if domain.limits.bytesPerSecond != rate:
            self.tunnels.limit_rates(site)
        if (domain.limits.framesPerSecond, domain.limits.messagesPerSecond) != frame_rates:
            self.tunnels.limit_frames(site)
        if not domain.enabled:
            self._drain_site(site)
        elif not self._draining:
            self._end_drain(site)

    def _counters(self, name: str) -> DomainCounters:
        return self.counters.setdefault(name, DomainCounters())

    def _drain_site(self, site: Site, seconds: float | None = None) -> None:
        self._sessions.go_away(site.key.domain)
        if seconds is None:
            if site in self._last_drain:
                return
            seconds = site.domain.lifecycle.drainSeconds
        if site in self._last_drain:
            self._last_drain[site].task.cancel()
        until = self._loop.time() + seconds
        task = self._loop.create_task(self._drain(site, seconds, until))
        self._last_drain[site] = Drain(task, until)
        self._drains[task] = site
        task.add_done_callback(self._drains.pop)

    def _end_drain(self, site: Site) -> None:
        drain = self._last_drain.pop(site, None)
        if drain is not None:
            drain.task.cancel()

    async def _drain(self, site: Site, seconds: float, until: float) -> None:
        try:
            self.plain.close_idle(site)
            await spread(list(self.tunnels.of(site)), seconds, self._close_drained)
            await self.plain.drain(site, max(0.0, until - self._loop.time()))
        finally:
            last = self._last_drain.get(site)
            if last is not None and last.task is asyncio.current_task():
                del self._last_drain[site]

    def _close_shed(self, tunnel: Tunnel) -> None:
        self.tunnels.close(tunnel, GOING_AWAY, SHED_REASON)
        if tunnel.session is not None:
            # Without GOAWAY the client would open its next stream on the same connection, to this relay.
            self._sessions.go_away_from(tunnel.session)

    def _close_drained(self, tunnel: Tunnel) -> None:
        self.tunnels.close(tunnel, GOING_AWAY, "going away")

    def _schedule_events(self, events: list[Event]) -> None:
        self._loop.call_soon(self.tunnels.handle, events)

    def _accepted(self, listener: str, sock: socket.socket, address: str) -> None:
        self._serve(sock, address, tls=self._tls if listener == "https" else None)

    def _make_room(self) -> None:
        """Close idle connections: few descriptors are left."""
        for site in self._sites.values():
            self.plain.close_idle(site)

    def _serve(
        self,
        sock: socket.socket,
        client: str,
        *,
        tls: ListenerTls | None = None,
        http2: Http2Facts | None = None,
        refused: HandshakeRefusedError | None = None,
    ) -> None:
        wire = Wire(sock, self._ready)
        arrival = Arrival(wire, address=client, tls=tls, shared=self._shared, http2=http2)
        connection = Connection(arrival, shared=self._shared, refused=refused)
        handshake = Fiber(connection.serve(), self._ready, self._handshake_ended)
        self._handshakes.add(handshake)
        handshake.step()

    def _serve_stream(self, facts: Http2Facts, request: TranslatedRequest) -> socket.socket:
        """Serve one end of a pair of sockets for an HTTP/2 stream; return the other end.

        Raises HandshakeRefusedError (503) when few descriptors are left.
        """
        try:
            near, far = socket.socketpair()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            raise self._no_room(facts.domain) from error
        if not leaves_room(far.fileno(), under_way=len(self._handshakes)):
            near.close()
            far.close()
            raise self._no_room(facts.domain)
        for sock in (near, far):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER)
        self._serve(far, facts.client, http2=facts, refused=request.refused)
        return near

    def _no_room(self, domain: str) -> HandshakeRefusedError:
        self._counters(domain).handshake(503, "descriptors")
        return no_room(self._timeouts.retry_after_seconds)

    def _handshake_ended(self, handshake: Fiber, fault: BaseException | None) -> None:
        self._handshakes.discard(handshake)
        if fault is not None and not isinstance(fault, asyncio.CancelledError):
            log.error("handshake crashed", exc_info=fault)


def _random() -> random.Random:
    # RFC 6455 section 10.3: the author of a payload must not be able to predict its mask.
    return random.SystemRandom()
