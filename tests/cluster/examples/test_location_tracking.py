"""examples/location_tracking through relays: the last known position, for holders of the link alone."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from cluster.examples.conftest import Start
from support.examples import RunningExample, errors_of, hear, on_a_phone, picture, say, until


@pytest.fixture(scope="module")
def location(start: Start) -> RunningExample:
    return start("location-tracking")


async def test_a_watcher_gets_the_last_position_and_not_where_the_owner_was(location: RunningExample) -> None:
    """A late watcher gets one position, the last; then each new one, and the end."""
    async with location.connect("/share") as owner:
        await say(owner, start=True)
        share = (await hear(owner, "share"))["share"]
        for step in range(3):
            await say(owner, lat=50 + step, lon=8.123456789)
        await say(owner, lat=95, lon=8)
        assert "lat must be -90 to 90" in (await hear(owner, "refused"))["refused"]
        async with location.connect(f"/watch/{share}") as watcher:
            seen = await hear(watcher, "lat")
            assert (seen["lat"], seen["lon"]) == (52.0, 8.12346)
            await say(watcher, lat=0, lon=0)
            assert (await hear(watcher, "refused"))["refused"] == "watchers only watch"
            await say(owner, stop=True)
            assert (await hear(watcher, "ended"))["ended"]


async def test_a_share_outlives_its_connection_and_belongs_to_its_key(
    location: RunningExample,
) -> None:
    """The last position stays for watchers; the key continues the share; the link's id is no key."""
    async with location.connect("/share") as owner:
        await say(owner, start=True)
        mine = await hear(owner, "share")
        await say(owner, lat=1, lon=2)
        async with location.connect(f"/watch/{mine['share']}") as watcher:
            await hear(watcher, "lat")
    async with location.connect(f"/watch/{mine['share']}") as watcher, location.connect("/share") as stranger:
        assert (await hear(watcher, "lat"))["lon"] == 2
        await say(stranger, key=mine["share"])
        assert (await hear(stranger, "refused"))["refused"] == "this share has ended"
        async with location.connect("/share") as owner:
            await say(owner, key=mine["key"])
            assert (await hear(owner, "share"))["share"] == mine["share"]
            await say(owner, lat=3, lon=4)
            assert (await hear(watcher, "lat"))["lat"] == 3


async def test_nobody_sees_a_share_without_its_link(location: RunningExample) -> None:
    """A guessed id ends at once, and other paths are refused by the relays."""
    async with location.connect("/watch/" + "a" * 22) as watcher:
        assert await hear(watcher, "ended")
        with pytest.raises(ConnectionClosedOK):
            await watcher.recv()
    for path in ("/watch/", "/shares", "/healthz"):
        with pytest.raises(InvalidStatus):
            async with location.connect(path):
                pass


async def test_the_page_shares_a_walk_that_another_page_watches(location: RunningExample) -> None:
    """The link of the sharing page shows its position in a watching page; stopping ends it."""
    async with location.page(live=False) as page:
        await page.evaluate("document.getElementById('walk').click()")
        await until(page, "document.getElementById('link').hash.length === 23 && trail.length > 4")
        link = await page.evaluate("document.getElementById('link').hash")
        await picture(page, "location-tracking")
        async with location.connect(f"/watch/{link[1:]}") as watcher:
            assert 31 < (await hear(watcher, "lat"))["lat"] < 32
            await on_a_phone(page)
            await picture(page, "location-tracking-phone")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await location.end_all_relays()
            await until(page, "document.getElementById('state').className !== 'live'")
            await until(page, "document.getElementById('state').className === 'live'")
        async with location.connect(f"/watch/{link[1:]}") as watcher:
            before = await hear(watcher, "lat")
            assert (await hear(watcher, "lat"))["id"] != before["id"]
            await page.evaluate("document.getElementById('stop').click()")
            assert (await hear(watcher, "ended"))["ended"]
        assert errors_of(page) == []
