"""A relay of one process."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any, Final

from prometheus_client import CollectorRegistry

from wsedge_relay.config.follow import follow
from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.config.watch import ConfigWatch
from wsedge_relay.contract import RelayState
from wsedge_relay.metering.spool import Spool, adopt, uptime
from wsedge_relay.metering.usage import Usage
from wsedge_relay.process.relay_process import RelayProcess
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.admin import Question
from wsedge_relay.server.admin_routes import AdminRoutes
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry import exposition
from wsedge_relay.tunnel.shedding import ShedOrder, ShedProgress


async def run_single(settings: Settings, loaded: LoadedConfig, selector: PumpSelector) -> int:
    """Serve with one process until a signal; return the exit code.

    Raises CannotListenError and SpoolUnavailableError.
    """
    usage = Usage(now=time.time(), monotonic=time.monotonic, uptime=uptime)
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(
            settings.spool_dir,
            pod=settings.pod_name,
            uid=settings.pod_uid,
            epoch=usage.epoch,
            clocks=usage.clocks,
        )
        adopt(settings.spool_dir, workers=1)
        usage.succeed(spool.earlier_peaks(usage.bucket))
    process = RelayProcess(settings, loaded, selector, usage=usage, spool=spool, in_pod=settings.is_in_pod)
    relay = SingleProcess(settings, loaded, process)
    await relay.start()
    return await relay.serve()


class SingleProcess:
    """A relay of one process: its data path, configuration file, signals and admin port."""

    unhealthy: Final = None  # a process that hangs does not answer the probe at all
    workers: Final = 1
    restarts: Final = 0

    def __init__(self, settings: Settings, loaded: LoadedConfig, process: RelayProcess) -> None:
        self._listen = settings.listen_of(loaded.config)
        self._process = process
        self._watch = ConfigWatch(settings.config, settings.certificates, loaded)
        self._check_now = asyncio.Event()
        self._admin_routes = AdminRoutes(self, self._watch, settings, [process.collector])

    async def start(self) -> None:
        """Put the configuration in force, listen, start to count; raises CannotListenError."""
        await self._process.start(await self._admin_routes.start(self._listen))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_reload)
        self._admin_routes.announce(self._process.addresses)

    async def serve(self) -> int:
        """Serve until a signal, then drain and report; return the exit code."""
        watching = asyncio.create_task(
            follow(self._watch, self._check_now, self._apply), name="watch the configuration"
        )
        code = await self._process.serve(watching)
        await self._admin_routes.close()
        return code

    @property
    def unready(self) -> str | None:
        """The reason why no new connections are accepted, a sentence; None while they are accepted."""
        if self._process.ready:
            return None
        return "The relay is draining." if self._process.is_leaving else "The relay is starting."

    @property
    def state(self) -> RelayState:
        """The generation in force, drain and open connections."""
        return self._process.state

    async def refresh(self) -> None:
        """Do nothing: the state of one process is always up to date."""

    async def exposition(self, own: CollectorRegistry) -> bytes:
        """Return the metrics, including the counts of open tunnels up to now."""
        self._process.sweep()
        return exposition.exposition(own)

    def drain(self, seconds: float | None) -> None:
        """Start to drain; the process does not end."""
        self._process.start_drain(seconds)

    def shed(self, order: ShedOrder) -> None:
        """Close some open connections."""
        self._process.shed(order)

    @property
    def shed_progress(self) -> ShedProgress:
        """The progress of the last order to shed."""
        return self._process.shed_progress

    async def connections(self, question: Question) -> dict[str, Any]:
        """Return a page of open connections."""
        page = await self._process.connections(question.domain, question.after, question.limit)
        return page | {"next": None if page["next"] is None else f"0.{page['next']}"}

    async def close_connection(self, name: str) -> bool:
        """Close one connection; False: it is not open."""
        return self._process.close_connection(name)

    def resume(self) -> bool:
        """End the drain and accept connections again."""
        return self._process.resume()

    async def _apply(self, loaded: LoadedConfig) -> None:
        self._process.apply(loaded)

    def _on_reload(self) -> None:
        self._watch.force()
        self._check_now.set()
        self._process.check_geo_databases()
