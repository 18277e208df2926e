"""Ten thousand idle connections without sockets, on a clock of the test: the number of pings per tick."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest

from support.relay.virtual import ACCOUNT, CLIENT, DOMAIN, Virtual
from wsedge_relay.metering.usage import UsageKey
from wsedge_relay.pump.leg import Leg
from wsedge_relay.pump.pump import Pump
from wsedge_relay.tunnel.heartbeat import TICK_SECONDS
from wsedge_relay.tunnel.tunnel import Tunnel

TUNNELS = 10_000
INTERVAL = 60
TICKS = round(INTERVAL / TICK_SECONDS)


class NoSocket:
    """The part of a socket that a tunnel uses before the pump has it."""

    family = socket.AF_INET

    def fileno(self) -> int:
        return -1

    def detach(self) -> None:
        pass


class Answering(Leg):
    """A leg without a socket."""

    __slots__ = ()

    def close(self) -> None:
        pass

    def reset_at_close(self) -> None:
        pass


class Answers(Pump):
    """A pump without sockets: each ping is answered at once."""

    @staticmethod
    def leg(sock: socket.socket, *, masked: bool, deflate: bool, tunnel: Any, **_: Any) -> Leg:
        return Answering(sock, masked=masked, deflate=deflate, tunnel=tunnel)

    def add(self, client: Leg, origin: Leg, *, client_rest: bytes = b"", origin_rest: bytes = b"") -> None:
        client.peer, origin.peer = origin, client

    def remove(self, leg: Leg) -> None:
        pass

    def inject(self, leg: Leg, frame: bytes, *, last: bool = False) -> bool:
        leg.received += len(frame)
        return True


class Crowd:
    """Tunnels that were all opened at the same time."""

    def __init__(self, stack: ExitStack) -> None:
        self.virtual = Virtual(Answers, stack, heartbeatSeconds=INTERVAL)
        self.tunnels = [self._open() for _ in range(TUNNELS)]

    def _open(self) -> Tunnel:
        none = cast(socket.socket, NoSocket())
        self.virtual.target.open += 1
        self.virtual.site.limiter.enter(self.virtual.site.domain.limits, CLIENT, 0.0, retry_after=5)
        return self.virtual.tunnels.open(
            self.virtual.site,
            UsageKey(DOMAIN, ACCOUNT),
            client=none,
            origin=none,
            deflate=False,
            client_rest=b"",
            origin_rest=b"",
            target=self.virtual.target,
            address=CLIENT,
        )

    def hear(self) -> None:
        """Receive bytes from every peer at the same time."""
        for tunnel in self.tunnels:
            tunnel.client.received += 1
            tunnel.origin.received += 1

    def pings(self, ticks: int) -> list[int]:
        """Advance the clock and return the number of pings of each tick."""
        counts = []
        for _ in range(ticks):
            before = self._pings
            self.virtual.clock.run(TICK_SECONDS)
            counts.append(self._pings - before)
        return counts

    @property
    def _pings(self) -> int:
        return self.virtual.counters.client.pings + self.virtual.counters.origin.pings


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    with ExitStack() as stack:
        yield Crowd(stack)


def most(over: int) -> float:
    """Return how many pings a tick may have when tunnels choose one of so many ticks by chance.

    Both legs of a tunnel are pinged in one tick. Tunnels of a tick are the mean and six deviations, which
    chance passes once in a thousand million ticks.
    """
    mean = TUNNELS / over
    return 2 * (mean + 6 * math.sqrt(mean))


def check_even(counts: list[int], *, over: int) -> None:
    """Check that in each interval every leg is pinged once, and no tick has more pings than `most` allows."""
    for begin in range(0, len(counts) - TICKS + 1, TICKS):
        assert sum(counts[begin : begin + TICKS]) == 2 * TUNNELS
    assert max(counts) <= most(over), (max(counts), most(over))
    assert sum(1 for count in counts[:TICKS] if count) >= over - 2


def test_tunnels_opened_at_once_are_pinged_over_half_of_the_interval(crowd: Crowd) -> None:
    """The first pings are sent after one to three quarters of the interval, later ones an interval apart."""
    counts = crowd.pings(3 * TICKS)
    check_even(counts, over=TICKS // 2)
    assert sum(counts[: TICKS // 4]) == 0
    assert counts[TICKS : 2 * TICKS] == counts[2 * TICKS :]


def test_tunnels_with_bytes_at_once_are_pinged_over_a_quarter(crowd: Crowd) -> None:
    """A message to all causes no burst of pings later, because each tunnel has its own time of checks."""
    crowd.pings(TICKS + 7)
    crowd.hear()
    check_even(crowd.pings(3 * TICKS), over=TICKS // 4)


def test_tunnels_with_a_new_interval_are_spread_again(crowd: Crowd) -> None:
    """The pings spread over half of the new interval, although they were closer together in the old one."""
    crowd.virtual.take(heartbeatSeconds=INTERVAL // 2)
    crowd.pings(TICKS)
    crowd.virtual.take(heartbeatSeconds=INTERVAL)
    check_even(crowd.pings(3 * TICKS), over=TICKS // 2)
