"""Wait for sockets on the loop's own epoll, and run coroutines without an asyncio task.

A handshake waits three or four times. With asyncio's own means each wait needs a reader, two system calls, a
future and two turns of the loop, and each time limit a timer: most of the cost of a handshake. Here a socket
stays in epoll from its first wait until it is closed or the pump owns it; time limits are checked together;
and the code that wakes a coroutine steps it (`Fiber`).

    step() ──▶ running ──(1)──▶ waiting ──(2)──▶ running
                 ├──(3)──▶ task ──(4)──▶ ended
                 └──(5)──▶ ended

    (1) The coroutine awaits a `Wire`, which registers itself by `watch` and yields.
    (2) The descriptor may be ready, or the wait's time is up: `wake` steps the coroutine, with a TimeoutError
        in the second case. `cancel` steps it with a CancelledError.
    (3) The coroutine awaits `in_task`. From now on asyncio steps it; there is no way back.
    (4) The task returned, failed or was cancelled.
    (5) The coroutine returned or failed. In both cases `ended` is called, then each future of `wait` is done.
"""

from __future__ import annotations

import asyncio
import math
import select
import types
from collections.abc import Callable, Collection, Coroutine, Generator, Iterable
from typing import Any, Final, Protocol

IN: Final = select.EPOLLIN
OUT: Final = select.EPOLLOUT
NEVER: Final = math.inf

# The delay with which the end of a time limit may be noticed. It grows with the number of sockets that wait:
# limits that end within it are checked together, so that the checks need about a hundredth of the time.
_LATE_SECONDS: Final = 0.02
_LATE_SECONDS_EACH: Final = 1e-5


class Waiter(Protocol):
    """An object that waits for a socket until `until`, a time of the loop (`NEVER`: without limit)."""

    until: float

    def wake(self, error: BaseException | None, /) -> None:
        """Continue: with `error` (a TimeoutError) when time is up, else because the socket may be ready."""


class Readiness:
    """The waiters by descriptor, on the epoll of the loop's selector.

    Descriptors are watched level-triggered, and a wake-up is a hint: the waiter repeats its system call, and
    waits again when that would block. A descriptor without a waiter is removed from epoll at its next event
    only, because most descriptors soon have a waiter again. `masks` has the events for which each descriptor
    is in epoll.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, epoll: select.epoll) -> None:
        self.loop = loop
        self.masks: dict[int, int] = {}
        self.current: Fiber | None = None
        self._epoll = epoll
        self._waiters: dict[int, Waiter] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = NEVER

    def watch(self, fd: int, waiter: Waiter, events: int = IN) -> None:
        """Wake `waiter` each time that `fd` may be ready, until `unwatch`; raises OSError: epoll is full."""
        mask = self.masks.get(fd)
        if mask is None:
            self._epoll.register(fd, events)
            self.masks[fd] = events
        elif mask != events:
            self._epoll.modify(fd, events)
            self.masks[fd] = events
        self._waiters[fd] = waiter
        if waiter.until < self._next:
            self._arm(waiter.until)

    def unwatch(self, fd: int) -> None:
        """Remove the waiter of `fd`; the descriptor may stay in epoll."""
        self._waiters.pop(fd, None)

    def hand_over(self, fd: int) -> int:
        """Hand `fd` over to another owner; return the events for which it is in epoll."""
        self._waiters.pop(fd, None)
        return self.masks.pop(fd, 0)

    def remove(self, fd: int) -> None:
        """Remove `fd` from epoll, because it is about to be closed or must not be reported."""
        if self.hand_over(fd):
            self._epoll.unregister(fd)

    def serve(self, fds: Iterable[int]) -> None:
        """Wake the waiters of these descriptors, for which epoll reported events."""
        for fd in fds:
            waiter = self._waiters.get(fd)
            if waiter is not None:
                waiter.wake(None)
            else:
                self.remove(fd)

    @types.coroutine
    def in_task(self) -> Generator[None, None, None]:
        """Continue the running coroutine in a task of asyncio, which all of asyncio's own waits need."""
        if self.current is not None:
            yield

    def _arm(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = until
        late = _LATE_SECONDS + len(self._waiters) * _LATE_SECONDS_EACH
        self._timer = self.loop.call_at(until + late, self._expire)

    def _expire(self) -> None:
        now = self.loop.time()
        self._timer = None
        self._next = NEVER
        for fd, waiter in list(self._waiters.items()):
            if waiter.until <= now and self._waiters.get(fd) is waiter:
                waiter.wake(TimeoutError())
        first = min((waiter.until for waiter in self._waiters.values()), default=NEVER)
        if first < self._next:
            self._arm(first)


class Fiber:
    """A coroutine without a task: the wire for which it waits steps it.

    It may wait for wires only. Before any other wait it must await `Readiness.in_task`, and is an asyncio
    task from then on. `ended` is called at its end, with the exception that ended it or None.
    """

    __slots__ = ("_coroutine", "_ended", "_ready", "_waiting", "task")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        ready: Readiness,
        ended: Callable[[Fiber, BaseException | None], object],
    ) -> None:
        self._coroutine = coroutine
        self._ready = ready
        self._ended = ended
        self._waiting: list[asyncio.Future[None]] | None = None
        self.task: asyncio.Task[None] | None = None

    def step(self, error: BaseException | None = None) -> None:
        """Run the coroutine up to its next wait, or raise `error` where it waits."""
        ready = self._ready
        ready.current = self
        try:
            waits = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
        except StopIteration:
            self._end(None)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:  # noqa: BLE001  a fault of one coroutine is not the loop's
            self._end(fault)
        else:
            if waits is None:
                self.task = ready.loop.create_task(self._coroutine)
                self.task.add_done_callback(self._task_ended)
        finally:
            ready.current = None

    def cancel(self) -> None:
        """Raise asyncio.CancelledError where the coroutine waits."""
        if self.task is not None:
            self.task.cancel()
        else:
            self.step(asyncio.CancelledError())

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._end(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _end(self, fault: BaseException | None) -> None:
        self._ended(self, fault)
        for future in self._waiting or ():
            if not future.done():
                future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Return a future that is done once the fiber, which must be running, has ended."""
        future: asyncio.Future[None] = self._ready.loop.create_future()
        self._waiting = [*(self._waiting or ()), future]
        return future


async def wait_for_all(fibers: Collection[Fiber]) -> None:
    """Return once all of these fibers, which must be running, have ended."""
    if fibers:
        await asyncio.wait([fiber.wait() for fiber in fibers])
