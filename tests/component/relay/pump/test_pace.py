"""limits.bytesPerSecond: a side that sends too fast is read later, and nothing is lost."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from support.relay.certificates import authority
from support.relay.running import DEADLINE, DOMAIN, on_pump_loop, origin, running
from wsedge_relay.config.material import Material

pytestmark = pytest.mark.usefixtures("each_form")

TLS = {"certificateFile": "tls.crt", "keyFile": "tls.key"}


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
@on_pump_loop
async def test_a_side_that_sends_too_fast_is_read_later(secure: bool) -> None:
    """Every byte arrives in order, no faster than the limit; the heartbeat closes nothing."""
    data = random.Random(2).randbytes(3 * 65536)
    options: dict[str, Any] = {"limits": {"bytesPerSecond": 65536}, "heartbeatSeconds": 1}
    if secure:
        pair = authority().issue(DOMAIN)
        options |= {"material": Material({("tls.crt", "tls.key"): pair}, {}), "tls": TLS}
    context = authority().client_context() if secure else None
    async with (
        origin(compression=None) as port,
        running(port, **options) as relay,
        relay.connect(compression=None, max_size=None, tls=context) as client,
    ):
        began = time.monotonic()
        await client.send(data)
        assert await client.recv() == data
        # A second's worth comes at once, the rest takes two seconds; the way back begins meanwhile.
        assert time.monotonic() - began > 1.9
        for side in (relay.counters.client, relay.counters.origin):
            assert side.throttled > 0
            assert side.dead == 0


@on_pump_loop
async def test_a_changed_pace_counts_for_open_connections() -> None:
    """A limit is set on an open connection, and lifted from one that waits."""
    data = b"x" * 65536
    async with (
        origin(compression=None) as port,
        running(port) as relay,
        relay.connect(compression=None, max_size=None) as client,
    ):
        relay.apply(limits={"bytesPerSecond": 1024})
        await client.send(data)
        await relay.until(lambda: relay.counters.client.throttled)
        relay.apply(limits={})
        assert await asyncio.wait_for(client.recv(), DEADLINE) == data
