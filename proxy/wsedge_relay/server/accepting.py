"""Listeners of a relay: accept connections in batches, and pause while few descriptors are left."""

from __future__ import annotations

import math
import os
import resource
import socket
from collections.abc import Callable
from typing import Final

import structlog

from wsedge_relay.client.arrival import client_address
from wsedge_relay.transport.listening import bound
from wsedge_relay.transport.readiness import NEVER, Readiness
from wsedge_relay.transport.wire import EXHAUSTED

log = structlog.get_logger("wsedge_relay")

_BACKLOG: Final = 4096
_ACCEPTS_AT_ONCE: Final = 64
# Descriptors that new connections do not get. Each handshake under way needs one more for its origin; this
# reserve is for the configuration, reports, health checks and the admin port.
_RESERVED: Final = 32
_PAUSE_SECONDS: Final = 0.1


class Listeners:
    """The listening sockets of a relay, by name ("http", "https").

    `accepted` is called with the listener's name, each accepted socket and the peer's address. `make_room` is
    called when descriptors run out and accepting pauses; `under_way` returns the number of accepted
    connections that still need a descriptor for their origin. `pauses` counts the pauses.
    """

    def __init__(
        self,
        accepted: Callable[[str, socket.socket, str], None],
        make_room: Callable[[], None],
        under_way: Callable[[], int],
        *,
        ready: Readiness,
    ) -> None:
        self._accepted = accepted
        self._make_room = make_room
        self._under_way = under_way
        self._ready = ready
        self._listening: dict[str, socket.socket] = {}
        self.pauses = 0

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and port of each listener, as the kernel chose them."""
        return {name: sock.getsockname()[:2] for name, sock in self._listening.items()}

    async def open(self, name: str, host: str, port: int, *, shared: bool) -> None:
        """Listen at an address; raises OSError. With `shared` other processes listen there too."""
        sock = self._listening[name] = await bound(host, port, shared=shared)
        sock.listen(_BACKLOG)
        self._watch(name, sock)

    def close(self) -> None:
        """Stop listening."""
        for sock in self._listening.values():
            self._ready.remove(sock.fileno())
            sock.close()
        self._listening.clear()

    def _watch(self, name: str, sock: socket.socket) -> None:
        self._ready.watch(sock.fileno(), Acceptor(self._accept, name, sock))

    def _accept(self, name: str, listening: socket.socket) -> None:
        limit = _descriptor_limit()
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._pause(name, listening, str(error))
                    return
                continue  # this connection broke before it was accepted
            descriptor = sock.fileno()  # `accepted` may close the socket
            self._accepted(name, sock, client_address(address))
            if not leaves_room(descriptor, under_way=self._under_way(), limit=limit):
                self._pause(name, listening, "few descriptors are left")
                return

    def _pause(self, name: str, listening: socket.socket, reason: str) -> None:
        """Remove a listener from epoll until descriptors are free: its backlog would keep the loop busy."""
        log.error("accepting paused", listener=name, reason=reason)
        self._ready.remove(listening.fileno())
        self._make_room()
        self._schedule_resume(name, listening)

    def _schedule_resume(self, name: str, listening: socket.socket) -> None:
        self.pauses += 1
        self._ready.loop.call_later(_PAUSE_SECONDS, self._resume, name, listening)

    def _resume(self, name: str, listening: socket.socket) -> None:
        if self._listening.get(name) is not listening:
            return
        try:
            probe = os.dup(listening.fileno())
        except OSError:
            self._schedule_resume(name, listening)
            return
        os.close(probe)
        if not leaves_room(probe, under_way=self._under_way()):
            self._schedule_resume(name, listening)
            return
        log.info("accepting resumed", listener=name)
        self._watch(name, listening)


class Acceptor:
    """The waiter of a listener: calls `accept` when new connections arrive."""

    __slots__ = ("_accept", "_listening", "_name")

    until = NEVER

    def __init__(
        self, accept: Callable[[str, socket.socket], None], name: str, listening: socket.socket
    ) -> None:
        self._accept = accept
        self._name = name
        self._listening = listening

    def wake(self, _: BaseException | None, /) -> None:
        """Accept connections of the backlog."""
        self._accept(self._name, self._listening)


def leaves_room(descriptor: int, *, under_way: int, limit: float | None = None) -> bool:
    """Return whether more connections may be accepted after one with this descriptor.

    The kernel assigns the lowest free number, so a new descriptor's number is about the count in use. Each of
    `under_way` handshakes needs another descriptor. `limit` is this process's soft limit of open files
    (default: read from the kernel).
    """
    return descriptor + under_way < (_descriptor_limit() if limit is None else limit) - _RESERVED


def _descriptor_limit() -> float:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit
