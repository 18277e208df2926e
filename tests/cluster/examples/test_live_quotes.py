"""examples/live_quotes through relays: a slow reader gets new prices, never old ones."""

from __future__ import annotations

import pytest

from cluster.examples.conftest import Start
from support.examples import RunningExample, errors_of, hear, on_a_phone, picture, say, until


@pytest.fixture(scope="module")
def quotes(start: Start) -> RunningExample:
    return start("live-quotes")


async def test_a_slow_reader_gets_current_prices_and_no_backlog(quotes: RunningExample) -> None:
    """While it does not acknowledge it gets nothing; then one batch with the newest price of each symbol."""
    async with quotes.connect("/quotes") as slow, quotes.connect("/quotes") as fast:
        first = await hear(slow, "batch")
        assert len(first["quotes"]) == 6  # a new reader gets all
        newest = 0
        seen: set[str] = set()
        while newest < max(quote["tick"] for quote in first["quotes"].values()) + 60 or len(seen) < 6:
            batch = await hear(fast, "batch")
            await say(fast, ack=batch["batch"])
            newest = max(quote["tick"] for quote in batch["quotes"].values())
            seen |= set(batch["quotes"]) if batch["batch"] > 1 else set()
        await say(slow, ack=first["batch"])
        second = await hear(slow, "batch")
        assert second["batch"] == first["batch"] + 1
        assert max(quote["tick"] for quote in second["quotes"].values()) >= newest
        assert len(second["quotes"]) == 6


async def test_a_false_acknowledgement_is_refused(quotes: RunningExample) -> None:
    """An acknowledgement of a batch that was not sent brings no second one."""
    async with quotes.connect("/quotes") as reader:
        first = await hear(reader, "batch")
        for wrong in (first["batch"] + 1, 0, True, "1", 1e400):
            await say(reader, ack=wrong)
            assert (await hear(reader, "refused"))["refused"]
        await say(reader, ack=first["batch"])
        assert (await hear(reader, "batch"))["batch"] == first["batch"] + 1


async def test_the_page_shows_prices_and_goes_on_after_a_drain(quotes: RunningExample) -> None:
    """All symbols move; after all relays have drained they move again. The page reports no error."""
    async with quotes.page() as page:
        batch = "Number(document.getElementById('note').textContent.match(/batch (\\d+)/)?.[1] ?? 0)"
        await until(page, f"{batch} > 30")
        assert await page.evaluate("document.querySelectorAll('.quote').length") == 6
        await picture(page, "live-quotes")
        await quotes.end_all_relays()
        await until(page, "document.getElementById('state').className !== 'live'")
        await until(page, f"document.getElementById('state').className === 'live' && {batch} < 30")
        await until(page, f"{batch} > 2")
        await on_a_phone(page)
        await picture(page, "live-quotes-phone")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert errors_of(page) == []
