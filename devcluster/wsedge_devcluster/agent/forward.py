"""A listener that passes TCP connections on to endpoints, in turn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import cast

import structlog

from wsedge_devcluster.agent.selectors import Endpoint

log = structlog.get_logger()

_CONNECT_SECONDS = 5.0
# linux/in.h: bind an address without a port yet. The kernel chooses the port at connect(), per destination,
# so that one source address has 28,000 ports for each endpoint and not for all.
_IP_BIND_ADDRESS_NO_PORT = 24


class Forwarder:
    """Listens on one address and port. Endpoints may change; open connections keep theirs."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._endpoints: Sequence[Endpoint] = ()
        self._source: str | None = None
        self._turn = 0
        self._server: asyncio.Server | None = None
        self._dialling: set[asyncio.Task[None]] = set()
        self._legs: set[_Leg] = set()

    async def serve(self, endpoints: Sequence[Endpoint], source: str | None = None) -> None:
        """Set the endpoints, and the address that they see; None: the client's own.

        Without endpoints there is no listener: clients are refused, as by kube-proxy. Raises OSError when the
        address cannot be listened on.
        """
        self._endpoints, self._source = endpoints, source
        if endpoints and self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Leg(self), self.host, self.port, backlog=1024, reuse_address=True
            )
        elif not endpoints and self._server is not None:
            self._server.close()
            self._server = None

    def close(self, *, connections: bool) -> None:
        """Stop listening; with `connections`, end open connections too."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if connections:
            for task in self._dialling:
                task.cancel()
            for leg in list(self._legs):
                leg.abort()

    def accepted(self, leg: _Leg) -> None:
        """Dial an endpoint for a client that has connected."""
        self._legs.add(leg)
        task = asyncio.create_task(self._dial(leg))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    def ended(self, leg: _Leg) -> None:
        """Forget a leg that has closed."""
        self._legs.discard(leg)

    async def _dial(self, client: _Leg) -> None:
        """Connect the client to the next endpoint that accepts, or reset its connection."""
        for _ in range(len(self._endpoints)):
            if not self._endpoints:
                break
            self._turn += 1
            endpoint = self._endpoints[self._turn % len(self._endpoints)]
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await self._join(client, endpoint)
                return
            except OSError as error:
                log.debug("dial failed", endpoint=str(endpoint), error=str(error))
        client.abort()

    async def _join(self, client: _Leg, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            # The pod sees the client's own address, as behind kube-proxy: all are loopback addresses.
            connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            connection.bind((self._source or client.address(), 0))
            await loop.sock_connect(connection, (endpoint.address, endpoint.port))
            _, leg = await loop.create_connection(lambda: _Leg(self, client), sock=connection)
        except BaseException:
            connection.close()
            raise
        self._legs.add(leg)


class _Leg(asyncio.Protocol):
    """One side of a connection; writes what it reads to its peer. A half-close passes, a reset too."""

    def __init__(self, forwarder: Forwarder, peer: _Leg | None = None) -> None:
        self._forwarder, self._peer = forwarder, peer
        self._transport: asyncio.Transport | None = None
        self._read_all = False

    def address(self) -> str:
        """Return the remote address; raises OSError when the connection has closed."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        if not name:
            raise ConnectionResetError("the client has closed")
        return str(name[0])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        if self._peer is None:
            # Reading pauses until the endpoint is connected. asyncio starts to read after this callback, in
            # Python 3.11.2 even when the callback paused it; so the pause comes after that start.
            asyncio.get_running_loop().call_soon(transport.pause_reading)
            self._forwarder.accepted(self)
            return
        self._peer._joined(self)
        if self._peer._transport is None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.write(data)

    def eof_received(self) -> bool:
        self._read_all = True
        peer = self._peer
        if peer is None or peer._transport is None or peer._read_all:
            return False  # both directions have ended: the transport closes
        with contextlib.suppress(OSError):
            peer._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._forwarder.ended(self)
        peer = self._peer
        if peer is None or peer._transport is None:
            return
        if exc is None:
            peer._transport.close()
        else:
            peer.abort()

    def abort(self) -> None:
        """End the connection with a reset."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        # linger for 0 s: the kernel sends RST instead of FIN
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._transport.abort()

    def _joined(self, peer: _Leg) -> None:
        self._peer = peer
        if self._transport is not None:
            self._transport.resume_reading()
