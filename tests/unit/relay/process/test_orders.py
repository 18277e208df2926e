"""Orders between supervisor and worker, over a real pair of sockets in one loop."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wsedge_relay.errors import WorkerSilentError
from wsedge_relay.process.orders import Caller, carry_out, first_order

DEADLINE = 10.0


class Worker:
    """A worker's end: `echo` returns its details, `wait` answers once `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.done: list[str] = []

    async def echo(self, details: Any) -> Any:
        self.done.append("echo")
        return details

    async def wait(self, _: Any) -> str:
        await self.go.wait()
        self.done.append("wait")
        return "late"


class Pair:
    """A caller, and the task that carries out its orders."""

    def __init__(self, caller: Caller, worker: Worker, first: int, far: socket.socket) -> None:
        self.caller = caller
        self.worker = worker
        self.first = first
        self.reading = asyncio.create_task(caller.read())
        orders = {"echo": worker.echo, "wait": worker.wait}
        self.carrying = asyncio.create_task(carry_out(far, orders, done=first))


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Start a worker by its first order, as a supervisor does."""
    near, far = socket.socketpair()
    near.setblocking(False)
    caller = Caller(*await asyncio.open_unix_connection(sock=near))
    first = caller.send("start", {"number": 1})
    assert await asyncio.to_thread(first_order, far) == (first, {"number": 1})
    far.setblocking(False)
    pair = Pair(caller, Worker(), first, far)
    try:
        async with asyncio.timeout(DEADLINE):
            yield pair
    finally:
        caller.close()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(pair.reading, pair.carrying)


async def test_the_first_order_is_answered_when_the_worker_serves(pair: Pair) -> None:
    """Its answer is None, and says that the start succeeded."""
    assert await pair.caller.result_of(pair.first, seconds=DEADLINE) is None


@pytest.mark.parametrize("details", [None, 1.5, "text", ["a", {"b": None}], "x" * 100_000])
async def test_details_and_results_are_json_documents(pair: Pair, details: Any) -> None:
    """Of any length."""
    assert await pair.caller.call("echo", details, seconds=DEADLINE) == details


async def test_orders_are_carried_out_in_their_order(pair: Pair) -> None:
    """A later order waits for an earlier one."""
    waiting = asyncio.create_task(pair.caller.call("wait", seconds=DEADLINE))
    await asyncio.sleep(0)
    echoing = asyncio.create_task(pair.caller.call("echo", 1, seconds=DEADLINE))
    pair.worker.go.set()
    assert (await waiting, await echoing) == ("late", 1)
    assert pair.worker.done == ["wait", "echo"]


async def test_a_late_answer_is_dropped(pair: Pair) -> None:
    """The order is carried out all the same, and later answers reach their own orders."""
    with pytest.raises(WorkerSilentError, match="no answer within 0 s") as silent:
        await pair.caller.call("wait", seconds=0)
    assert not silent.value.has_ended
    pair.worker.go.set()
    assert await pair.caller.call("echo", 2, seconds=DEADLINE) == 2
    assert pair.worker.done == ["wait", "echo"]


async def test_the_end_of_the_worker_ends_orders_that_wait(pair: Pair) -> None:
    """Without waiting for their time limit."""
    waiting = asyncio.create_task(pair.caller.call("wait", seconds=3600))
    await asyncio.sleep(0)
    pair.carrying.cancel()
    with pytest.raises(WorkerSilentError, match="the worker has ended") as silent:
        await waiting
    assert silent.value.has_ended
    pair.carrying = asyncio.create_task(asyncio.sleep(0))


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">I", 9) + json.dumps([1]).encode()])
def test_a_supervisor_that_ends_within_the_first_order_is_an_error(sent: bytes) -> None:
    """The worker then ends without a traceback."""
    near, far = socket.socketpair()
    with far:
        with near:
            near.sendall(sent)
        with pytest.raises(ConnectionError, match="the supervisor has ended"):
            first_order(far)
