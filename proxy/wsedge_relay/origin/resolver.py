"""Resolve the names of origins: one query at a time for each name, and a short cache.

A burst of clients causes one query, and a slow name occupies one of the few resolver threads instead of all.
While the name service fails, the last addresses of a name are used for five minutes; when the name service
answers that the name does not exist, its addresses are dropped at once.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Any, Final

from wsedge_relay.errors import OriginError

_STALE_SECONDS: Final = 300.0
_STALE_WAIT_SECONDS: Final = 1.0  # for a new answer while an old one may be used
_NO_SUCH_NAME: Final = frozenset((socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)))

Address = tuple[int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: list[Address]
    at: float


class Resolver:
    """The addresses of one domain's origins; an answer is fresh for `fresh_seconds`."""

    __slots__ = ("_fresh_seconds", "_known", "_lookups")

    def __init__(self, *, fresh_seconds: float) -> None:
        self._fresh_seconds = fresh_seconds
        self._known: dict[tuple[str, int], _Known] = {}
        self._lookups: dict[tuple[str, int], asyncio.Task[list[Address]]] = {}

    def forget(self) -> None:
        """Drop every answer, because the origins changed."""
        self._known.clear()

    def fresh(self, host: str, port: int, now: float) -> list[Address] | None:
        """Return the addresses of `host` from the cache, None when they are not fresh."""
        known = self._known.get((host, port))
        return known.addresses if known is not None and now - known.at < self._fresh_seconds else None

    async def find(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> list[Address]:
        """Return the addresses of `host`, at least one; raises OriginError. Must run in a task."""
        known = self._known.get((host, port))
        age = loop.time() - known.at if known is not None else 0.0
        if known is None or age > _STALE_SECONDS:
            return await self._new(host, port, loop)
        if age < self._fresh_seconds:
            return known.addresses
        try:
            async with asyncio.timeout(_STALE_WAIT_SECONDS):
                return await self._new(host, port, loop)
        except TimeoutError:
            return known.addresses
        except OriginError as error:
            if isinstance(error.__cause__, socket.gaierror) and error.__cause__.errno == socket.EAI_AGAIN:
                return known.addresses
            raise

    async def _new(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> list[Address]:
        lookup = self._lookups.get((host, port))
        if lookup is None:
            lookup = loop.create_task(self._look_up(host, port, loop))
            self._lookups[host, port] = lookup
            lookup.add_done_callback(lambda ended: self._ended(host, port, ended))
        try:
            # Shielded: a caller whose time is up must not cancel the query of the other callers.
            return await asyncio.shield(lookup)
        except (OSError, UnicodeError) as error:
            raise OriginError("unresolvable", f"{host}: {error}") from error

    async def _look_up(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> list[Address]:
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "no address")
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                self._known.pop((host, port), None)
            raise
        addresses = list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))
        self._known[host, port] = _Known(addresses, loop.time())
        return addresses

    def _ended(self, host: str, port: int, lookup: asyncio.Task[list[Address]]) -> None:
        del self._lookups[host, port]
        if not lookup.cancelled():
            lookup.exception()  # retrieved here: asyncio logs an exception that no caller retrieves
