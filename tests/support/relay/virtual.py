"""Tunnels over socket pairs on a test's clock: real pump, real tunnels, and hours within a moment."""

from __future__ import annotations

import asyncio
import heapq
import os
import random
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from wsedge_relay.config.material import Material
from wsedge_relay.contract import Domain
from wsedge_relay.metering.usage import Usage, UsageKey
from wsedge_relay.origin.balance import Target
from wsedge_relay.pump.pump import Pump
from wsedge_relay.site import Site
from wsedge_relay.telemetry.access_log import AccessFacts
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.timeouts import Timeouts
from wsedge_relay.tunnel.tunnel import GONE, Tunnel
from wsedge_relay.tunnel.tunnels import Tunnels

DOMAIN = "chat.example.com"
ACCOUNT = "team-a"
TAG = b"test"
SIDES = ("client", "origin")
CLIENT = "192.0.2.1"


@dataclass(order=True)
class Timer:
    """A call at a time of a Clock; the part of asyncio.TimerHandle that the relay uses."""

    when: float
    number: int
    call: Callable[[], object] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Cancel the call."""
        self.cancelled = True


class Clock:
    """An event loop's clock and timers, the part that tunnels use; `run` advances time."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._timers: list[Timer] = []
        self._numbers = 0

    def time(self) -> float:
        """Return the time in seconds."""
        return self._now

    def call_at(self, when: float, call: Callable[..., object], *arguments: object) -> Timer:
        """Call at that time."""
        self._numbers += 1
        timer = Timer(when, self._numbers, lambda: call(*arguments))
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, delay: float, call: Callable[..., object], *arguments: object) -> Timer:
        """Call so many seconds from now."""
        return self.call_at(self._now + delay, call, *arguments)

    def call_soon(self, call: Callable[..., object], *arguments: object) -> Timer:
        """Call at the next run."""
        return self.call_at(self._now, call, *arguments)

    def run(self, seconds: float) -> None:
        """Advance time, and run the calls that are due, in order."""
        until = self._now + seconds
        while self._timers and self._timers[0].when <= until:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self._now = max(self._now, timer.when)
                timer.call()
        self._now = until

    @property
    def waiting(self) -> int:
        """Return the number of pending calls."""
        return sum(not timer.cancelled for timer in self._timers)


class Loop(Clock):
    """A clock, and the sockets with readers or writers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[int, Callable[[], object]] = {}
        self.writers: dict[int, Callable[[], object]] = {}

    def add_reader(self, fd: int, call: Callable[[], object]) -> None:
        """Call back whenever the socket is readable."""
        assert fd >= 0, "a closed socket is waited for"
        self.readers[fd] = call

    def remove_reader(self, fd: int) -> bool:
        """Remove the reader."""
        return self.readers.pop(fd, None) is not None

    def add_writer(self, fd: int, call: Callable[[], object]) -> None:
        """Call back whenever the socket is writable."""
        assert fd >= 0, "a closed socket is waited for"
        self.writers[fd] = call

    def remove_writer(self, fd: int) -> bool:
        """Remove the writer."""
        return self.writers.pop(fd, None) is not None

    def serve(self) -> bool:
        """Run the callbacks of ready sockets once; return whether there were any."""
        poll = select.poll()
        for fd in self.readers.keys() | self.writers.keys():
            wanted = select.POLLIN * (fd in self.readers) | select.POLLOUT * (fd in self.writers)
            poll.register(fd, wanted)
        found = poll.poll(0)
        for fd, what in found:
            assert not what & select.POLLNVAL, "a closed socket is waited for"
            # As asyncio's selectors do: a hang-up makes a socket readable and writable.
            for calls, bit in ((self.readers, select.POLLIN), (self.writers, select.POLLOUT)):
                if what & ~(select.POLLIN | select.POLLOUT) | what & bit and (call := calls.get(fd)):
                    call()
        return bool(found)


@dataclass(eq=False)
class Pair:
    """One tunnel and the far ends of its legs."""

    tunnel: Tunnel
    far: dict[str, socket.socket]
    near: list[int]  # the descriptors of the tunnel


class Virtual:
    """One domain's tunnels without an event loop. `stack` closes what it opens."""

    def __init__(
        self,
        form: type[Pump],
        stack: ExitStack,
        *,
        timeouts: Timeouts | None = None,
        seed: int = 1,
        **fields: Any,
    ) -> None:
        self._stack = stack
        self.timeouts = timeouts or Timeouts()
        self.epoll = stack.enter_context(select.epoll())
        self.pump = form(self.epoll, TAG)
        self.clock = Clock()
        self.usage = Usage(now=0.0, monotonic=time.monotonic)
        self.counters = DomainCounters()
        self._fields = fields
        self.site = Site(self._domain(), Material(), timeouts=self.timeouts, counters=self.counters)
        self.tunnels = Tunnels(
            loop=cast(asyncio.AbstractEventLoop, self.clock),
            pump=self.pump,
            usage=self.usage,
            timeouts=self.timeouts,
            random=random.Random(seed),
        )
        stack.callback(self.tunnels.abort_all)

    def _domain(self) -> Domain:
        origins = [{"host": "127.0.0.1", "httpPort": 9}]
        document = {"domain": DOMAIN, "account": ACCOUNT, "originProtocol": "HTTP", "origins": origins}
        return Domain.model_validate({**document, **self._fields})

    @property
    def target(self) -> Target:
        """Return the one origin."""
        return self.site.origins.targets[0]

    def take(self, **fields: Any) -> None:
        """Apply a configuration with these fields changed, as the server does."""
        self._fields.update(fields)
        if self.site.apply(self._domain(), Material()):
            self.tunnels.reschedule_heartbeats(self.site)

    def open(self, *, deflate: bool = False, send_buffer: int = 0, access: AccessFacts | None = None) -> Pair:
        """Open a tunnel as a handshake does: with reservations at the origin and for the client."""
        far: dict[str, socket.socket] = {}
        near: dict[str, socket.socket] = {}
        for side in SIDES:
            far[side], near[side] = socket.socketpair()
            self._stack.enter_context(far[side])
            for sock in (far[side], near[side]):
                sock.setblocking(False)
                if send_buffer:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        descriptors = [sock.fileno() for sock in near.values()]
        target = self.target
        target.open += 1
        self.site.limiter.enter(self.site.domain.limits, CLIENT, self.clock.time(), retry_after=5)
        tunnel = self.tunnels.open(
            self.site,
            UsageKey(DOMAIN, ACCOUNT),
            client=near["client"],
            origin=near["origin"],
            deflate=deflate,
            client_rest=b"",
            origin_rest=b"",
            target=target,
            address=CLIENT,
            access=access,
        )
        return Pair(tunnel, far, descriptors)

    def serve(self) -> None:
        """Let the pump serve ready sockets, and the tunnels act on the results, once."""
        assert self.pump.run(0) == []
        self.tunnels.handle(self.pump.take_events())

    def check_nothing_left(self, pair: Pair) -> None:
        """Assert that nothing remains of a tunnel that was the only one."""
        assert pair.tunnel.phase == GONE
        assert len(self.tunnels) == len(self.tunnels.of(self.site)) == 0
        assert not any(self.pump.legs)
        assert (self.pump.backed, self.epoll.poll(0)) == (set(), [])
        assert self.site.limiter.taken == self.target.open == 0
        for descriptor in pair.near:
            with suppress(OSError):
                os.fstat(descriptor)
                raise AssertionError("a leg's socket is open")
        self.clock.run(2 * self.site.domain.heartbeatSeconds)
        assert self.clock.waiting == 0, "a timer outlives its tunnel"
