"""wsedge-relay: reads what it is told, and runs as one process or as a supervisor of several workers.

Exit codes: 0 after a drain, 1 after a fault of the program, 2 when it is told something wrong.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

from wsedge_relay import metrics
from wsedge_relay.admin import Admin, Reply, drain_seconds, json_reply, text_reply
from wsedge_relay.config import Loaded, load
from wsedge_relay.contract import RelayConfig
from wsedge_relay.errors import CannotListenError, ConfigRefusedError, SettingsError, SpoolUnavailableError
from wsedge_relay.follow import follow, log_applied
from wsedge_relay.logs import configure
from wsedge_relay.program import Program, log_listening, raise_file_limit
from wsedge_relay.selector import Form, PumpSelector, choose
from wsedge_relay.settings import Settings, read_settings
from wsedge_relay.spool import Spool, adopt
from wsedge_relay.usage import Usage
from wsedge_relay.watch import ConfigWatch

_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments)
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
    alone = Alone(settings, loaded, Program(settings, loaded, selector, usage=usage, spool=spool))
    await alone.start()
    return await alone.serve()


class Alone:
    """A relay of one process: the program, its configuration's file, its signals and its admin port."""

    def __init__(self, settings: Settings, loaded: Loaded, program: Program) -> None:
        self._host = settings.host
        self._program = program
        self._watch = ConfigWatch(settings.config, settings.certificates, loaded)
        self._look = asyncio.Event()
        self._registry = metrics.registry(metrics.StateCollector(self._snapshot), program.collector)
        self._admin = Admin(
            {
                ("GET", "/healthz"): self._healthz,
                ("GET", "/readyz"): self._readyz,
                ("GET", "/metrics"): self._metrics,
                ("GET", "/config"): self._config,
                ("POST", "/drain"): self._drain_request,
            }
        )

    async def start(self) -> None:
        """Listen, take the configuration into force, begin to count; raises CannotListenError."""
        listen = self._watch.in_force.config.listen
        if self._host is not None:
            listen = listen.model_copy(update={"host": self._host})
        port = await self._admin.start(listen.host, listen.admin)
        await self._program.start(listen)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_reload)
        log_listening([*self._program.addresses.items(), ("admin", (listen.host, port))])
        log_applied(self._watch.in_force)

    async def serve(self) -> int:
        """Serve until a signal, then drain and report; return the exit code."""
        watching = asyncio.create_task(
            follow(self._watch, self._look, self._take), name="watch the configuration"
        )
        code = await self._program.serve(watching)
        await self._admin.close()
        return code

    async def _take(self, loaded: Loaded) -> None:
        self._program.apply(loaded)

    def _on_reload(self) -> None:
        self._watch.force()
        self._look.set()
        self._program.look_at_places()

    def _snapshot(self) -> metrics.Snapshot:
        state = self._program.state
        return metrics.Snapshot(
            generation=state.generation,
            ready=self._program.ready,
            draining=state.draining,
            config_refusals=self._watch.refusals,
            config_is_refused=self._watch.refused is not None,
        )

    async def _healthz(self, _query: Mapping[str, str]) -> Reply:
        return text_reply(200, "ok")

    async def _readyz(self, _query: Mapping[str, str]) -> Reply:
        if self._program.ready:
            return text_reply(200, "ok")
        return text_reply(503, "draining" if self._program.is_leaving else "starting")

    async def _metrics(self, _query: Mapping[str, str]) -> Reply:
        self._program.sweep()
        return Reply(200, metrics.exposition(self._registry), metrics.CONTENT_TYPE)

    async def _config(self, _query: Mapping[str, str]) -> Reply:
        state = self._watch.told(self._program.state)
        return json_reply(200, state.model_dump(mode="json"))

    async def _drain_request(self, query: Mapping[str, str]) -> Reply:
        """Begin to drain and stay: the process ends with SIGTERM, so that nothing restarts it meanwhile."""
        try:
            self._program.begin_drain(drain_seconds(query))
        except ValueError as error:
            return text_reply(400, str(error))
        return text_reply(202, "draining")
