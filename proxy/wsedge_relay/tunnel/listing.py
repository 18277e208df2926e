"""List open tunnels in pages, and each page in slices: a relay with many tunnels serves on meanwhile.

A tunnel's number rises with each tunnel of a process. A page has the lowest numbers above that of the page
before, so a tunnel that lives as long as a listing is in it exactly once, whatever opens and ends meanwhile.
No state is kept between pages, and none per tunnel: who lists without end costs its own CPU time alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from wsedge_relay.contract import MOST_LISTED_CONNECTIONS
from wsedge_relay.pump.leg import Leg
from wsedge_relay.transport.sockets import round_trip_seconds
from wsedge_relay.tunnel.tunnel import GONE, OPEN, Tunnel

_SLICE: Final = 2000  # tunnels; a slice takes about a millisecond
_DESCRIBED: Final = 200  # tunnels; each has two system calls
_MICROSECONDS: Final = 6


async def page_of(tunnels: Iterable[Tunnel], *, domain: str | None, after: int, limit: int) -> list[Tunnel]:
    """Return up to `limit` tunnels of `domain` (None: of all) with numbers above `after`, in their order."""
    lowest: list[Tunnel] = []
    limit = min(limit, MOST_LISTED_CONNECTIONS)
    bound: float = float("inf")
    copied = iter(list(tunnels))  # a set must not change while it is iterated; to copy it costs a few ns each
    while piece := list(islice(copied, _SLICE)):
        found = [
            tunnel
            for tunnel in piece
            if after < tunnel.number < bound and (domain is None or tunnel.key.domain == domain)
        ]
        if found:
            lowest = sorted(lowest + found, key=_number_of)[:limit]
            if len(lowest) == limit:
                bound = lowest[-1].number
        await asyncio.sleep(0)
    return lowest


async def described(tunnels: Iterable[Tunnel], *, epoch: str) -> list[dict[str, Any]]:
    """Return the facts of tunnels, without those that end meanwhile; in slices too."""
    loop = asyncio.get_running_loop()
    listed = []
    remaining = iter(tunnels)
    while piece := list(islice(remaining, _DESCRIBED)):
        now, wall = loop.time(), time.time()
        listed += [facts_of(one, epoch=epoch, now=now, wall=wall) for one in piece]
        await asyncio.sleep(0)
    return [facts for facts in listed if facts is not None]


def facts_of(tunnel: Tunnel, *, epoch: str, now: float, wall: float) -> dict[str, Any] | None:
    """Return the facts of a tunnel as `contract.OpenConnection` names them; None for one that has ended.

    `now` is the loop's time, `wall` the same instant as Unix time.
    """
    if tunnel.phase == GONE:
        return None
    sent, received, sent_messages, received_messages, _, _ = tunnel.counts()
    since = datetime.fromtimestamp(wall - (now - tunnel.began), UTC)
    return {
        "id": f"{epoch}-{tunnel.number}",
        "domain": tunnel.key.domain,
        "client": tunnel.address,
        "origin": tunnel.target.name,
        "since": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "http2": tunnel.session is not None,
        "closing": tunnel.phase != OPEN,
        "sentBytes": sent,
        "receivedBytes": received,
        "sentMessages": sent_messages,
        "receivedMessages": received_messages,
        "clientRttSeconds": _round_trip(tunnel.client),
        "originRttSeconds": _round_trip(tunnel.origin),
    }


def find(tunnels: Iterable[Tunnel], number: int) -> Tunnel | None:
    """Return the open tunnel with this number, or None."""
    return next((tunnel for tunnel in tunnels if tunnel.number == number and tunnel.phase == OPEN), None)


def _number_of(tunnel: Tunnel) -> int:
    return tunnel.number


def _round_trip(leg: Leg) -> float | None:
    seconds = None if leg.dead else round_trip_seconds(leg.fd)
    return None if seconds is None else round(seconds, _MICROSECONDS)
