"""Origins: which one is next, and a connection to it.

The choice is pure: smooth weighted round robin, which spreads a weight of 3 over the round instead of giving
three connections in a row (nginx's scheme). Backups come when every other origin has failed. An origin that
just failed is asked last for a while, or every client would wait for its timeout anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from wsedge_relay.contract import Domain, Origin, OriginProtocol
from wsedge_relay.errors import OriginError
from wsedge_relay.wire import Wire

_DEFAULT_PORTS: Final = {False: 80, True: 443}

Address = tuple[int, tuple[Any, ...]]


class Balancer:
    """The order in which origins are tried, connection by connection. `now` is any clock's seconds."""

    def __init__(self, origins: Iterable[Origin], *, forget_seconds: float) -> None:
        kept = [origin for origin in origins if origin.weight]
        self._groups = [
            _Round(origin for origin in kept if not origin.backup),
            _Round(origin for origin in kept if origin.backup),
        ]
        self._forget_seconds = forget_seconds
        self._failed: dict[Origin, float] = {}

    def order(self, now: float) -> list[Origin]:
        """Return the origins to try for one connection, best first; each once."""
        ready: list[Origin] = []
        failed: list[Origin] = []
        for group in self._groups:
            down = {origin for origin in group.origins if self._failed.get(origin, now) > now}
            taken = group.take(down, turn=not ready)
            ready += [origin for origin in taken if origin not in down]
            failed += [origin for origin in taken if origin in down]
        return ready + failed

    def failed(self, origin: Origin, now: float) -> None:
        """Note that `origin` could not be used."""
        self._failed[origin] = now + self._forget_seconds

    def worked(self, origin: Origin) -> None:
        """Note that `origin` answered."""
        self._failed.pop(origin, None)


class _Round:
    """Smooth weighted round robin over one group."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        self.origins = tuple(dict.fromkeys(origins))
        self._credit = dict.fromkeys(self.origins, 0)

    def take(self, down: set[Origin], *, turn: bool) -> list[Origin]:
        """Return the group, the origin whose turn it is first; `turn` False looks without taking a turn."""
        credit = self._credit
        up = [origin for origin in self.origins if origin not in down]
        if turn and up:
            for origin in up:
                credit[origin] += origin.weight
            first = max(up, key=credit.__getitem__)
            order = sorted(self.origins, key=credit.__getitem__, reverse=True)
            credit[first] -= sum(origin.weight for origin in up)
            return [first, *(origin for origin in order if origin is not first)]
        return sorted(self.origins, key=credit.__getitem__, reverse=True)


def speaks_tls(domain: Domain, *, client_secure: bool) -> bool:
    """Tell whether origins of `domain` are spoken to by TLS (Follow: as the client speaks to the relay)."""
    if domain.originProtocol is OriginProtocol.FOLLOW:
        return client_secure
    return domain.originProtocol is OriginProtocol.HTTPS


def port_of(origin: Origin, *, secure: bool) -> int:
    """Return the port to dial."""
    return origin.httpsPort if secure else origin.httpPort


def host_header(domain: Domain, origin: Origin, *, secure: bool) -> str:
    """Return what the Host header says: `originRequest.host`, or the origin's host and unusual port."""
    if domain.originRequest.host is not None:
        return domain.originRequest.host
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = port_of(origin, secure=secure)
    return host if port == _DEFAULT_PORTS[secure] else f"{host}:{port}"


async def dial(
    domain: Domain, origin: Origin, context: ssl.SSLContext | None, *, loop: asyncio.AbstractEventLoop
) -> Wire:
    """Connect to `origin`, with TLS when `context` is given; raises OriginError.

    All of it, name look-up included, takes no longer than `originRequest.connectTimeoutSeconds`; several
    addresses share that time, so that one that swallows packets does not hide the next.
    """
    seconds = domain.originRequest.connectTimeoutSeconds
    try:
        async with asyncio.timeout(seconds) as bound:
            addresses = await _resolve(origin.host, port_of(origin, secure=context is not None), loop)
            wire = await _connect(addresses, loop, until=bound.when() or 0.0)
            if context is not None:
                await _secure(wire, context, domain.originTLS.serverName or origin.host)
    except TimeoutError as error:
        raise OriginError("timeout", f"no connection within {seconds} s") from error
    return wire


async def _resolve(host: str, port: int, loop: asyncio.AbstractEventLoop) -> list[Address]:
    literal = host.strip("[]")
    with suppress(ValueError):  # a thread only for what needs looking up
        version = ipaddress.ip_address(literal).version
        return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (literal, port))]
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OriginError("unresolvable", f"{host}: {error}") from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


async def _connect(addresses: list[Address], loop: asyncio.AbstractEventLoop, *, until: float) -> Wire:
    failures: list[OSError] = []
    for index, address in enumerate(addresses):
        share = (until - loop.time()) / (len(addresses) - index)
        try:
            return await _connect_to(address, loop, seconds=share)
        except OSError as error:  # TimeoutError is one
            failures.append(error)
    told = [failure for failure in failures if not isinstance(failure, TimeoutError)]
    if not told:
        raise TimeoutError
    raise OriginError("refused", str(told[-1])) from told[-1]


async def _connect_to(address: Address, loop: asyncio.AbstractEventLoop, *, seconds: float) -> Wire:
    family, target = address
    wire = Wire(socket.socket(family, socket.SOCK_STREAM), loop)
    try:
        async with asyncio.timeout(seconds):
            await wire.connect(target)
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        wire.close()
        raise
    return wire


async def _secure(wire: Wire, context: ssl.SSLContext, name: str) -> None:
    try:
        await wire.start_tls(context, server_name=name.strip("[]"))
    except BaseException as error:
        wire.close()
        if isinstance(error, OSError | ValueError) and not isinstance(error, TimeoutError):
            raise OriginError("tls", str(error)) from error
        raise
