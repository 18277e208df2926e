"""The input of a client before its answer, and the client's address: PROXY header, TLS, request heads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wsedge_relay.client.plain_requests import PlainRequests
from wsedge_relay.errors import HandshakeRefusedError, PeerGoneError
from wsedge_relay.geo.labels import Place
from wsedge_relay.metering.usage import Usage
from wsedge_relay.protocol import handshake
from wsedge_relay.protocol.forwarded import Way, address_of, way_of
from wsedge_relay.protocol.http1 import RequestHead
from wsedge_relay.protocol.proxy_protocol import LONGEST, Ends, SourceAddress, length_of, source_of
from wsedge_relay.site import Site
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.heads import read_head
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.tls import Front, domain_of, speaks_http2
from wsedge_relay.transport.wire import Wire
from wsedge_relay.tunnel.tunnels import Tunnels


class Sites(Protocol):
    """The part of the relay that a connection calls."""

    def site(self, name: str) -> Site:
        """Return the site that serves a domain; raises HandshakeRefusedError (421)."""

    def admit(self, site: Site) -> None:
        """Raise HandshakeRefusedError (503) while the site accepts no new connections."""

    def announces(self, peer: str) -> bool:
        """Return whether connections from this address begin with a PROXY header."""

    @property
    def header_bytes(self) -> int:
        """The most bytes that a request's head may have before its domain is determined."""

    def refused_unattributed(self, reason: str) -> None:
        """Count a refusal that belongs to no served domain."""

    def shows_the_same(self, domain: str, other: str) -> bool:
        """Return whether two domains share a certificate."""

    def carry(self, sock: socket.socket, outer: Outer) -> None:
        """Serve an HTTP/2 connection; the relay owns its socket from now on."""


@dataclass(frozen=True, slots=True)
class Outer:
    """The facts of an HTTP/2 connection. Each of its streams is served as a connection of its own.

    `domain` is the domain whose certificate the client received; `client`, `announced` and `source` are as
    in Arrival; `peer` and `here` are the address and port of both ends.
    """

    domain: str
    client: str
    announced: bool
    source: SourceAddress | None
    peer: tuple[str, int]
    here: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Serving:
    """The parts of a relay that all its connections share."""

    sites: Sites
    tunnels: Tunnels
    plain: PlainRequests
    usage: Usage
    place_of: Callable[[str], Place]
    timeouts: Timeouts
    ready: Readiness


class Arrival:
    """A newly connected client: reads the heads of its requests from `wire` and determines its address.

    `address` is the peer's, `front` is given on a TLS listener, `outer` for a stream of HTTP/2. `client` is
    the address that limits and usage count: the peer's until `place`, then the one that trusted proxies name.
    `began`, the loop's time, is when the connection was accepted, later when its next request began.
    """

    __slots__ = (
        "_address",
        "_announced",
        "_front",
        "_serving",
        "_source",
        "began",
        "client",
        "outer",
        "way",
        "wire",
    )

    way: Way

    def __init__(
        self, wire: Wire, *, address: str, front: Front | None, serving: Serving, outer: Outer | None = None
    ) -> None:
        self.wire = wire
        self.outer = outer
        self.client = address
        self.began = serving.ready.loop.time()
        self._address = address
        self._front = front
        self._serving = serving
        self._announced = outer is not None and outer.announced  # by a PROXY header
        self._source = outer.source if outer is not None else None  # that it named

    @property
    def secure(self) -> bool:
        """Whether the client connected by TLS."""
        return self.outer is not None or self.wire.secure

    @property
    def protocol(self) -> str:
        """The client's HTTP version, by its ALPN name (RFC 7301 section 6)."""
        return "http/1.1" if self.outer is None else "h2"

    async def greet(self) -> bool:
        """Read the PROXY header and make the TLS handshake; return whether an HTTP/2 session took over."""
        wire = self.wire
        wire.limit(self._serving.timeouts.head_seconds)
        try:
            if self._serving.sites.announces(self.client):
                self._source = source_of(await wire.take(length_of, longest=LONGEST))
                self._announced = True
            if self._front is None:
                return False
            await wire.start_tls(self._front.context)
        except TimeoutError as error:
            raise PeerGoneError("no request arrived") from error
        sock = wire.sock
        domain = domain_of(sock)
        if domain is None or not speaks_http2(sock):
            return False
        peer, here = sock.getpeername(), sock.getsockname()
        outer = Outer(domain, self.client, self._announced, self._source, peer[:2], here[:2])
        self._serving.sites.carry(wire.give(), outer)
        return True

    async def head(self) -> tuple[bytes, bytes]:
        """Return the request head and the bytes that were read behind it."""
        wire = self.wire
        if self.outer is not None:
            wire.limit(self._serving.timeouts.head_seconds)
        try:
            return await read_head(wire.read, most=self._serving.sites.header_bytes)
        except TimeoutError as error:
            if not wire.received:
                raise PeerGoneError("no request arrived") from error
            raise HandshakeRefusedError(408, "timeout", "The request did not arrive in time.") from error

    async def next_head(self, site: Site, rest: bytes) -> tuple[bytes, bytes]:
        """Return the head of the next request on this connection; the last request was for `site`."""
        self.client = self._address
        if not rest:
            task = asyncio.current_task(self._serving.ready.loop)  # a task since the first plain request
            self.wire.limit(self._serving.timeouts.keep_alive_seconds)
            try:
                with self._serving.plain.idle(site, task):
                    rest = await self.wire.read()
            except TimeoutError as error:
                raise PeerGoneError("no further request arrived") from error
            if not rest:
                raise PeerGoneError("the client had no further request")
        self.began = self._serving.ready.loop.time()
        self.wire.limit(self._serving.timeouts.head_seconds)
        try:
            return await read_head(self.wire.read, rest, most=self._serving.sites.header_bytes)
        except TimeoutError as error:
            raise HandshakeRefusedError(408, "timeout", "The request did not arrive in time.") from error

    def site_of(self, request: RequestHead) -> Site:
        """Return the site of a request's Host; raises HandshakeRefusedError (400, 421)."""
        name = handshake.host_of(request)
        shown = self.outer.domain if self.outer is not None else domain_of(self.wire.sock)
        reused = self.outer is not None and self._serving.sites.shows_the_same(self.outer.domain, name)
        if shown not in (None, name) and not reused:
            raise HandshakeRefusedError(421, "domain", "This connection was opened for another domain.")
        return self._serving.sites.site(name)

    def place(self, site: Site, request: RequestHead) -> None:
        """Determine the client's address of a request for `site`; raises HandshakeRefusedError (403)."""
        self.way = way_of(request.headers, self._peer(site), site.proxies)
        self.client = self.way.client

    def ends(self) -> Ends:
        """Return the client's address and port, and the relay's, for a PROXY header."""
        if self.outer is not None:
            peer, here = self.outer.peer, self.outer.here
        else:
            peer, here = self.wire.sock.getpeername(), self.wire.sock.getsockname()
        ports = {client_address(peer): peer[1]}  # X-Forwarded-For and Forwarded give no usable port
        if self._source is not None:
            ports[self._source.address] = self._source.port
        return Ends(self.client, ports.get(self.client, 0), client_address(here), here[1])

    def _peer(self, site: Site) -> str:
        """Return the address that sent the request, before X-Forwarded-For and the like; raises a 403."""
        if self._announced and self.client in site.proxies:
            return self._source.address if self._source is not None else self.client
        if site.domain.clients.proxyProtocol:
            text = "This domain accepts connections from its load balancer only."
            raise HandshakeRefusedError(403, "proxyProtocol", text)
        return self.client


def client_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a peer's IP address as text; an IPv4 client of a dual-stack socket in IPv4 form."""
    text = address[0]
    return text if ":" not in text else address_of(text.partition("%")[0])
