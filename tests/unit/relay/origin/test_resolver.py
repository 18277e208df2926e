"""Name look-ups: shared, short-lived, and kept over an outage of the name service."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from wsedge_relay.errors import OriginError
from wsedge_relay.origin.resolver import Resolver

AGAIN = socket.gaierror(socket.EAI_AGAIN, "try again")
GONE = socket.gaierror(socket.EAI_NONAME, "no such name")


class NameService:
    """What `Resolver` asks of a loop, answered as a test says; `now` is the loop's clock."""

    def __init__(self, *answers: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.answers = list(answers)
        self.asked = 0
        self.now = 100.0
        self.open = asyncio.Event()
        self.open.set()

    def time(self) -> float:
        return self.now

    def create_task(self, coroutine: Any) -> asyncio.Task[Any]:
        return self.loop.create_task(coroutine)

    async def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        await self.open.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answer]


async def find(resolver: Resolver, service: Any, host: str = "o") -> list[str]:
    """Return the addresses of a name."""
    return [address[0] for _, address in await resolver.find(host, 80, service)]


async def test_a_burst_asks_once() -> None:
    """Who comes while a name is looked up shares the answer; who comes in the same second too."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a", "b", "a"])
    service.open.clear()
    asking = [asyncio.create_task(find(resolver, service)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    service.open.set()
    assert await asyncio.gather(*asking[1:]) == [["a", "b"]] * 4
    service.now += 0.9
    assert await find(resolver, service) == ["a", "b"]
    assert service.asked == 1


async def test_answers_are_not_kept_for_long() -> None:
    """After a second the name is looked up anew; another name at once."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], ["b"], ["c"])
    assert await find(resolver, service) == ["a"]
    assert await find(resolver, service, "other") == ["b"]
    service.now += 1
    assert await find(resolver, service) == ["c"]


async def test_an_outage_keeps_the_last_answer_for_a_while() -> None:
    """Five minutes; then the failure is told."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], AGAIN, AGAIN)
    await find(resolver, service)
    service.now += 299
    assert await find(resolver, service) == ["a"]
    service.now += 2
    with pytest.raises(OriginError, match=r"o: .*try again"):
        await find(resolver, service)


async def test_a_slow_name_service_does_not_hold_up() -> None:
    """With an old answer at hand a new one is waited for a second, and used when it comes."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], ["b"])
    await find(resolver, service)
    service.open.clear()
    service.now += 2
    assert await find(resolver, service) == ["a"]
    service.open.set()
    assert await find(resolver, service) == ["b"]
    assert service.asked == 2


@pytest.mark.parametrize("gone", [GONE, []], ids=["no such name", "no address"])
async def test_a_name_that_is_gone_is_gone(gone: Any) -> None:
    """The name service's word counts at once."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], gone)
    await find(resolver, service)
    service.now += 2
    with pytest.raises(OriginError) as failed:
        await find(resolver, service)
    assert failed.value.reason == "unresolvable"


async def test_a_name_that_was_gone_does_not_come_back_by_an_outage() -> None:
    """What was known before it was gone is no answer any more."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], GONE, AGAIN)
    await find(resolver, service)
    for _ in range(2):
        service.now += 2
        with pytest.raises(OriginError):
            await find(resolver, service)


async def test_other_origins_begin_anew() -> None:
    """What was known is forgotten."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], ["b"])
    await find(resolver, service)
    resolver.forget()
    assert await find(resolver, service) == ["b"]
