"""The supervisor of a relay with several worker processes: starts and restarts them.

The supervisor carries no connection. It binds the ports, follows the configuration, sends it to all workers,
so that all run the same generation, and serves the admin port for all. The kernel spreads connections over
the workers (SO_REUSEPORT); a worker that has ended gets no connection.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from wsedge_relay.config.follow import follow
from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.watch import ConfigWatch
from wsedge_relay.contract import RelayState
from wsedge_relay.errors import CannotListenError, WorkerSilentError
from wsedge_relay.metering.spool import adopt, folder_of, lock_folder
from wsedge_relay.process.assignment import Assignment, loaded_to_json
from wsedge_relay.process.shared_limits import LimitTable, make_table
from wsedge_relay.process.worker_process import SILENT_SECONDS, NamedOrder, WorkerProcess
from wsedge_relay.server.admin import Question
from wsedge_relay.server.admin_routes import AdminRoutes
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry import exposition
from wsedge_relay.telemetry.merging import Metrics, aggregate, combined, risen
from wsedge_relay.transport.listening import reserved
from wsedge_relay.tunnel.shedding import ShedOrder, ShedProgress, shares, together

_APPLY_SECONDS: Final = 10.0
_LIST_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0  # a worker that ran longer restarts without a longer pause
_log = structlog.get_logger(__name__)


@contextmanager
def _ended_is_empty() -> Iterator[None]:
    """Suppress the error that a worker has ended: it has no connections any more."""
    try:
        yield
    except WorkerSilentError as error:
        if not error.has_ended:
            raise


def pause_before(restart: int) -> float:
    """Return the seconds to wait before the `restart`-th restart in a row, counted from 1."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(restart - 1, 30))


async def supervise(settings: Settings, loaded: LoadedConfig) -> int:
    """Run a relay of `settings.workers` workers and return its exit code.

    Raises CannotListenError and SpoolUnavailableError.
    """
    if settings.spool_dir is not None:
        lock_folder(settings.spool_dir)  # locked until this process ends
        adopt(settings.spool_dir, workers=settings.workers)
    supervisor = Supervisor(settings, loaded)
    await supervisor.start()
    return await supervisor.serve()


class Supervisor:
    """The processes of one relay. Order of calls: `start`, `serve`."""

    def __init__(self, settings: Settings, loaded: LoadedConfig) -> None:
        self._settings = settings
        self._loaded = loaded
        self._watch = ConfigWatch(settings.config, settings.certificates, loaded)
        self._table_file = make_table(settings.workers)
        self._table = LimitTable(self._table_file)
        self._clock = asyncio.get_running_loop().time
        self._workers = [
            WorkerProcess(number, limits=self._table_file, clock=self._clock)
            for number in range(1, settings.workers + 1)
        ]
        self._ended_metrics: list[Metrics] = []  # the counts of workers that have ended
        self.restarts = 0
        self._complete = False  # every worker has accepted connections once
        self._orders_in_force: dict[str, Any] = {}
        self._stop = asyncio.Event()
        self._check_now = asyncio.Event()
        self._admin_routes = AdminRoutes(self, self._watch, settings)

    async def start(self) -> None:
        """Bind the ports; raises CannotListenError."""
        listen = await self._admin_routes.start(self._settings.listen_of(self._loaded.config))
        host = listen.host
        ports: dict[str, int | None] = {"http": listen.http, "https": listen.https}
        self._addresses: dict[str, tuple[str, int]] = {}
        self._reserved = []
        try:
            for listener, port in ports.items():
                if port is not None:
                    sock = await reserved(host, port)
                    self._reserved.append(sock)
                    host, ports[listener] = self._addresses[listener] = sock.getsockname()[:2]
        except OSError as error:
            raise CannotListenError(error) from error
        self._listen = listen.model_copy(update={"host": host, **ports})

    async def serve(self) -> int:
        """Run the workers until a signal, let them drain and end; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        running = [
            asyncio.create_task(self._keep_running(worker), name="run a worker") for worker in self._workers
        ]
        following = asyncio.create_task(self._begin_and_follow(), name="watch the configuration")
        stopping = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        await asyncio.wait([stopping, following, *running], return_when=asyncio.FIRST_COMPLETED)
        broken = following.done()
        if broken:
            _log.error("task crashed", task=following.get_name(), exc_info=following.exception())
        following.cancel()
        self._order("stop")
        self._stop.set()
        codes = await asyncio.gather(*running)
        stopping.cancel()
        await self._admin_routes.close()
        for sock in self._reserved:
            sock.close()
        _log.info("ended", workers=len(codes))
        return 1 if broken else max(codes)

    async def _keep_running(self, worker: WorkerProcess) -> int:
        """Run a worker, again after each end, until the relay stops; return the exit code.

        A worker whose first start fails is not started again.
        """
        restart = 0
        while True:
            began = self._clock()
            code = await self._run_worker(worker)
            self._table.clear(worker.number - 1)
            ended, worker.metrics = worker.metrics, []
            self._ended_metrics = aggregate([self._ended_metrics, risen(ended)])
            if self._stop.is_set():
                return code if code >= 0 else 1
            if not worker.started.is_set():
                return code if code > 0 else 1
            restart = 1 if self._clock() - began > _STEADY_SECONDS else restart + 1
            pause = pause_before(restart)
            _log.error("worker ended", worker=worker.number, code=code, restart_seconds=pause)
            await self._wait_or_stop(pause)
            if self._stop.is_set():
                return 0
            self.restarts += 1

    async def _wait_or_stop(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _run_worker(self, worker: WorkerProcess) -> int:
        try:
            return await worker.run(lambda: self._assignment(worker.number), self._standing_orders)
        except OSError as error:
            _log.error("worker start failed", worker=worker.number, reason=str(error))
            return 1

    def _assignment(self, number: int) -> Assignment:
        settings = self._settings
        if settings.spool_dir is not None:
            settings = settings.model_copy(update={"spool_dir": folder_of(settings.spool_dir, number)})
        return Assignment(number, settings, self._listen, self._loaded, self._settings.is_in_pod)

    def _standing_orders(self) -> list[NamedOrder]:
        """Return the orders that stay in force, for a worker that restarts."""
        return list(self._orders_in_force.items())

    def _order(self, name: str, details: Any = None) -> None:
        """Send an order to all workers, and to workers that restart later."""
        self._orders_in_force.setdefault(name, details)
        for worker in self._workers:
            worker.send(name, details)

    async def _begin_and_follow(self) -> None:
        for worker in self._workers:
            await worker.started.wait()
        self._complete = True
        self._admin_routes.announce(self._addresses)
        await follow(self._watch, self._check_now, self._apply)

    async def _apply(self, loaded: LoadedConfig) -> None:
        """Apply another configuration in all workers; a slow worker may apply it later.

        Raises OSError when a worker lacks a resource for it; `follow` then tries again.
        """
        self._loaded = loaded
        document = loaded_to_json(loaded)
        for worker in self._workers:
            if not worker.is_up:
                worker.send(
                    "apply", document
                )  # it starts with an older configuration, and reads this order next
        done = await asyncio.gather(
            *(
                worker.call("apply", document, seconds=_APPLY_SECONDS)
                for worker in self._workers
                if worker.is_up
            ),
            return_exceptions=True,
        )
        for fault in done:
            if isinstance(fault, WorkerSilentError):
                _log.warning("worker did not confirm configuration", reason=str(fault))
            elif isinstance(fault, BaseException):
                raise fault
            elif fault is not None:
                raise OSError(fault)

    @property
    def _is_leaving(self) -> bool:
        return bool(self._orders_in_force)

    @property
    def unhealthy(self) -> str | None:
        """The reason why the relay needs a restart, a worker that hangs; None while all workers answer."""
        for worker in self._workers:
            if worker.silence >= SILENT_SECONDS:
                return f"Worker {worker.number} has not answered for {worker.silence:.0f} s."
        return None

    @property
    def unready(self) -> str | None:
        """The reason why the relay is not ready, a sentence; None while it is ready.

        A worker that restarts has no listener, and the other workers get all new connections, so it does not
        count.
        """
        if self._is_leaving:
            return "The relay is draining."
        up = [worker for worker in self._workers if worker.is_up]
        if not self._complete or not up or not all(worker.ready for worker in up):
            return "The relay is starting."
        return self.unhealthy

    @property
    def state(self) -> RelayState:
        """The generation in force, drain and open connections, summed over the workers' last answers."""
        states = [worker.state for worker in self._workers if worker.state is not None]
        state = combined(states, self._loaded.config.generation)
        return state.model_copy(update={"draining": state.draining or self._is_leaving})

    @property
    def workers(self) -> int:
        """The number of workers that accept connections."""
        return sum(worker.is_up for worker in self._workers)

    async def refresh(self) -> None:
        """Read the status of all workers."""
        await asyncio.gather(*(worker.read_status() for worker in self._workers))

    async def exposition(self, own: CollectorRegistry) -> bytes:
        """Return the metrics of this process, of the workers, and of workers that have ended."""
        await asyncio.gather(*(worker.read_metrics() for worker in self._workers))
        # No await from here on: the counts of a worker that ends would be missing or be added twice.
        of_workers = (worker.metrics for worker in self._workers)
        return exposition.exposition_of(aggregate([exposition.read(own), self._ended_metrics, *of_workers]))

    def drain(self, seconds: float | None) -> None:
        """Start to drain; the processes do not end."""
        self._order("drain", seconds)

    def shed(self, order: ShedOrder) -> None:
        """Give each worker its part of an order, by its open connections. A later process gets no part."""
        counts = [worker.state.openConnections if worker.state is not None else 0 for worker in self._workers]
        for worker, part in zip(self._workers, shares(order, counts), strict=True):
            worker.send("shed", asdict(part))

    @property
    def shed_progress(self) -> ShedProgress:
        """The progress of the last order to shed, summed over the workers' last answers."""
        return together([worker.shed for worker in self._workers])

    async def connections(self, question: Question) -> dict[str, Any]:
        """Return a page of one worker's open connections; workers follow each other by their numbers.

        Raises WorkerSilentError.
        """
        place, after = max(1, question.worker), question.after
        asked = {"domain": question.domain, "after": after, "limit": question.limit}
        page: dict[str, Any] = {"connections": [], "next": None}
        if place <= len(self._workers):
            with _ended_is_empty():
                page = await self._workers[place - 1].call("connections", asked, seconds=_LIST_SECONDS)
        if page["next"] is not None:
            return page | {"next": f"{place}.{page['next']}"}
        return page | {"next": f"{place + 1}.0" if place < len(self._workers) else None}

    async def close_connection(self, name: str) -> bool:
        """Close one connection; False: no worker has it. Raises WorkerSilentError."""
        silent: WorkerSilentError | None = None
        for worker in self._workers:
            try:
                with _ended_is_empty():
                    if await worker.call("close", name, seconds=_CLOSE_SECONDS):
                        return True
            except WorkerSilentError as error:
                silent = error
        if silent is not None:
            raise silent
        return False

    def resume(self) -> bool:
        """End the drain of all workers; return False while the relay stops."""
        if self._stop.is_set():
            return False
        self._orders_in_force.pop("drain", None)
        for worker in self._workers:
            worker.ready = (
                False  # until its next status: a client that trusts /readyz before that would get 503
            )
            worker.send("resume")
        return True

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._order("hurry")
        self._order("stop")
        self._stop.set()

    def _on_reload(self) -> None:
        self._watch.force()
        self._check_now.set()
        for worker in self._workers:
            worker.send("geo")
