"""Origins: what they are called, and a connection to one. Which one is `balance`'s choice."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from contextlib import suppress
from typing import Any, Final

from wsedge_relay.contract import Domain, Origin, OriginProtocol
from wsedge_relay.errors import OriginError
from wsedge_relay.wire import Wire

_DEFAULT_PORTS: Final = {False: 80, True: 443}

Address = tuple[int, tuple[Any, ...]]


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
