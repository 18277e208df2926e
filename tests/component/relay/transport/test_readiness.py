"""Coroutines that wait for sockets without a task, or become a task."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Coroutine
from typing import Any

import pytest

from support.relay.running import DEADLINE, on_pump_loop, reserved
from support.relay.wires import pair, readiness
from wsedge_relay.transport.readiness import Fiber, Readiness
from wsedge_relay.transport.wire import Wire


class Run:
    """A started fiber, and its end."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], ready: Readiness) -> None:
        self.has_ended = False
        self.fault: BaseException | None = None
        self.fiber = Fiber(coroutine, ready, self._ended)
        self.fiber.step()

    def _ended(self, fiber: Fiber, fault: BaseException | None) -> None:
        assert fiber is self.fiber
        self.has_ended, self.fault = True, fault

    async def end(self) -> BaseException | None:
        """Wait for the fiber's end; return its exception."""
        if not self.has_ended:
            await asyncio.wait_for(self.fiber.wait(), DEADLINE)
        return self.fault


async def reads(wire: Wire, got: list[bytes]) -> None:
    """Read once."""
    got.append(await wire.read())


@on_pump_loop
async def test_what_is_there_is_read_at_once() -> None:
    """A fiber that does not have to wait has ended when `step` returns."""
    got: list[bytes] = []
    with pair(readiness()) as (wire, far):
        far.send(b"x")
        run = Run(reads(wire, got), readiness())
        assert (run.has_ended, run.fault, got) == (True, None, [b"x"])


@on_pump_loop
async def test_a_fiber_goes_on_when_its_socket_is_ready() -> None:
    """Without a task."""
    got: list[bytes] = []
    with pair(readiness()) as (wire, far):
        run = Run(reads(wire, got), readiness())
        assert not run.has_ended
        far.send(b"x")
        assert await run.end() is None
        assert got == [b"x"]
        assert run.fiber.task is None


@on_pump_loop
async def test_a_task_may_wait_for_a_wire() -> None:
    """A task that also uses asyncio's own waits."""
    got: list[bytes] = []
    with pair(readiness()) as (wire, far):
        reading = asyncio.create_task(reads(wire, got))
        await asyncio.sleep(0)
        far.send(b"x")
        await asyncio.wait_for(reading, DEADLINE)
        assert got == [b"x"]


@on_pump_loop
async def test_a_fiber_can_become_a_task() -> None:
    """As a task it may wait for anything, also for wires."""
    got: list[bytes] = []
    ready = readiness()

    async def both(wire: Wire) -> None:
        got.append(await wire.read())
        await ready.in_task()
        await asyncio.sleep(0)
        assert asyncio.current_task() is not None
        await ready.in_task()
        got.append(await wire.read())

    with pair(ready) as (wire, far):
        run = Run(both(wire), ready)
        far.send(b"x")
        while run.fiber.task is None:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0)
        far.send(b"y")
        assert await run.end() is None
        assert got == [b"x", b"y"]


@pytest.mark.parametrize("in_task", [False, True])
@on_pump_loop
async def test_a_wait_ends_when_its_time_is_up(in_task: bool) -> None:
    """The limit belongs to the wire, over all waits on it."""
    ready = readiness()

    async def waits(wire: Wire) -> None:
        if in_task:
            await ready.in_task()
        wire.limit(0.05)
        await wire.read()

    with pair(ready) as (wire, _), pair(ready) as (patient, _):
        patient.limit(60)
        other = Run(reads(patient, []), ready)
        assert isinstance(await Run(waits(wire), ready).end(), TimeoutError)
        assert not other.has_ended
        other.fiber.cancel()


@pytest.mark.parametrize("in_task", [False, True])
@on_pump_loop
async def test_a_cancelled_fiber_cleans_up(in_task: bool) -> None:
    """The exception is raised at its wait."""
    ready = readiness()
    cleaned: list[bool] = []

    async def waits(wire: Wire) -> None:
        try:
            if in_task:
                await ready.in_task()
            await wire.read()
        finally:
            cleaned.append(True)

    with pair(ready) as (wire, _):
        run = Run(waits(wire), ready)
        await asyncio.sleep(0)
        run.fiber.cancel()
        assert isinstance(await run.end(), asyncio.CancelledError)
        assert cleaned == [True]


@pytest.mark.parametrize("in_task", [False, True])
@on_pump_loop
async def test_a_fault_is_told_and_nobody_else_suffers(in_task: bool) -> None:
    """`ended` gets the exception; the loop and other fibers continue."""
    ready = readiness()
    got: list[bytes] = []

    async def breaks(wire: Wire) -> None:
        if in_task:
            await ready.in_task()
        await wire.read()
        raise ZeroDivisionError

    with pair(ready) as (first, far_first), pair(ready) as (second, far_second):
        broken, sound = Run(breaks(first), ready), Run(reads(second, got), ready)
        far_first.send(b"x")
        far_second.send(b"y")
        assert isinstance(await broken.end(), ZeroDivisionError)
        assert await sound.end() is None
        assert got == [b"y"]


@on_pump_loop
async def test_what_nobody_waits_for_leaves_the_epoll() -> None:
    """Otherwise epoll would report the descriptor without end."""
    ready = readiness()
    got: list[bytes] = []
    with pair(ready) as (wire, far):
        run = Run(reads(wire, got), ready)
        far.send(b"x")
        await run.end()
        assert list(ready.masks) == [wire.sock.fileno()]
        far.send(b"y")
        async with asyncio.timeout(DEADLINE):
            while ready.masks:  # noqa: ASYNC110  epoll tells nobody
                await asyncio.sleep(0)
        again = Run(reads(wire, got), ready)
        assert await again.end() is None
        assert got == [b"x", b"y"]


@on_pump_loop
async def test_a_closed_wire_closes_nothing_of_its_successor() -> None:
    """The number of its descriptor may belong to another socket by then."""
    ready = readiness()
    got: list[bytes] = []
    with pair(ready) as (first, _):
        first.close()
        with pair(ready) as (second, far):
            run = Run(reads(second, got), ready)
            first.close()
            far.send(b"x")
            assert await run.end() is None
            assert got == [b"x"]


@on_pump_loop
async def test_connections_come_about_or_say_why_not() -> None:
    """Within the limit, with the system's error."""
    ready = readiness()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as last:
        wire = Wire(socket.socket(), ready)
        await wire.connect(full.getsockname())
        assert wire.sock.getpeername() == full.getsockname()
        last.setblocking(False)
        last.connect_ex(full.getsockname())
        late = Wire(socket.socket(), ready)
        late.limit(0.05)
        with pytest.raises(TimeoutError):
            await late.connect(full.getsockname())
        refused = Wire(socket.socket(), ready)
        with reserved() as nobody, pytest.raises(ConnectionRefusedError):
            await refused.connect(nobody.getsockname())
        for one in (wire, late, refused):
            one.close()
    assert not ready.masks


@on_pump_loop
async def test_a_peer_that_is_gone_before_tls_leaves_no_trace() -> None:
    """The next connection may get the same descriptor, which must be registered again."""
    ready = readiness()
    listening = socket.create_server(("127.0.0.1", 0))
    far = socket.create_connection(listening.getsockname())
    near, _ = listening.accept()
    wire = Wire(near, ready)
    got: list[bytes] = []
    with listening:
        run = Run(reads(wire, got), ready)
        far.send(b"x")
        await run.end()
        assert ready.masks
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        fault = await Run(wire.start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), ready).end()
        assert isinstance(fault, OSError)
        wire.close()
        assert not ready.masks
