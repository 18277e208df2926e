"""Who is let in, and where clients come from, by what real peers see."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from support_relay.running import on_pump_loop, origin, running

PAGE = "https://app.example.com"


@on_pump_loop
async def test_only_named_pages_may_connect() -> None:
    """Another page gets 403, counted by its reason; a client that is no browser comes in."""
    allowed = {"allowedOrigins": [PAGE, "https://*.example.org"]}
    async with origin() as port, running(port, clients=allowed) as relay:
        for page in (PAGE, "https://a.example.org", None):
            async with relay.connect(origin=page):
                pass
        with pytest.raises(InvalidStatus) as refused:
            await relay.connect(origin="https://evil.example.com")
        assert refused.value.response.status_code == 403
        assert refused.value.response.body == b"Pages of this origin may not connect here.\n"
        assert relay.counters.refusals() == {"allowedOrigins": 1}
        assert relay.totals.codes == {101: 3, 403: 1}


@on_pump_loop
async def test_a_change_of_the_pages_counts_for_new_connections() -> None:
    """The next handshake meets it; open connections live on."""
    async with origin() as port, running(port) as relay, relay.connect(origin=PAGE) as client:
        relay.apply(clients={"allowedOrigins": ["https://other.example.com"]})
        with pytest.raises(InvalidStatus):
            await relay.connect(origin=PAGE)
        await client.send("still here")
        assert await client.recv() == "still here"
