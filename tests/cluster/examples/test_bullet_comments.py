"""examples/bullet_comments through relays: order, resumption, limits, the page."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake

from cluster.examples.conftest import Start
from support.examples import (
    ATTACK,
    Follower,
    RunningExample,
    errors_of,
    hear,
    on_a_phone,
    picture,
    say,
    until,
)
from wsedge_devcluster.main import main
from wsedge_devcluster.quickstart import example


@pytest.fixture(scope="module")
def comments(start: Start) -> RunningExample:
    return start("bullet-comments")


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [each["text"] for each in events if "text" in each]


async def test_every_comment_reaches_all_viewers_in_order(comments: RunningExample) -> None:
    """Three writers comment at once: all viewers get all comments, in one order."""
    viewers = [Follower(comments, "/videos/order") for _ in range(3)]
    async with AsyncExitStack() as stack:
        for viewer in viewers:
            await stack.enter_async_context(viewer.running())
        writers = [await stack.enter_async_context(comments.connect("/videos/order")) for _ in range(3)]
        await asyncio.gather(
            *(say(each, text=f"{n}.{i}", colour=0) for n, each in enumerate(writers) for i in range(4))
        )
        seen = [texts(await viewer.wait_for(1 + 12)) for viewer in viewers]
    assert sorted(seen[0]) == sorted(f"{n}.{i}" for n in range(3) for i in range(4))
    assert seen[1:] == seen[:2]


async def test_what_is_no_comment_is_refused_and_reaches_nobody(comments: RunningExample) -> None:
    """Wrong types, sizes and rates get a reason; the connection stays open, and the next comment arrives."""
    async with comments.connect("/videos/hostile") as viewer:
        for hostile in ("[]", "{", '{"text": 5, "colour": 0}', '{"text": "x", "colour": 1e999}'):
            await viewer.send(hostile)
            assert (await hear(viewer, "refused"))["refused"]
        await say(viewer, text="x" * 81, colour=0)
        assert "1 to 80" in (await hear(viewer, "refused"))["refused"]
        for _ in range(3):
            await say(viewer, text="flood", colour=0)
        assert "too fast" in (await hear(viewer, "refused"))["refused"]
    async with comments.connect("/videos/hostile") as viewer:
        await say(viewer, text="after all", colour=0)
        assert "x" * 81 not in (await hear(viewer, "text"))["text"]


async def test_the_page_shows_comments_and_runs_none(comments: RunningExample) -> None:
    """A comment with HTML and a script is shown as text; the page reports no error, and can comment."""
    async with comments.page() as page, comments.connect("/videos/launch") as viewer:
        for colour, text in enumerate([ATTACK[:80], "what a launch!", "哈哈哈哈 666", "first!"]):
            await say(viewer, text=text, colour=colour)
        await until(page, "document.querySelectorAll('#list li').length >= 4")
        shown = "[...document.querySelectorAll('#list li')].map((each) => each.textContent)"
        assert ATTACK[:80] in await page.evaluate(shown)
        await page.evaluate(
            "document.getElementById('text').value = 'from the page', document.forms[0].requestSubmit()"
        )
        await until(page, f"{shown}.includes('from the page')")
        await page.evaluate("new Promise((done) => setTimeout(done, 1500))")
        await picture(page, "bullet-comments")
        await on_a_phone(page)
        await picture(page, "bullet-comments-phone")
        assert await page.evaluate("document.title") == "Bullet comments"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert errors_of(page) == []


async def test_once_sees_that_the_page_is_served_at_the_url_that_it_prints(comments: RunningExample) -> None:
    """The page comes through a port of 127.0.0.1, the relays and the origin, under the domain's name."""
    said: list[str] = []
    await example.show(comments.cluster, comments.name, comments.address, said.append, port=0, once=True)
    (line,) = said
    assert line.startswith("the page is served at http://bullet-comments.localhost:")


def test_an_unknown_name_is_refused_before_a_cluster_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the examples that there are."""
    assert main(["example", "../quickstart", "--once"]) == 1
    assert "there are bullet-comments" in capsys.readouterr().err


async def test_no_comment_is_lost_while_all_relays_drain(comments: RunningExample) -> None:
    """Comments of a writer beside the drain: after 1001 a viewer resumes, and has each once and in order."""
    viewer = Follower(comments, "/videos/drain")
    async with viewer.running():
        async with comments.connect("/videos/drain") as client:
            await say(client, text="before", colour=0)
            await viewer.wait_for(2)
            await comments.end_all_relays()
            await viewer.wait_for_closes(1)
        written = ["before"]
        async with asyncio.timeout(60):
            while len(written) < 4:
                try:
                    async with comments.connect("/videos/drain") as client:
                        await say(client, text=f"{len(written)}", colour=0)
                        await hear(client, "text")
                        written.append(f"{len(written)}")
                except (OSError, InvalidHandshake):  # no relay is ready
                    await asyncio.sleep(0.1)
        assert texts(await viewer.wait_for(1 + len(written))) == written
    assert viewer.closes[0] == 1001
