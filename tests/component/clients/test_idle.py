"""Idle clients while the relay pings them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.clients.conversation import websockets_origin
from support.clients.makes import MAKES
from support.clients.stage import Files, stage
from support.clients.transcripts import without_hop

NAME = "websockets"


@pytest.mark.parametrize("make", MAKES)
async def test_pings_of_the_relay_disturb_nobody(tmp_path: Path, make: str) -> None:
    """Client and origin answer at least two pings each, and their transcripts are as without a relay."""
    files = Files(tmp_path, (NAME,))
    async with (
        MAKES[make](files) as client,
        websockets_origin(files) as (heard, ports),
        stage(files, {NAME: [ports]}, heartbeatSeconds=3) as one,
    ):
        heard.go_on.set()
        direct = await client.patience(await one.url(NAME, "ws", relayed=False))
        heard_directly = await heard.said()

        heard.go_on.clear()
        talk = asyncio.create_task(client.patience(await one.url(NAME, "ws", relayed=True)))

        async def both_have_answered() -> bool:
            pongs = [await one.counted("pongs_total", side=side) for side in ("client", "origin")]
            return min(pongs) >= 2

        await one.until(both_have_answered)
        heard.go_on.set()
        assert without_hop(await talk) == without_hop(direct)
        assert without_hop(await heard.said()) == without_hop(heard_directly)
        assert await one.counted("dead_legs_total") == 0
