"""How often a failing API server is called, on a loop whose time jumps."""

from __future__ import annotations

import asyncio
import itertools

from structlog.testing import capture_logs

from support.faults.jumping import now, run_jumping
from wsedge_operator.kube.breaker import LONGEST_PAUSE_SECONDS, Breaker


def breaker() -> Breaker:
    return Breaker(random_unit=lambda: 1.0, monotonic=now)


async def fail(breaker: Breaker, retry_after: float | None = None) -> float:
    """Make a call that fails; return when it was made."""
    admitted = await breaker.admit()
    breaker.failed(admitted, retry_after, "503")
    return now()


def test_pauses_double_up_to_five_seconds() -> None:
    """Without a failure nothing waits; a success ends the pauses."""

    async def run() -> None:
        made, begun = breaker(), now()
        await made.admit()
        assert now() == begun
        times = [await fail(made) for _ in range(10)]
        pauses = [round(late - early, 6) for early, late in itertools.pairwise(times)]
        assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[LONGEST_PAUSE_SECONDS] * 3]
        made.succeeded(await made.admit())
        begun = now()
        await made.admit()
        assert now() == begun

    run_jumping(run())


def test_many_callers_take_turns() -> None:
    """Of 200 callers of a server that fails, one calls per pause; all go on once one succeeds."""

    async def run() -> None:
        made, times = breaker(), list[float]()
        is_well = False

        async def caller() -> None:
            while True:
                admitted = await made.admit()
                times.append(now())
                await asyncio.sleep(0.01)
                if is_well:
                    made.succeeded(admitted)
                    return
                made.failed(admitted, None, "503")

        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                group.create_task(caller())
            await asyncio.sleep(0.5)
            first = len(times)  # they were under way together
            await asyncio.sleep(600)
            assert len(times) - first <= 600 / LONGEST_PAUSE_SECONDS + 10
            is_well, ends = True, now() + LONGEST_PAUSE_SECONDS + 0.1
        assert now() <= ends

    run_jumping(run())


def test_calls_that_fail_together_are_one_failure() -> None:
    """The pause is the first one, and the success of an older call does not end it."""

    async def run() -> None:
        made = breaker()
        older = [await made.admit() for _ in range(8)]
        for admitted in older[1:]:
            made.failed(admitted, None, "503")
        made.succeeded(older[0])
        begun = now()
        await made.admit()
        assert round(now() - begun, 6) == 0.1

    run_jumping(run())


def test_a_call_that_hangs_does_not_stop_the_others() -> None:
    """While one call gets no answer, the next one is made after the pause."""

    async def run() -> None:
        made = breaker()
        await fail(made)
        await made.admit()  # hangs
        begun = now()
        made.succeeded(await made.admit())
        assert round(now() - begun, 6) == 0.1
        await made.admit()
        assert round(now() - begun, 6) == 0.1

    run_jumping(run())


def test_retry_after_is_honoured_up_to_a_minute() -> None:
    """The longest of what several answers ask for counts."""

    async def run() -> None:
        for asked, waited in {0.0: 0.1, 7.0: 7.0, 86400.0: 60.0}.items():
            made = breaker()
            first, second = await made.admit(), await made.admit()
            made.failed(first, asked, "429")
            made.failed(second, 0.05, "429")
            begun = now()
            await made.admit()
            assert round(now() - begun, 6) == waited

    run_jumping(run())


def test_an_outage_is_logged_once() -> None:
    """One failure is not logged, as of a webhook; the fourth in a row is, and the end."""

    async def run() -> list[str]:
        made = breaker()
        with capture_logs() as lines:
            await fail(made)
            made.succeeded(await made.admit())
            for _ in range(20):
                await fail(made)
            made.succeeded(await made.admit())
        return [line["event"] for line in lines]

    assert run_jumping(run()) == ["API server fails", "API server answers again"]
