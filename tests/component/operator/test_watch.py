"""A kind is followed through ends, silence and gaps of its watch, against a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from wsedge_operator.errors import ApiError, ForbiddenError, NotFoundError
from wsedge_operator.kube.access import Access
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.connection import Connection
from wsedge_operator.kube.kinds import POD, Kind
from wsedge_operator.kube.watch import Follower, Grace

Stream = Callable[[web.StreamResponse], Awaitable[None]]


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "team-a", "uid": name, "resourceVersion": str(version)}}


def event(kind: str, live: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": live}).encode() + b"\n"


class Api:
    """An API server with one page of pods; its watches are given, and a last one is silent."""

    def __init__(self, *streams: bytes | int) -> None:
        self.streams = list(streams)
        self.asked: list[str] = []
        self.restarts: list[str] = []
        self._changed, self._over = asyncio.Event(), asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self._changed.set()
        if "watch" not in request.query:
            self.asked.append("list")
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [pod("a", 4)]})
        self.asked.append(f"watch {request.query['resourceVersion']}")
        if not self.streams:
            await self._over.wait()
            return web.Response(status=503)
        stream = self.streams.pop(0)
        if isinstance(stream, int):
            return web.json_response({"code": stream, "message": "no"}, status=stream)
        response = web.StreamResponse()
        await response.prepare(request)
        # In pieces that are no lines.
        for start in range(0, len(stream), 50):
            await response.write(stream[start : start + 50])
        return response

    @asynccontextmanager
    async def following(
        self, *, grace: Grace | None = None
    ) -> AsyncIterator[tuple[list[tuple[bool, str]], asyncio.Task[None]]]:
        """Follow pods; yield what was received (whether deleted, name), and the follower."""
        app = web.Application()
        app.router.add_route("GET", "/{path:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        received: list[tuple[bool, str]] = []

        def receive(kind: Kind, deleted: bool, live: dict[str, Any]) -> None:
            received.append((deleted, live["metadata"]["name"]))

        port = runner.addresses[0][1]
        async with Client(Access(Connection(f"http://127.0.0.1:{port}")), call_seconds=5) as client:

            async def lister(kind: Kind, namespace: str | None) -> str:
                listed, version = await client.list(kind, namespace)
                for live in listed:
                    receive(kind, False, live)
                return version

            follower = Follower(
                client,
                POD,
                "team-a",
                lister,
                receive,
                grace=grace or Grace(),
                restarted=lambda kind, why: self.restarts.append(f"{kind.kind} {why}"),
            )
            task = asyncio.create_task(follower.run())
            try:
                yield received, task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                self._over.set()
                await runner.cleanup()

    async def until(self, number: int) -> list[str]:
        async with asyncio.timeout(30):
            while len(self.asked) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.asked


async def test_a_watch_that_ends_goes_on_at_its_last_event() -> None:
    """A bookmark counts as the last version, and nothing is listed again."""
    first = event("ADDED", pod("b", 6)) + event("DELETED", pod("a", 7))
    second = event("BOOKMARK", {"metadata": {"resourceVersion": "90"}})
    api = Api(first, second)
    async with api.following() as (received, _):
        assert await api.until(4) == ["list", "watch 5", "watch 7", "watch 90"]
        assert received == [(False, "a"), (False, "b"), (True, "a")]
        assert api.restarts == ["Pod ended", "Pod ended"]


@pytest.mark.parametrize(
    "gone",
    [410, event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})],
    ids=["as a status", "as an event"],
)
async def test_a_version_that_is_too_old_is_listed_again(gone: bytes | int) -> None:
    """410 Gone: what was missed is in another list."""
    api = Api(event("ADDED", pod("b", 6)), gone)
    async with api.following() as (received, _):
        assert await api.until(5) == ["list", "watch 5", "watch 6", "list", "watch 5"]
        assert received == [(False, "a"), (False, "b"), (False, "a")]
        assert api.restarts == ["Pod ended", "Pod expired"]


@pytest.mark.parametrize(
    "broken",
    [500, 429, 401, b"no JSON\n", event("ERROR", {"code": 500, "message": "etcd"}), b'{"type": "ADDED"'],
    ids=["500", "429", "401", "no JSON", "an error event", "half an event"],
)
async def test_a_failure_is_repeated_from_the_last_version(broken: bytes | int) -> None:
    """Nothing is lost, and nothing is listed again."""
    api = Api(event("ADDED", pod("b", 6)), broken, event("ADDED", pod("c", 8)))
    async with api.following() as (received, _):
        assert await api.until(5) == ["list", "watch 5", "watch 6", "watch 6", "watch 8"]
        assert received == [(False, "a"), (False, "b"), (False, "c")]
        # A stream that is cut within an event ended, as far as HTTP tells.
        why = "ended" if broken == b'{"type": "ADDED"' else "failed"
        assert api.restarts == ["Pod ended", f"Pod {why}", "Pod ended"]


@pytest.mark.parametrize(("status", "error"), [(403, ForbiddenError), (404, NotFoundError)])
async def test_a_right_or_a_kind_that_is_missing_ends_it(status: int, error: type[ApiError]) -> None:
    """The reader of the namespace reports it, and begins anew when the namespace can be read."""
    api = Api(status)
    async with api.following(grace=Grace(0)) as (_, task):
        with pytest.raises(error):
            await task
    assert api.asked == ["list", "watch 5"]


async def test_a_right_that_is_missing_for_a_moment_costs_no_list() -> None:
    """An API server that just started refuses every call until its authorizer has read the roles."""
    api = Api(event("ADDED", pod("b", 6)), 403, 403, event("ADDED", pod("c", 8)))
    async with api.following() as (received, _):
        assert await api.until(6) == ["list", "watch 5", "watch 6", "watch 6", "watch 6", "watch 8"]
        assert received == [(False, "a"), (False, "b"), (False, "c")]


@pytest.mark.parametrize(
    "between", [event("ADDED", pod("b", 6)), 500], ids=["a stream that was served", "another failure"]
)
async def test_only_refusals_in_a_row_count(between: bytes | int) -> None:
    """A right is missing after a time of nothing but refusals."""
    times = iter((0.0, 9.0, 20.0, 29.0, 30.0))
    grace = Grace(10.0, lambda: next(times))
    api = Api(403, 403, between, 403, 403, 403)
    async with api.following(grace=grace) as (_, task):
        with pytest.raises(ForbiddenError):
            await task
    assert api.asked == ["list", *["watch 5"] * 3, *[f"watch {6 if isinstance(between, bytes) else 5}"] * 3]
