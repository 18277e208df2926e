"""examples/video_meeting through relays: signals reach their peer alone, and the chat all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from cluster.examples.conftest import Start
from support.examples import ATTACK, RunningExample, errors_of, hear, on_a_phone, picture, say, until


@pytest.fixture(scope="module")
def meeting(start: Start) -> RunningExample:
    return start("video-meeting")


async def test_an_offer_reaches_the_addressed_peer_alone(meeting: RunningExample) -> None:
    """One of two others gets it, with the true sender; peers of other rooms cannot be addressed."""
    async with meeting.connect("/rooms/a") as one, meeting.connect("/rooms/elsewhere") as far:
        first, outside = (await hear(one, "you"))["you"], (await hear(far, "you"))["you"]
        async with meeting.connect("/rooms/a") as two, meeting.connect("/rooms/a") as three:
            second = await hear(two, "you")
            assert first in second["peers"]
            third = (await hear(three, "you"))["you"]
            await say(three, to=first, kind="offer", data="v=0", **{"from": second["you"]})
            assert await hear(one, "from") == {"from": third, "kind": "offer", "data": "v=0"}
            for wrong in (outside, third, "", 5):
                await say(three, to=wrong, kind="offer", data="v=0")
                assert "no such peer" in (await hear(three, "refused"))["refused"]
            await say(three, to=first, kind="eval", data="v=0")
            assert (await hear(three, "refused"))["refused"]
            await say(three, chat="hello", name="Three")
            # The first that the others hear after the offer: they have heard nothing of it.
            heard: list[dict[str, Any]] = []
            while not heard or "chat" not in heard[-1]:
                heard.append(await hear(two, ""))
            assert [each for each in heard if "from" in each] == []
        left = {(await hear(one, "left"))["left"] for _ in range(2)}
        assert left == {second["you"], third}


async def test_hostile_rooms_are_refused_and_full_ones_say_so(meeting: RunningExample) -> None:
    """Names with HTML or dots get an HTTP error; a ninth peer is told that the room is full."""
    for name in ("<script>", "a/../b", "A", "x" * 41, "%3Cimg%3E"):
        with pytest.raises(InvalidStatus):
            async with meeting.connect(f"/rooms/{name}"):
                pass
    peers = [await meeting.connect("/rooms/crowd") for _ in range(8)]
    for peer in peers:
        await hear(peer, "you")
    async with meeting.connect("/rooms/crowd") as ninth:
        assert (await hear(ninth, "full"))["full"]
    for peer in peers:
        await peer.close()


async def test_the_page_calls_a_peer_and_shows_its_chat_as_text(meeting: RunningExample) -> None:
    """It sends an offer to a peer that it finds, survives broken signals, and chats after a drain."""
    async with meeting.connect("/rooms/lobby") as peer:
        mine = (await hear(peer, "you"))["you"]
        async with meeting.page() as page:
            joined = (await hear(peer, "joined"))["joined"]
            offer = await hear(peer, "from")
            assert (offer["from"], offer["kind"]) == (joined, "offer")
            assert json.loads(offer["data"])["sdp"].startswith("v=0")
            for kind, data in (
                ("answer", "{"),
                ("answer", '{"type": "answer", "sdp": "x"}'),
                ("candidate", "5"),
            ):
                await say(peer, to=joined, kind=kind, data=data)
            await say(peer, chat=ATTACK, name="<b>Mallory</b>")
            await say(peer, chat="Can you see me?", name="Mira")
            await until(page, "document.querySelectorAll('#lines div').length === 2")
            shown = await page.evaluate("document.getElementById('lines').textContent")
            assert ATTACK in shown
            assert "<b>Mallory</b>" in shown
            assert await page.evaluate(f"document.querySelectorAll('[data-peer=\"{mine}\"]').length") == 1
            await picture(page, "video-meeting")
            await meeting.end_all_relays()
            await until(page, f"me !== '{joined}'")
            await page.evaluate("document.getElementById('text').value = 'still here'")
            await page.evaluate("document.getElementById('form').requestSubmit()")
            await until(page, "document.querySelectorAll('#lines div').length === 3")
            await on_a_phone(page)
            await picture(page, "video-meeting-phone")
            assert await page.evaluate("document.title") == "Video meeting"
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert errors_of(page) == []
