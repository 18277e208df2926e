"""Name resolution: shared, cached for a second, and retained over an outage of the name server."""

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
    """The part of a loop that `Resolver` uses, with answers of the test; `now` is the loop's clock."""

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
    """Connections during a resolution, and in the second after it, share the answer."""
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
    """After a second the name is resolved again; another name is resolved at once."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], ["b"], ["c"])
    assert await find(resolver, service) == ["a"]
    assert await find(resolver, service, "other") == ["b"]
    service.now += 1
    assert await find(resolver, service) == ["c"]


async def test_an_outage_keeps_the_last_answer_for_a_while() -> None:
    """The last answer is used for five minutes; then the failure is reported."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], AGAIN, AGAIN)
    await find(resolver, service)
    service.now += 299
    assert await find(resolver, service) == ["a"]
    service.now += 2
    with pytest.raises(OriginError, match=r"o: .*try again"):
        await find(resolver, service)


async def test_a_slow_name_service_does_not_hold_up() -> None:
    """With an old answer the resolver waits for a new one for a second only, and uses it once it arrives."""
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
    """The answer that a name does not exist applies at once."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], gone)
    await find(resolver, service)
    service.now += 2
    with pytest.raises(OriginError) as failed:
        await find(resolver, service)
    assert failed.value.reason == "unresolvable"


async def test_a_name_that_was_gone_does_not_come_back_by_an_outage() -> None:
    """Addresses from before the name was removed are not used again."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], GONE, AGAIN)
    await find(resolver, service)
    for _ in range(2):
        service.now += 2
        with pytest.raises(OriginError):
            await find(resolver, service)


async def test_other_origins_begin_anew() -> None:
    """Cached answers are dropped."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"], ["b"])
    await find(resolver, service)
    resolver.forget()
    assert await find(resolver, service) == ["b"]


async def test_fresh_addresses_need_no_task() -> None:
    """A handshake reads them without a wait; an answer that is a second old is not fresh."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"])
    assert resolver.fresh("o", 80, service.now) is None
    await find(resolver, service)
    fresh = resolver.fresh("o", 80, service.now + 0.9)
    assert fresh is not None
    assert [address for _, address in fresh] == [("a", 80)]
    assert resolver.fresh("o", 81, service.now) is None
    assert resolver.fresh("o", 80, service.now + 1) is None


async def test_a_cancelled_look_up_is_forgotten() -> None:
    """At the end of the loop all tasks are cancelled; the next caller sends a query of its own."""
    resolver, service = Resolver(fresh_seconds=1), NameService(["a"])
    service.open.clear()
    asking = asyncio.create_task(find(resolver, service))
    await asyncio.sleep(0)
    (lookup,) = asyncio.all_tasks() - {asking, asyncio.current_task()}
    lookup.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    service.open.set()
    assert await find(resolver, service) == ["a"]
