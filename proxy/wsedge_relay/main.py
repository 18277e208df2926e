"""wsedge-relay: wires settings, configuration, data path, accounting and admin port, and ends in order.

Exit codes: 0 after a drain, 1 after a fault of the program, 2 when it is told something wrong.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from wsedge_relay import metrics
from wsedge_relay.admin import Admin, Reply, json_reply, text_reply
from wsedge_relay.config import Loaded, load
from wsedge_relay.contract import RelayConfig, RelayState
from wsedge_relay.counters import Distribution, Family
from wsedge_relay.errors import ConfigRefusedError, SettingsError, SpoolUnavailableError
from wsedge_relay.geo import LOOK_SECONDS as GEO_LOOK_SECONDS
from wsedge_relay.geo import Geo
from wsedge_relay.logs import configure
from wsedge_relay.report import Pace
from wsedge_relay.reporter import Origin, Reporter
from wsedge_relay.selector import Form, PumpSelector, choose
from wsedge_relay.server import Relay
from wsedge_relay.settings import Settings, read_settings
from wsedge_relay.spool import Spool
from wsedge_relay.usage import Usage
from wsedge_relay.watch import LOOK_SECONDS, ConfigWatch

MAX_DRAIN_SECONDS: Final = 3600.0
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
    selector = PumpSelector(form=form)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(_run(settings, loaded, selector, form))


async def _run(settings: Settings, loaded: Loaded, selector: PumpSelector, form: Form) -> int:
    _log.info("starting", files=_raise_file_limit(), **settings.model_dump(mode="json"))
    _log.info("pump chosen", form=form.name, reason=form.reason)
    usage = Usage(now=time.time())
    spool = None
    if settings.spool_dir is not None:
        try:
            spool = Spool(settings.spool_dir, pod=settings.pod_name, uid=settings.pod_uid, epoch=usage.epoch)
        except SpoolUnavailableError as error:
            print(f"wsedge-relay: {error}", file=sys.stderr)  # noqa: T201
            return 2
    program = Program(settings, loaded, usage, spool, selector)
    try:
        await program.start()
    except OSError as error:
        print(f"wsedge-relay: cannot listen: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return await program.serve()


class Program:
    """One running relay."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        usage: Usage,
        spool: Spool | None,
        selector: PumpSelector,
    ) -> None:
        self._settings = settings
        self._usage = usage
        self._watch = ConfigWatch(settings.config, settings.certificates, loaded)
        self._geo = Geo(ip2region=settings.geo_ip2region, city=settings.geo_city, isp=settings.geo_isp)
        self._relay = Relay(usage, selector, place_of=self._geo.place_of)
        self._reporter = Reporter(
            usage,
            sweep=self._relay.sweep,
            target=self._statistics_url,
            origin=Origin(settings.pod_name, settings.pod_uid, settings.token_file),
            spool=spool,
            pace=Pace.of_flush(settings.report_seconds),
        )
        self._registry = metrics.registry(
            metrics.RelayCollector(
                usage=usage,
                tally=self._reporter.tally,
                snapshot=self._snapshot,
                counters=self._families,
            )
        )
        self._admin = Admin(
            {
                ("GET", "/healthz"): self._healthz,
                ("GET", "/readyz"): self._readyz,
                ("GET", "/metrics"): self._metrics,
                ("GET", "/config"): self._config,
                ("POST", "/drain"): self._drain_request,
            }
        )
        self._ready = False
        self._draining: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._look = asyncio.Event()
        self._look_at_places = asyncio.Event()

    async def start(self) -> None:
        """Listen, take the configuration into force, begin to count; raises OSError."""
        self._geo.take(await asyncio.to_thread(self._geo.look))
        config = self._watch.in_force.config
        listen = config.listen
        if self._settings.host is not None:
            listen = listen.model_copy(update={"host": self._settings.host})
        self._relay.apply(config, self._watch.in_force.material)
        await self._relay.start(listen)
        port = await self._admin.start(listen.host, listen.admin)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        self._reporter.start()
        self._ready = True
        for listener, (host, bound) in self._relay.addresses.items():
            _log.info("listening", listener=listener, host=host, port=bound)
        _log.info("listening", listener="admin", host=listen.host, port=port)
        self._log_applied()

    async def serve(self) -> int:
        """Serve until a signal, then drain and report; return the exit code."""
        watching = asyncio.create_task(self._watch_forever(), name="watch the configuration")
        stopping = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        placing = asyncio.create_task(self._watch_places(), name="watch the databases of places")
        tasks = [watching, placing, *self._reporter.tasks]
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in tasks if task.done()]
        for task in broken:
            # None of these ends by itself. Better a drain, a report and a restart than a relay that does
            # not count or does not see its configuration.
            _log.error("program fault", task=task.get_name(), exc_info=task.exception())
        self._ready = False
        watching.cancel()
        placing.cancel()
        await self._drain_all()
        await self._relay.close()
        seconds = self._settings.final_report_seconds
        taken = await self._reporter.finish(min(1.0, seconds) if self._hurry.is_set() else seconds)
        await self._admin.close()
        _log.info("ended", all_usage_reported=taken)
        return 1 if broken else 0

    def _on_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._ready = False
        self._stop.set()

    def _on_reload(self) -> None:
        self._watch.force()
        self._look.set()
        self._look_at_places.set()

    async def _drain_all(self) -> None:
        """Drain; a second signal closes what is left at once."""
        drain = self._begin_drain(None)
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            await self._relay.drain(0)
        hurry.cancel()
        await drain

    def _begin_drain(self, seconds: float | None) -> asyncio.Task[None]:
        self._ready = False
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(seconds), name="drain")
        return self._draining

    async def _drain(self, seconds: float | None) -> None:
        began = time.monotonic()
        _log.info("drain started", open_connections=self._relay.open_connections, seconds=seconds)
        await self._relay.drain(seconds)
        _log.info(
            "drain finished",
            open_connections=self._relay.open_connections,
            took_seconds=round(time.monotonic() - began, 2),
        )

    async def _watch_forever(self) -> None:
        while True:
            await _told_or_after(LOOK_SECONDS, self._look)
            outcome = await asyncio.to_thread(self._watch.look)
            if isinstance(outcome, ConfigRefusedError):
                self._watch.refuse(outcome)
                _log.error(
                    "configuration refused",
                    generation=outcome.generation,
                    reason=str(outcome),
                    in_force=self._watch.in_force.config.generation,
                )
            elif outcome is not None:
                self._relay.apply(outcome.config, outcome.material)
                self._watch.accepted(outcome)
                self._log_applied()

    async def _watch_places(self) -> None:
        while True:
            await _told_or_after(GEO_LOOK_SECONDS, self._look_at_places)
            self._geo.take(await asyncio.to_thread(self._geo.look))

    def _families(self) -> Iterator[Family | Distribution]:
        yield from self._relay.metric_families()
        yield from self._geo.families()

    def _log_applied(self) -> None:
        config = self._watch.in_force.config
        for domain in config.domains:
            self._usage.know(domain.domain)
        _log.info("configuration applied", generation=config.generation, domains=len(config.domains))

    def _statistics_url(self) -> str | None:
        statistics = self._watch.in_force.config.statistics
        return statistics.url if statistics is not None else None

    def _snapshot(self) -> metrics.Snapshot:
        return metrics.Snapshot(
            generation=self._watch.in_force.config.generation,
            ready=self._ready,
            draining=self._draining is not None,
            config_refusals=self._watch.refusals,
            config_is_refused=self._watch.refused is not None,
        )

    async def _healthz(self, _query: Mapping[str, str]) -> Reply:
        return text_reply(200, "ok")

    async def _readyz(self, _query: Mapping[str, str]) -> Reply:
        if self._ready:
            return text_reply(200, "ok")
        return text_reply(503, "draining" if self._draining or self._stop.is_set() else "starting")

    async def _metrics(self, _query: Mapping[str, str]) -> Reply:
        self._relay.sweep()
        return Reply(200, metrics.exposition(self._registry), metrics.CONTENT_TYPE)

    async def _config(self, _query: Mapping[str, str]) -> Reply:
        refused = self._watch.refused
        state = RelayState(
            generation=self._watch.in_force.config.generation,
            draining=self._draining is not None,
            openConnections=self._relay.open_connections,
            refusedGeneration=refused.generation if refused is not None else None,
            refusedReason=str(refused) if refused is not None else None,
        )
        return json_reply(200, state.model_dump(mode="json"))

    async def _drain_request(self, query: Mapping[str, str]) -> Reply:
        """Begin to drain and stay: the process ends with SIGTERM, so that nothing restarts it meanwhile."""
        seconds: float | None = None
        if "seconds" in query:
            try:
                seconds = float(query["seconds"])
            except ValueError:
                seconds = -1.0
            if not 0 <= seconds <= MAX_DRAIN_SECONDS:
                return text_reply(400, f"seconds: a number from 0 to {MAX_DRAIN_SECONDS:g}")
        self._begin_drain(seconds)
        return text_reply(202, "draining")


async def _told_or_after(seconds: float, told: asyncio.Event) -> None:
    """Wait until `told` is set, but no longer than that, and clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.wait()
    told.clear()


def _raise_file_limit() -> int:
    """Let the process open as many files as it may; return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some kernels refuse an unlimited number
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
