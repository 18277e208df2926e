"""A client's input up to its requests: PROXY header, TLS handshake, request heads; and its address."""

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
from wsedge_relay.protocol import handshake, http1
from wsedge_relay.protocol.forwarded import Way, address_of, way_of
from wsedge_relay.protocol.http1 import RequestHead
from wsedge_relay.protocol.proxy_protocol import LONGEST, Ends, SourceAddress, length_of, source_of
from wsedge_relay.site import Site
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.transport.heads import read_head
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.tls import ListenerTls, domain_context_of, speaks_http2
from wsedge_relay.transport.wire import Wire
from wsedge_relay.tunnel.tunnel import SessionName
from wsedge_relay.tunnel.tunnels import Tunnels


class Sites(Protocol):
    """The methods of the relay that a connection calls."""

    def site(self, name: str) -> Site:
        """Return the site that serves a domain; raises HandshakeRefusedError (421)."""

    def admit(self, site: Site) -> None:
        """Raise HandshakeRefusedError (503) while the site accepts no new connections."""

    def expects_proxy_header(self, peer: str) -> bool:
        """Return whether connections from this address begin with a PROXY header."""

    @property
    def header_bytes(self) -> int:
        """The maximum bytes of a request's head before its domain is determined."""

    def count_unattributed_refusal(self, reason: str) -> None:
        """Count a refusal that belongs to no served domain."""

    def share_certificate(self, domain: str, other: str) -> bool:
        """Return whether two domains share a certificate."""

    def serves_by_default(self, site: Site, *, http2: bool) -> bool:
        """Return whether the default certificate is enough for requests to a site."""

    def serve_http2(self, sock: socket.socket, facts: Http2Facts) -> None:
        """Serve an HTTP/2 connection; the relay owns its socket from now on."""


@dataclass(frozen=True, slots=True)
class Http2Facts:
    """Facts of an HTTP/2 connection, for its streams: each is served as a connection of its own.

    `domain` is the domain whose certificate the client received, `is_default` says that the TLS handshake
    named no served domain. `client` is the peer's IP address. `announced` says that the
    connection began with a PROXY header, `source` is the client that the header names, if any. `peer` and
    `here` are the IP addresses and ports of the connection's two ends.
    """

    domain: str
    is_default: bool
    client: str
    announced: bool
    source: SourceAddress | None
    peer: tuple[str, int]
    here: tuple[str, int]

    @property
    def session(self) -> SessionName:
        """The name of the HTTP/2 connection among all that are open."""
        return self.peer, self.here


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts of a relay that all its connections share."""

    sites: Sites
    tunnels: Tunnels
    plain: PlainRequests
    usage: Usage
    place_of: Callable[[str], Place]
    timeouts: Timeouts
    ready: Readiness


class Arrival:
    """The input of one client: read the heads of its requests from `wire` and determine its address.

    `address` is the peer's IP address; `tls` is given on a TLS listener, `http2` for a stream of HTTP/2.
    `client` is the address that limits and usage count: until `determine_client` the peer's, then the address
    that trusted proxies name. `began` is the loop's time at which the connection was accepted or, on a
    connection that stays open, at which its present request began.
    """

    __slots__ = (
        "_address",
        "_announced",
        "_shared",
        "_source",
        "_tls",
        "began",
        "client",
        "http2",
        "way",
        "wire",
    )

    way: Way

    def __init__(
        self,
        wire: Wire,
        *,
        address: str,
        tls: ListenerTls | None,
        shared: SharedParts,
        http2: Http2Facts | None = None,
    ) -> None:
        self.wire = wire
        self.http2 = http2
        self.client = address
        self.began = shared.ready.loop.time()
        self._address = address
        self._tls = tls
        self._shared = shared
        self._announced = http2 is not None and http2.announced  # by a PROXY header
        self._source = http2.source if http2 is not None else None  # the client in that header

    @property
    def secure(self) -> bool:
        """Whether the client connected by TLS."""
        return self.http2 is not None or self.wire.secure

    @property
    def protocol(self) -> str:
        """The client's HTTP version, by its ALPN name (RFC 7301 section 6)."""
        return "http/1.1" if self.http2 is None else "h2"

    async def establish(self) -> bool:
        """Read the PROXY header, make the TLS handshake; return whether the socket now has an HTTP/2 session.

        Raises ProxyHeaderError, PeerGoneError when nothing arrives in time, OSError.
        """
        wire = self.wire
        wire.limit(self._shared.timeouts.head_seconds)
        try:
            if self._shared.sites.expects_proxy_header(self.client):
                self._source = source_of(await wire.read_header(length_of, longest=LONGEST))
                self._announced = True
            if self._tls is None:
                return False
            await wire.start_tls(self._tls.context)
        except TimeoutError as error:
            raise PeerGoneError("no request arrived") from error
        sock = wire.sock
        tls = domain_context_of(sock)
        if tls is None or not speaks_http2(sock):
            return False
        peer, here = sock.getpeername(), sock.getsockname()
        facts = Http2Facts(
            tls.domain, tls.is_default, self.client, self._announced, self._source, peer[:2], here[:2]
        )
        self._shared.sites.serve_http2(wire.release(), facts)
        return True

    async def first_head(self) -> tuple[bytes, bytes]:
        """Return the first request head and the bytes that were read behind it.

        Raises BadHeadError, PeerGoneError, HandshakeRefusedError (408).
        """
        wire = self.wire
        if self.http2 is not None:
            wire.limit(self._shared.timeouts.head_seconds)
        try:
            return await read_head(wire.read, most=self._shared.sites.header_bytes, of_request=True)
        except TimeoutError as error:
            if not wire.received:
                raise PeerGoneError("no request arrived") from error
            raise HandshakeRefusedError(408, "timeout", "The request did not arrive in time.") from error

    async def next_head(self, site: Site, rest: bytes) -> tuple[bytes, bytes]:
        """Return the head of the next request and the bytes behind it; the last request was for `site`.

        `rest` was read behind the last request. A connection with nothing but empty lines is idle: some
        clients write one behind a body. Raises as `first_head` does.
        """
        self.client = self._address
        if http1.is_empty_lines(rest):
            task = asyncio.current_task(self._shared.ready.loop)  # plain requests run in a task
            self.wire.limit(self._shared.timeouts.keep_alive_seconds)
            try:
                with self._shared.plain.idle(site, task):
                    while http1.is_empty_lines(rest):
                        more = await self.wire.read()
                        if not more:
                            raise PeerGoneError("the client closed the connection between requests")
                        rest += more
            except TimeoutError as error:
                raise PeerGoneError("no further request arrived") from error
        self.began = self._shared.ready.loop.time()
        self.wire.limit(self._shared.timeouts.head_seconds)
        try:
            return await read_head(
                self.wire.read, rest, most=self._shared.sites.header_bytes, of_request=True
            )
        except TimeoutError as error:
            raise HandshakeRefusedError(408, "timeout", "The request did not arrive in time.") from error

    def site_of(self, request: RequestHead) -> Site:
        """Return the site of a request's Host; raises HandshakeRefusedError (400, 421).

        A Host other than the domain of the TLS handshake gets 421 (RFC 9110 section 7.4), except on HTTP/2
        when both domains share a certificate. Where the handshake named no served domain, the Host decides.
        """
        sites = self._shared.sites
        name = handshake.domain_of(handshake.host_of(request))
        http2 = self.http2
        tls = http2 if http2 is not None else domain_context_of(self.wire.sock)
        if tls is None:
            return sites.site(name)
        if tls.is_default:
            site = sites.site(name)
            if sites.serves_by_default(site, http2=http2 is not None):
                return site
        elif tls.domain == name or (http2 is not None and sites.share_certificate(tls.domain, name)):
            return sites.site(name)
        raise HandshakeRefusedError(421, "domain", "This connection was opened for another domain.")

    def determine_client(self, site: Site, request: RequestHead) -> None:
        """Set `client` and `way` by the headers of a request; raises HandshakeRefusedError (403)."""
        self.way = way_of(request.headers, self._peer(site), site.proxies)
        self.client = self.way.client

    def ends(self) -> Ends:
        """Return the client's address and port, and the relay's, for a PROXY header to an origin."""
        if self.http2 is not None:
            peer, here = self.http2.peer, self.http2.here
        else:
            peer, here = self.wire.sock.getpeername(), self.wire.sock.getsockname()
        ports = {client_address(peer): peer[1]}  # ports in X-Forwarded-For and Forwarded are not reliable
        if self._source is not None:
            ports[self._source.address] = self._source.port
        return Ends(self.client, ports.get(self.client, 0), client_address(here), here[1])

    def _peer(self, site: Site) -> str:
        """Return the address in the PROXY header, else the peer's; raises HandshakeRefusedError (403)."""
        if self._announced and self.client in site.proxies:
            return self._source.address if self._source is not None else self.client
        if site.domain.clients.proxyProtocol:
            text = "This domain accepts connections from its load balancer only."
            raise HandshakeRefusedError(403, "proxyProtocol", text)
        return self.client


def client_address(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """Return a peer's IP address as text, without a zone; IPv4-mapped addresses in IPv4 form."""
    text = address[0]
    return text if ":" not in text else address_of(text.partition("%")[0])
