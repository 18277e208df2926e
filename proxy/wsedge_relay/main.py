"""wsedge-relay: reads what it is told, and runs as one process or as a supervisor of several workers.

Exit codes: 0 after a drain, 1 after a fault of the program, 2 when it is told something wrong.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from wsedge_relay import metrics
from wsedge_relay.config import Loaded, load
from wsedge_relay.contract import RelayConfig, RelayState
from wsedge_relay.endpoints import Endpoints
from wsedge_relay.errors import CannotListenError, ConfigRefusedError, SettingsError, SpoolUnavailableError
from wsedge_relay.follow import follow
from wsedge_relay.logs import configure
from wsedge_relay.program import Program, raise_file_limit
from wsedge_relay.selector import Form, PumpSelector, choose
from wsedge_relay.settings import Settings, read_settings
from wsedge_relay.spool import Spool, adopt
from wsedge_relay.usage import Usage
from wsedge_relay.watch import ConfigWatch

_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if given[:1] == ["drain"]:
            from wsedge_relay import ask_drain  # what a relay that serves does not need

            return ask_drain.main(given[1:])
        settings = read_settings(given)
        if settings is None:
            print(json.dumps(RelayConfig.model_json_schema(), indent=2))  # noqa: T201  data goes to stdout
            return 0
        configure(settings.log_format, settings.log_level)
        form = choose(settings.pump)
        loaded = load(settings.config, settings.certificates)
    except SettingsError as error:
        for problem in error.problems:
            print(f"wsedge-relay: {problem}", file=sys.stderr)  # noqa: T201  for a person at a prompt
        return 2
    except ConfigRefusedError as error:
        for problem in error.problems:
            print(f"wsedge-relay: {error.file}: {problem}", file=sys.stderr)  # noqa: T201
        return 2
    _log.info("starting", files=raise_file_limit(), **settings.model_dump(mode="json"))
    _log.info("pump chosen", form=form.name, reason=form.reason)
    try:
        return _run(settings, loaded, form)
    except (CannotListenError, SpoolUnavailableError) as error:
        print(f"wsedge-relay: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _run(settings: Settings, loaded: Loaded, form: Form) -> int:
    if settings.workers > 1:
        from wsedge_relay.supervisor import supervise  # what one process alone does not need

        return asyncio.run(supervise(settings, loaded))
    selector = PumpSelector(form=form)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(_run_alone(settings, loaded, selector))


async def _run_alone(settings: Settings, loaded: Loaded, selector: PumpSelector) -> int:
    usage = Usage(now=time.time())
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(settings.spool_dir, pod=settings.pod_name, uid=settings.pod_uid, epoch=usage.epoch)
        adopt(settings.spool_dir, workers=1)
    program = Program(settings, loaded, selector, usage=usage, spool=spool, in_pod=settings.is_in_pod)
    alone = Alone(settings, loaded, program)
    await alone.start()
    return await alone.serve()


class Alone:
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
        return metrics.exposition(own)

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
