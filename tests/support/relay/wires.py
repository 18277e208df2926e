"""A wire and the socket at its other end, on the loop with the pump's selector."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from support.relay.running import PumpLoop
from wsedge_relay.transport.readiness import Readiness
from wsedge_relay.transport.wire import Wire


def readiness() -> Readiness:
    """Return the Readiness of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PumpLoop)
    return loop.pump_selector.readiness(loop)


@contextmanager
def pair(ready: Readiness) -> Iterator[tuple[Wire, socket.socket]]:
    """Yield a wire and the socket at its other end."""
    near, far = socket.socketpair()
    wire = Wire(near, ready)
    with far:
        yield wire, far
    wire.close()
