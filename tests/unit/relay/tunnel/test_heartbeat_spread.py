"""Thousands of idle connections: pings are spread evenly, even after an event of all of them at once."""

from __future__ import annotations

import resource
import select
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from support.relay.frames import frame
from support.relay.virtual import Pair, Virtual
from wsedge_relay.pump.pump import Pump
from wsedge_relay.tunnel.heartbeat import TICK_SECONDS

# Four descriptors each: as many as fit below the 20,000 that some machines allow.
TUNNELS = 4_000
# Pings at one tick, to the mean of all: they come in two of an interval's four quarters, and 400 of a tick
# are 400 ± 20.
FACTOR = 2.4


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Raise the limit of descriptors, and close all sockets at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * TUNNELS + 500:
        pytest.skip(f"this machine allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * TUNNELS + 500), hard))
    with ExitStack() as stack:
        yield stack
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Peers:
    """The far ends of all tunnels, which send only pongs."""

    def __init__(self, virtual: Virtual, stack: ExitStack) -> None:
        self._virtual = virtual
        self._epoll = stack.enter_context(select.epoll())
        self._ends: dict[int, tuple[Pair, str]] = {}

    def add(self, pair: Pair) -> None:
        """Add the far ends of a tunnel."""
        for side, far in pair.far.items():
            self._ends[far.fileno()] = pair, side
            self._epoll.register(far, select.EPOLLIN)

    def clear(self) -> None:
        """Close every far end."""
        for pair, side in self._ends.values():
            pair.far[side].close()
        self._ends.clear()

    def answer(self) -> None:
        """Answer every ping, and let the relay read the pongs."""
        for descriptor, _ in self._epoll.poll(0, 4 * TUNNELS):
            pair, side = self._ends[descriptor]
            with suppress(BlockingIOError):
                ping = pair.far[side].recv(100)
                payload = ping[-8:] if side == "client" else unmasked(ping)
                key = b"\0\0\0\0" if side == "client" else None
                pair.far[side].send(frame(payload, opcode=10, key=key))
        while self._virtual.pump.run(0) or self._virtual.pump.events:
            self._virtual.tunnels.handle(self._virtual.pump.take_events())


def unmasked(ping: bytes) -> bytes:
    """Return the payload of a masked ping."""
    return bytes(byte ^ ping[2 + at % 4] for at, byte in enumerate(ping[6:]))


def pings(virtual: Virtual) -> int:
    """Return the number of pings sent so far."""
    return virtual.counters.client.pings + virtual.counters.origin.pings


def each_tick(virtual: Virtual, peers: Peers, seconds: float) -> list[int]:
    """Let time pass and return the pings of each tick."""
    counts = []
    for _ in range(round(seconds / TICK_SECONDS)):
        before = pings(virtual)
        virtual.clock.run(TICK_SECONDS)
        counts.append(pings(virtual) - before)
        peers.answer()
    return counts


def check_even(counts: list[int], *, interval: int) -> None:
    """Check that each leg is pinged once an interval, and that no tick has many more pings than its share."""
    ticks = round(interval / TICK_SECONDS)
    last = counts[-ticks:]
    assert sum(last) == 2 * TUNNELS
    mean = 2 * TUNNELS / ticks
    assert max(counts) <= FACTOR * mean, (max(counts), mean)


def test_idle_connections_are_pinged_evenly(stack: ExitStack) -> None:
    """After all connected at once, after all reconnected at once, and after a change of the interval."""
    virtual = Virtual(Pump, stack, heartbeatSeconds=10)
    peers = Peers(virtual, stack)
    for _ in range(TUNNELS):
        peers.add(virtual.open())
    check_even(each_tick(virtual, peers, 20), interval=10)
    virtual.take(heartbeatSeconds=5)
    check_even(each_tick(virtual, peers, 10), interval=5)
    for side in (virtual.counters.client, virtual.counters.origin):
        assert (side.pongs, side.dead) == (side.pings, 0)
    peers.clear()
    each_tick(virtual, peers, 15)
    assert len(virtual.tunnels) == 0
    for _ in range(TUNNELS):
        peers.add(virtual.open())
    check_even(each_tick(virtual, peers, 10), interval=5)
