"""TCP sockets that are bound to an address, for one process or for several that share a port."""

from __future__ import annotations

import asyncio
import socket


async def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket bound to an address, which does not listen yet; raises OSError.

    Of a host name the first address is used; "::" accepts IPv4 too. With `shared` several processes of this
    user may listen at the address, and the kernel spreads connections over them (SO_REUSEPORT).
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:  # `host` is not a valid name, for example one with an empty label
        raise OSError(f"{host}: {error}") from error
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setblocking(False)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


async def reserved(host: str, port: int) -> socket.socket:
    """Return a socket that reserves an address for processes that will share it.

    Raises OSError when the address is in use. The socket never listens, so the kernel gives it no connection.
    For port 0 the kernel chooses a port.
    """
    # First without SO_REUSEPORT: two relays of one user would otherwise share a port unnoticed.
    alone = await bound(host, port)
    try:
        host, port = alone.getsockname()[:2]
        return await bound(host, port, shared=True)
    finally:
        alone.close()
