"""Shed: close some open tunnels at a rate, so that their clients connect anew and may reach another relay.

    none ──order──▶ under way ──every chosen tunnel closed or gone──▶ ended
                        │  ▲ another order: the rest of this one is dropped
                        │  └──┘
                        └── a drain, which closes all tunnels by itself ──▶ ended

The tunnels are chosen once, at random among those that are open when the order arrives. So an order does not
close a client twice that comes back to this relay, and no domain, age or address is preferred: the youngest
would be the clients that the last order moved, and the oldest the sessions that cost most to resume. A chosen
tunnel that ends by itself is not replaced by another: the relay has one tunnel less in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import structlog

from wsedge_relay.tunnel.drain import spread
from wsedge_relay.tunnel.tunnel import OPEN, Tunnel

# The reason in the Close frame, in the metrics and in the access log.
SHED_REASON: Final = "rebalance"

_log = structlog.get_logger("wsedge_relay")


@dataclass(frozen=True, slots=True)
class ShedOrder:
    """An order to close `connections` tunnels at a rate. `name` tells orders apart."""

    name: str
    connections: int
    per_second: float

    def share(self, connections: int) -> ShedOrder:
        """Return the part of the order with this many connections, which takes as long as the whole."""
        return ShedOrder(self.name, connections, self.per_second * connections / self.connections)


@dataclass(frozen=True, slots=True)
class ShedProgress:
    """The progress of the last order: its name (empty: none), the tunnels closed, whether it has ended."""

    order: str = ""
    closed: int = 0
    ended: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the progress as a JSON document; `GET /shed` answers with it."""
        return {"order": self.order or None, "closed": self.closed, "ended": self.ended}


class Shedding:
    """The orders to shed of one process. `close` closes an open tunnel, `random` chooses the tunnels."""

    def __init__(self, close: Callable[[Tunnel], object], random: Random) -> None:
        self._close = close
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._progress = ShedProgress()

    @property
    def progress(self) -> ShedProgress:
        """The progress of the last order."""
        return self._progress

    def begin(self, order: ShedOrder, tunnels: Collection[Tunnel]) -> None:
        """Carry out `order` on `tunnels`, in place of the order that is under way."""
        self.stop()
        chosen = [tunnel for tunnel in tunnels if tunnel.phase == OPEN]
        if len(chosen) > order.connections:
            chosen = self._random.sample(chosen, order.connections)
        else:
            self._random.shuffle(chosen)
        self._progress = ShedProgress(order.name, ended=False)
        _log.info("shed started", order=order.name, connections=len(chosen), per_second=order.per_second)
        self._task = asyncio.create_task(self._shed(order, chosen), name="shed connections")

    def stop(self) -> None:
        """Close no more tunnels for the order that is under way, if any."""
        if self._task is not None:
            self._task.cancel()
            self._ended()

    async def _shed(self, order: ShedOrder, chosen: Sequence[Tunnel]) -> None:
        if chosen:
            await spread(chosen, len(chosen) / order.per_second, self._close_one)
        self._ended()

    def _close_one(self, tunnel: Tunnel) -> None:
        if tunnel.phase != OPEN:
            return
        self._progress = ShedProgress(self._progress.order, self._progress.closed + 1, ended=False)
        self._close(tunnel)

    def _ended(self) -> None:
        self._task = None
        self._progress = ShedProgress(self._progress.order, self._progress.closed)
        _log.info("shed ended", order=self._progress.order, closed=self._progress.closed)


def shares(order: ShedOrder, open_connections: Sequence[int]) -> Iterator[ShedOrder]:
    """Yield the part of each worker in an order, by its open connections.

    The parts add up to the order, or to all connections if there are fewer. A worker without a part gets the
    order too, with no connection: it replaces the last order there.
    """
    total = sum(open_connections)
    wanted = min(order.connections, total)
    seen = closed = 0
    for number in open_connections:
        # All parts so far, rounded, less the parts before: errors do not add up, so each part is within one.
        seen += number
        until = (2 * wanted * seen + total) // (2 * total) if total else 0
        yield order.share(until - closed)
        closed = until


def together(parts: Sequence[ShedProgress]) -> ShedProgress:
    """Return the progress of a relay from that of its workers; a worker that restarted has no order."""
    order = next((part.order for part in parts if part.order), "")
    return ShedProgress(order, sum(part.closed for part in parts), all(part.ended for part in parts))
