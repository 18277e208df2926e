"""A worker process as its supervisor sees it: start it, send it orders, kill it when it hangs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from wsedge_relay.contract import RelayState
from wsedge_relay.errors import WorkerSilentError
from wsedge_relay.process.assignment import Assignment
from wsedge_relay.process.orders import Caller
from wsedge_relay.telemetry.merging import Metrics, from_json
from wsedge_relay.tunnel.shedding import ShedProgress

START_SECONDS: Final = 50.0  # less than the startup probe of the pod allows
STATUS_SECONDS: Final = 1.0
# After SILENT_SECONDS without an answer the relay is unhealthy; after HUNG_SECONDS the worker is killed,
# before the liveness probe (every 10 s, three failures) restarts the whole pod because of one worker.
SILENT_SECONDS: Final = 5.0
HUNG_SECONDS: Final = 20.0
_CALL_SECONDS: Final = 1.0
_METRICS_SECONDS: Final = 4.0
_END_SECONDS: Final = 5.0
NamedOrder = tuple[str, Any]
"""The name of an order, and its details."""
_log = structlog.get_logger(__name__)


class WorkerProcess:
    """A worker over all its restarts. `limits` is the shared limits' descriptor, `clock` the loop's time."""

    def __init__(self, number: int, *, limits: int, clock: Callable[[], float]) -> None:
        self.number = number
        self.started = asyncio.Event()  # set by the first successful start
        self.is_up = False  # the process runs and has accepted its assignment
        self.process: int | None = None
        self.ready = False
        self.state: RelayState | None = None
        self.shed = ShedProgress()
        self.metrics: list[Metrics] = []  # of the last answer
        self._limits = limits
        self._clock = clock
        self._answered = 0.0
        self._caller: Caller | None = None

    @property
    def silence(self) -> float:
        """Seconds since the last answer of a worker that is up; 0 while it is not up."""
        return self._clock() - self._answered if self.is_up else 0.0

    async def run(
        self, assignment: Callable[[], Assignment], then: Callable[[], Sequence[NamedOrder]]
    ) -> int:
        """Start a process and wait for its end; return its exit code, or minus the number of a signal.

        `assignment` and `then` are called after the start: the process gets the assignment, then the orders
        of `then`. Raises OSError when the process cannot be started.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "wsedge_relay.process.worker"),
                *("--number", str(self.number), "--channel", str(theirs.fileno())),
                *("--limits", str(self._limits)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._limits),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.process = process.pid
        ours.setblocking(False)
        caller = Caller(*await asyncio.open_unix_connection(sock=ours))
        first = caller.send("start", assignment().to_json())
        for name, details in then():
            caller.send(name, details)
        self._caller = caller
        tasks = [
            asyncio.create_task(caller.read()),
            asyncio.create_task(self._supervise(process, caller, first)),
        ]
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._caller = self.process = None
            self.is_up = self.ready = False
            self.state = None
            self.shed = ShedProgress()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            caller.close()

    def send(self, name: str, details: Any = None) -> None:
        """Send an order when the process runs; a later process does not get the order."""
        if self._caller is not None:
            self._caller.send(name, details)

    async def call(self, name: str, details: Any = None, *, seconds: float) -> Any:
        """Send an order and return its result; raises WorkerSilentError."""
        caller = self._caller
        if caller is None:
            raise WorkerSilentError("the worker does not run", has_ended=True)
        result = await caller.call(name, details, seconds=seconds)
        if self._caller is not caller:
            raise WorkerSilentError(
                "the worker has ended", has_ended=True
            )  # else an answer of an ended process would count for the next process
        self._answered = self._clock()
        return result

    async def read_status(self) -> None:
        """Read the worker's status; without an answer the last status stays."""
        with contextlib.suppress(WorkerSilentError):
            status = await self.call("status", seconds=_CALL_SECONDS)
            self.ready = status["ready"]
            self.state = RelayState.model_validate(status["state"])
            self.shed = ShedProgress(**status["shed"])

    async def read_metrics(self) -> None:
        """Read the worker's metrics; without an answer the last metrics stay."""
        with contextlib.suppress(WorkerSilentError):
            self.metrics = from_json(await self.call("metrics", seconds=_METRICS_SECONDS))

    async def _supervise(self, process: asyncio.subprocess.Process, caller: Caller, first: int) -> None:
        """Wait until the worker serves, read its status each second, and kill it when it hangs."""
        try:
            await caller.result_of(first, seconds=START_SECONDS)
        except WorkerSilentError as error:
            if error.has_ended:  # it closed its channel, and its exit code shows the reason
                await asyncio.sleep(_END_SECONDS)
            _log.error("worker did not start", worker=self.number, reason=str(error))
            process.kill()
            return
        self._answered = self._clock()
        await self.read_status()
        self.is_up = (
            True  # after the first status: a worker that is up and not ready makes the whole relay unready
        )
        self.started.set()
        _log.info("worker started", worker=self.number, process=process.pid)
        while self.silence < HUNG_SECONDS:
            await asyncio.sleep(STATUS_SECONDS)
            await self.read_status()
        _log.error("worker stopped answering", worker=self.number, silent_seconds=round(self.silence, 1))
        process.kill()
