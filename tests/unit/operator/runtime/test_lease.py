"""Who leads, and until when: the Lease on an API server of the test, on a loop whose time jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, cast

import pytest

from support.faults.jumping import now, run_jumping
from wsedge_operator.errors import ConflictError, LeaseLostError, NotFoundError, api_error
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.kinds import Kind
from wsedge_operator.runtime.lease import Election


class Api:
    """One Lease. Each call takes `seconds`, half of them before it is carried out; `failures` come first."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.live: dict[str, Any] | None = None
        self.failures: Iterator[Exception] = iter(())
        self.times: list[float] = []
        self.holders: list[str] = []

    async def get(self, _kind: Kind, _namespace: str, name: str) -> dict[str, Any]:
        await self._begin()
        live = deepcopy(self.live)
        await asyncio.sleep(self.seconds / 2)
        if live is None:
            raise NotFoundError(f"GET {name}", 404, "NotFound", "")
        return live

    async def create(self, _kind: Kind, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._store(body, None)

    async def replace(self, _kind: Kind, _namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._store(body, body["metadata"]["resourceVersion"])

    async def _store(self, body: dict[str, Any], version: str | None) -> dict[str, Any]:
        await self._begin()
        if (self.live or {}).get("metadata", {}).get("resourceVersion") != version:
            raise ConflictError("PUT", 409, "Conflict", "changed")
        metadata = {**body["metadata"], "resourceVersion": str(int(version or 0) + 1)}
        self.live = deepcopy({**body, "metadata": metadata})
        self.holders.append(body["spec"]["holderIdentity"])
        stored = deepcopy(self.live)
        await asyncio.sleep(self.seconds / 2)
        return stored

    async def _begin(self) -> None:
        self.times.append(now())
        await asyncio.sleep(self.seconds / 2)
        if (failure := next(self.failures, None)) is not None:
            raise failure


def election(api: Api, identity: str = "one", seconds: float = 15) -> Election:
    return Election(cast("Client", api), "system", "wsedge", identity, seconds, monotonic=now)


async def lost_after(one: Election) -> tuple[float, str]:
    """Lead until the Lease is lost; return after how many seconds, and why."""
    begun = now()
    with pytest.raises(LeaseLostError) as lost:
        await one.renew_until_lost()
    return now() - begun, str(lost.value)


async def leads(one: Election, seconds: float) -> bool:
    """Return whether it leads, and may write, for so many seconds."""
    renewing = asyncio.create_task(one.renew_until_lost())
    for _ in range(int(seconds * 10)):
        await asyncio.sleep(0.1)
        if renewing.done():
            return False
        one.check()
    renewing.cancel()
    await asyncio.wait({renewing})
    return True


@pytest.mark.parametrize("seconds", [0.0, 1.0, 5.0])
def test_a_slow_api_server_does_not_end_the_leader(seconds: float) -> None:
    """With 5 s per call a leader of the default Lease leads on, and so does an operator that starts."""

    async def run() -> bool:
        api = Api(seconds)
        one = election(api)
        await one.acquire()
        return await leads(one, 600)

    assert run_jumping(run())


@pytest.mark.parametrize("seconds", [0.0, 1.0, 5.0])
def test_a_standby_leads_only_when_the_leader_has_stopped(seconds: float) -> None:
    """The leader's calls fail from some instant on: its fence falls before another acquires the Lease."""

    async def run() -> None:
        api = Api(seconds)
        one, two = election(api), election(api, "two")
        await one.acquire()
        waits = asyncio.create_task(two.acquire())
        assert await leads(one, 60)
        silent = Api(10**6)
        one.client = cast("Client", silent)
        last, _ = await lost_after(one)
        assert last <= 12
        with pytest.raises(LeaseLostError):
            one.check()
        assert not waits.done()
        stopped = now()
        await waits
        assert 0 < now() - stopped < 6 + 6 * seconds
        two.check()

    run_jumping(run())


def test_a_released_lease_is_acquired_within_a_second_or_two() -> None:
    """A standby reads the Lease once a second, and does not wait for an expiry."""

    async def run() -> None:
        api = Api(0.1)
        one, two = election(api), election(api, "two")
        await one.acquire()
        waits = asyncio.create_task(two.acquire())
        assert await leads(one, 20)
        await one.release()
        with pytest.raises(LeaseLostError):
            one.check()
        released = now()
        await waits
        assert now() - released < 1.5

    run_jumping(run())


def test_an_answer_that_is_late_gives_no_lease() -> None:
    """The answer to the acquisition arrives when another leads: the candidate does not lead."""

    async def run() -> None:
        api = Api()
        one, two = election(api), election(api, "two")
        api.seconds = 60
        late = asyncio.create_task(one.acquire())
        await asyncio.sleep(40)  # stored, not answered
        api.seconds = 0
        await two.acquire()
        assert await leads(two, 30)
        assert not late.done()
        with pytest.raises(LeaseLostError):
            one.check()
        late.cancel()
        await asyncio.wait({late})

    run_jumping(run())


def test_an_api_server_that_fails_is_asked_again_until_the_deadline() -> None:
    """A storm of 503 shorter than the deadline costs nothing; a longer one ends the leader in time."""

    async def run() -> None:
        api = Api(0.01)
        one = election(api)
        await one.acquire()
        begun = now()
        api.failures = iter([api_error("PUT", 503, {})] * 6)
        assert await leads(one, 60)
        api.failures = iter([api_error("PUT", 503, {})] * 1000)
        api.times.clear()
        seconds, why = await lost_after(one)
        assert seconds <= 12
        assert why == "Lease system/wsedge could not be renewed within 12 s"
        assert len(api.times) <= 12
        assert now() > begun

    run_jumping(run())


@pytest.mark.parametrize(("asked", "attempts"), [(4.0, 3), (2.0, 5), (3600.0, 2)])
def test_retry_after_is_honoured_as_long_as_the_lease_allows(asked: float, attempts: int) -> None:
    """The pause is as long as the API server asks, with a last attempt a second before the end."""

    async def run() -> None:
        api = Api()
        one = election(api)
        await one.acquire()
        api.failures = iter([api_error("PUT", 429, {}, asked)] * 100)
        api.times.clear()
        seconds, _ = await lost_after(one)
        assert seconds == pytest.approx(12, abs=0.1)
        assert len(api.times) == attempts

    run_jumping(run())


def test_a_leader_that_another_replaced_stops() -> None:
    """It reads another holder in the Lease."""

    async def run() -> None:
        api = Api()
        one = election(api)
        await one.acquire()
        assert api.live is not None
        api.live["spec"]["holderIdentity"] = "two"
        api.live["metadata"]["resourceVersion"] = "9"
        seconds, why = await lost_after(one)
        assert seconds <= 4
        assert why == "Lease system/wsedge is held by two"

    run_jumping(run())
