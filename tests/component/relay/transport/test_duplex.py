"""A socket that one coroutine reads while another writes."""

from __future__ import annotations

import asyncio

from support.relay.running import DEADLINE, on_pump_loop
from support.relay.wires import pair, readiness
from wsedge_relay.transport.duplex import Duplex
from wsedge_relay.transport.sockets import TLS_RECORD_BYTES

READS = 10


@on_pump_loop
async def test_a_peer_that_always_has_bytes_leaves_turns_to_others() -> None:
    """A coroutine that finds bytes at each read lets the loop run after few of them."""
    ready = readiness()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with pair(ready) as (wire, far):
        far.setblocking(True)
        far.sendall(bytes(READS * TLS_RECORD_BYTES))
        duplex = Duplex(wire, ready)
        counting = asyncio.create_task(count_turns())
        seen = []
        async with asyncio.timeout(DEADLINE):
            while wire.received < READS * TLS_RECORD_BYTES:
                await duplex.read(DEADLINE)
                seen.append(turns)
        counting.cancel()
    assert len(seen) == READS
    assert max(seen.count(turn) for turn in seen) <= 4
