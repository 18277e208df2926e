"""Deadlines of reads, and turns."""

from __future__ import annotations

import asyncio

from wsedge_statistics.ledger.budget import READ_SECONDS, Stop, Turns, begin, current


def test_a_stop_is_due_at_its_deadline() -> None:
    """Until then it says how much time is left."""
    now = [100.0]
    stop = Stop(5, monotonic=lambda: now[0])
    assert (stop.left(), stop.due()) == (5.0, False)
    now[0] += 5
    assert (stop.left(), stop.due()) == (0.0, True)


def test_a_cancelled_stop_is_due_at_once() -> None:
    """Nobody waits any more."""
    stop = Stop(5)
    stop.cancel()
    assert (stop.left(), stop.due()) == (0.0, True)


async def test_the_stop_of_a_request_reaches_the_thread_that_reads() -> None:
    """Outside of requests there is a stop of READ_SECONDS."""
    stop = Stop(1)
    with begin(stop):
        assert await asyncio.to_thread(current) is stop
    assert current().seconds == READ_SECONDS


async def test_an_account_has_at_most_its_share_of_the_turns() -> None:
    """A third question of one account waits, while another account's is taken."""
    turns = Turns(most=3, each=2)
    release = asyncio.Event()
    begun: list[str] = []

    async def read(account: str) -> None:
        async with turns.of(account):
            begun.append(account)
            await release.wait()

    tasks = [asyncio.create_task(read(account)) for account in ("a", "a", "a", "b", "b")]
    for _ in range(5):
        await asyncio.sleep(0)
    assert begun == ["a", "a", "b"]
    release.set()
    await asyncio.gather(*tasks)
    assert sorted(begun) == ["a", "a", "a", "b", "b"]


async def test_accounts_without_reads_leave_nothing_behind() -> None:
    """The next read of an account has its whole share."""
    turns = Turns(most=1, each=1)
    for _ in range(2):
        async with turns.of(None):
            pass
    assert turns._shares == {}
