"""examples/live_sports through relays: no spectator misses an event."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.examples.conftest import Start
from support.examples import Follower, RunningExample, errors_of, hear, on_a_phone, picture, say, until


@pytest.fixture(scope="module")
def sports(start: Start) -> RunningExample:
    return start("live-sports")


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [int(each["id"].split(".")[1]) for each in events if "id" in each]


async def test_no_event_is_missed_while_all_relays_drain(sports: RunningExample) -> None:
    """Spectators that resume have each event once and in order, and none begins anew."""
    spectators = [Follower(sports, "/matches/final") for _ in range(3)]
    async with spectators[0].running(), spectators[1].running(), spectators[2].running():
        for each in spectators:
            await each.wait_for(3)
        await sports.end_all_relays()
        for each in spectators:
            await each.wait_for_closes(1)
            await each.wait_for(len(each.events) + 4)
            assert each.closes[0] == 1001
            got = numbers(each.events)
            assert got == list(range(got[0], got[0] + len(got)))
            assert [event for event in each.events if "reset" in event] == each.events[:1]


async def test_a_late_spectator_gets_the_match_so_far_and_cannot_write(sports: RunningExample) -> None:
    """The first events are the kick-off with both teams; what a spectator sends is refused."""
    async with sports.connect("/matches/final") as late:
        kickoff = await hear(late, "kind")
        assert (kickoff["minute"], kickoff["text"], len(kickoff["teams"])) == (0, "Kick-off", 2)
        await say(late, kind="goal", team=0)
        assert (await hear(late, "refused"))["refused"] == "spectators only watch"


async def test_the_page_shows_the_match(sports: RunningExample) -> None:
    """Score, teams and events are shown, none is missed; the page reports no error."""
    async with sports.page() as page:
        await until(page, "document.querySelectorAll('#list li').length >= 6")
        assert await page.evaluate("document.getElementById('team0').textContent") == "Harbour City"
        assert " 0 missed" in await page.evaluate("document.getElementById('note').textContent")
        await picture(page, "live-sports")
        await on_a_phone(page)
        await picture(page, "live-sports-phone")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert errors_of(page) == []
