"""A relay of one process."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Final

from prometheus_client import CollectorRegistry

from wsedge_relay.config.follow import follow
from wsedge_relay.config.load import Loaded
from wsedge_relay.config.watch import ConfigWatch
from wsedge_relay.contract import RelayState
from wsedge_relay.metering.spool import Spool, adopt
from wsedge_relay.metering.usage import Usage
from wsedge_relay.process.relay_process import Program
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.admin_routes import Endpoints
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry import exposition


async def run_single(settings: Settings, loaded: Loaded, selector: PumpSelector) -> int:
    """Serve by one process until a signal; return the exit code. Raises CannotListenError."""
    usage = Usage(now=time.time())
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(settings.spool_dir, pod=settings.pod_name, uid=settings.pod_uid, epoch=usage.epoch)
        adopt(settings.spool_dir, workers=1)
    program = Program(settings, loaded, selector, usage=usage, spool=spool, in_pod=settings.is_in_pod)
    relay = SingleProcess(settings, loaded, program)
    await relay.start()
    return await relay.serve()


class SingleProcess:
    """A relay of one process: the program, its configuration's file, its signals and its admin port."""

    unhealthy: Final = None  # what hangs answers nothing
    workers: Final = 1
    restarts: Final = 0

    def __init__(self, settings: Settings, loaded: Loaded, program: Program) -> None:
        self._listen = settings.listen_of(loaded.config)
        self._program = program
        self._watch = ConfigWatch(settings.config, settings.certificates, loaded)
        self._look = asyncio.Event()
        self._endpoints = Endpoints(self, self._watch, settings, [program.collector])

    async def start(self) -> None:
        """Listen, take the configuration into force, begin to count; raises CannotListenError."""
        await self._program.start(await self._endpoints.start(self._listen))
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_reload)
        self._endpoints.announce(self._program.addresses)

    async def serve(self) -> int:
        """Serve until a signal, then drain and report; return the exit code."""
        watching = asyncio.create_task(
            follow(self._watch, self._look, self._take), name="watch the configuration"
        )
        code = await self._program.serve(watching)
        await self._endpoints.close()
        return code

    @property
    def unready(self) -> str | None:
        """Why no newcomers are taken."""
        if self._program.ready:
            return None
        return "draining" if self._program.is_leaving else "starting"

    @property
    def state(self) -> RelayState:
        """What runs."""
        return self._program.state

    async def refresh(self) -> None:
        """Do nothing: the state of one process is always up to date."""

    async def exposition(self, own: CollectorRegistry) -> bytes:
        """Return the metrics, with what passed up to now."""
        self._program.sweep()
        return exposition.exposition(own)

    def drain(self, seconds: float | None) -> None:
        """Begin to drain and stay."""
        self._program.begin_drain(seconds)

    def resume(self) -> bool:
        """Serve again."""
        return self._program.resume()

    async def _take(self, loaded: Loaded) -> None:
        self._program.apply(loaded)

    def _on_reload(self) -> None:
        self._watch.force()
        self._look.set()
        self._program.look_at_places()
