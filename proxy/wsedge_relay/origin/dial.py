"""Dial an origin: resolve its name, race its addresses, send a PROXY header, speak TLS.

An answer of the name service is used for a second, so that new connections use new addresses. Of several
addresses the first connection wins (RFC 8305 sections 4 and 5): address families alternate, and the next
address is tried when one failed or did not answer within 250 ms. So broken IPv6, or an address that drops
packets, delays the client by 250 ms instead of the whole timeout.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final

from wsedge_relay.contract import Domain, Origin
from wsedge_relay.errors import NoDescriptorError, OriginError
from wsedge_relay.origin.address import port_of
from wsedge_relay.origin.reach import Reach
from wsedge_relay.origin.resolver import Address, Resolver
from wsedge_relay.transport.readiness import NEVER, Readiness
from wsedge_relay.transport.wire import EXHAUSTED, Wire

_NEXT_SECONDS: Final = 0.25  # RFC 8305 section 5: Connection Attempt Delay


async def dial(
    domain: Domain,
    origin: Origin,
    context: ssl.SSLContext | None,
    *,
    resolver: Resolver,
    reach: Reach,
    preface: bytes = b"",
    ready: Readiness,
) -> Wire:
    """Connect to `origin`, send `preface`, then speak TLS when `context` is given; raises OriginError.

    Addresses that `reach` denies are not dialled. All steps together take at most
    `originRequest.connectTimeoutSeconds`.
    """
    seconds = domain.originRequest.connectTimeoutSeconds
    now = ready.loop.time()
    port = port_of(origin, secure=context is not None)
    try:
        addresses = _literal(origin.host, port) or resolver.fresh(origin.host, port, now)
        if addresses is not None and len(addresses) == 1:
            address = addresses[0]
            refusal = reach.refusal(*address[1][:2])
            if refusal is not None:
                raise OriginError("denied", refusal)
            wire = await _connect_to(address, ready, until=now + seconds)
        else:
            await ready.in_task()
            async with asyncio.timeout_at(now + seconds):
                found = await resolver.find(origin.host, port, ready.loop)
                wire = await _connect(in_turn(_allowed(found, reach)), ready)
                wire.until = now + seconds
        try:
            if reach.is_wildcard:
                _check_own(wire, reach)
            if preface:
                await wire.write(preface)
            if context is not None:
                await _secure(wire, context, domain.originTLS.serverName or origin.host)
        except BaseException:
            wire.close()
            raise
    except TimeoutError as error:
        raise OriginError("timeout", f"no connection within {seconds} s") from error
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise NoDescriptorError(str(error)) from error
        raise OriginError("refused", str(error)) from error
    wire.until = NEVER
    return wire


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses in the order of the attempts: families alternate, the first address's is first."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    mixed = chain.from_iterable(zip_longest(first, others))
    return [address for address in mixed if address is not None]


def _allowed(addresses: Sequence[Address], reach: Reach) -> list[Address]:
    """Return the addresses that may be dialled, at least one; raises OriginError when all are denied."""
    refusals = [reach.refusal(target[0], target[1]) for _, target in addresses]
    allowed = [address for address, refusal in zip(addresses, refusals, strict=True) if refusal is None]
    if not allowed:
        raise OriginError("denied", str(refusals[0]))
    return allowed


def _check_own(wire: Wire, reach: Reach) -> None:
    """Raise OriginError for a connection to this relay's own address, on which no byte was sent yet."""
    peer, port = wire.sock.getpeername()[:2]
    refusal = reach.refusal_of_own(wire.sock.getsockname()[0], peer, port)
    if refusal is not None:
        raise OriginError("denied", refusal)


@functools.lru_cache(maxsize=1024)
def _literal(host: str, port: int) -> tuple[Address, ...] | None:
    """Return `host` as an address, None when it is a name."""
    literal = host.strip("[]")
    try:
        version = ipaddress.ip_address(literal).version
    except ValueError:
        return None
    return ((socket.AF_INET6 if version == 6 else socket.AF_INET, (literal, port)),)


async def _connect(addresses: Sequence[Address], ready: Readiness) -> Wire:
    """Return the first connection that succeeds; raises the last OSError when all fail. Needs a task."""
    if len(addresses) == 1:
        return await _connect_to(addresses[0], ready)
    waiting = iter(addresses)
    left = len(addresses)
    tries: set[asyncio.Task[Wire]] = set()
    failure: BaseException = OSError("no address")
    try:
        while left or tries:
            if left:
                tries.add(ready.loop.create_task(_connect_to(next(waiting), ready)))
                left -= 1
            done, tries = await asyncio.wait(
                tries, timeout=_NEXT_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done:
                error = ended.exception()
                if error is None:
                    done.discard(ended)
                    tries |= done  # other attempts that succeeded at the same moment are closed below
                    return ended.result()
                failure = error
        raise failure
    finally:
        for late in tries:
            late.cancel()
            late.add_done_callback(_close_late)


def _close_late(attempt: asyncio.Task[Wire]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _connect_to(address: Address, ready: Readiness, *, until: float = NEVER) -> Wire:
    family, target = address
    wire = Wire(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK), ready)
    wire.until = until
    try:
        await wire.connect(target)
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        wire.close()
        raise
    return wire


async def _secure(wire: Wire, context: ssl.SSLContext, name: str) -> None:
    try:
        await wire.start_tls(context, server_name=name.strip("[]"))
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        raise OriginError("tls", str(error)) from error
