"""One process of a relay, alone or a worker among several: data path, metering, drain and end."""

from __future__ import annotations

import asyncio
import resource
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import structlog

from wsedge_relay.config.follow import set_or_after
from wsedge_relay.config.load import LoadedConfig
from wsedge_relay.contract import Listen, RelayState
from wsedge_relay.errors import CannotListenError
from wsedge_relay.geo.databases import POLL_SECONDS as GEO_POLL_SECONDS
from wsedge_relay.geo.databases import GeoDatabases
from wsedge_relay.metering.report import ReportTimes
from wsedge_relay.metering.reporter import Reporter, ReportingPod
from wsedge_relay.metering.spool import Spool
from wsedge_relay.metering.usage import Usage
from wsedge_relay.policy.limits import Limiter
from wsedge_relay.pump.frames import GOING_AWAY
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.relay import Relay
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry.exposition import RelayCollector
from wsedge_relay.telemetry.families import Distribution, Family
from wsedge_relay.tunnel import listing
from wsedge_relay.tunnel.shedding import ShedOrder, ShedProgress

# The reason in the Close frame, in the metrics and in the access log.
CLOSE_REASON: Final = "closed by request"

_log = structlog.get_logger(__name__)


class RelayProcess:
    """A data path and its metering. Order of calls: `start`, then `serve`; `apply` at any time.

    `limiter_of` makes the limiter of a domain; `in_pod` is as in Reach.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: LoadedConfig,
        selector: PumpSelector,
        *,
        usage: Usage,
        spool: Spool | None,
        limiter_of: Callable[[str], Limiter] = lambda _: Limiter(),
        in_pod: bool,
    ) -> None:
        self._settings = settings
        self._loaded = loaded
        self._usage = usage
        # Numbers of tunnels begin again with each process, and a close must not hit another's connection.
        self._epoch = secrets.token_hex(4)
        self._geo = GeoDatabases(
            ip2region=settings.geo_ip2region, city=settings.geo_city, isp=settings.geo_isp
        )
        self._relay = Relay(
            usage,
            selector,
            place_of=self._geo.place_of,
            limiter_of=limiter_of,
            in_pod=in_pod,
        )
        self._reporter = Reporter(
            usage,
            sweep=self._relay.sweep,
            target=self._statistics_url,
            pod=ReportingPod(settings.pod_name, settings.pod_uid, settings.token_file),
            spool=spool,
            times=ReportTimes.of_flush(settings.report_seconds),
            cluster=self._cluster,
        )
        self.collector = RelayCollector(usage=usage, tally=self._reporter.tally, counters=self._families)
        self.sweep = self._relay.sweep
        self._started = False
        self._draining: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._check_geo_now = asyncio.Event()

    async def start(self, listen: Listen, *, shared: bool = False) -> None:
        """Accept connections at the addresses of `listen` and start to count; raises CannotListenError.

        With `shared` this process is a worker: other processes accept connections there too.
        """
        self._geo.apply(await asyncio.to_thread(self._geo.poll))
        self.apply(self._loaded)
        try:
            await self._relay.start(listen, shared=shared)
        except OSError as error:
            raise CannotListenError(error) from error
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # A terminal or a service manager signals all processes, and the supervisor also sends the order
            # `stop`. So a second stop must not mean "hurry" to a worker: it would not drain.
            loop.add_signal_handler(number, self.stop if shared else self._on_signal)
        self._reporter.start()
        self._started = True

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """The address of each listener: its name to host and port."""
        return self._relay.addresses

    @property
    def stopping(self) -> bool:
        """Whether the process drains in order to end."""
        return self._stop.is_set()

    @property
    def is_leaving(self) -> bool:
        """Whether new connections are refused because the process drains or stops."""
        return self._draining is not None or self.stopping

    @property
    def ready(self) -> bool:
        """Whether new connections are accepted."""
        return self._started and not self.is_leaving

    @property
    def state(self) -> RelayState:
        """The generation in force, drain and open connections; not the rejected configuration."""
        return RelayState(
            generation=self._loaded.config.generation,
            draining=self._draining is not None,
            openConnections=self._relay.open_connections,
        )

    def apply(self, loaded: LoadedConfig) -> None:
        """Put another configuration in force."""
        self._relay.apply(loaded.config, loaded.material)
        self._loaded = loaded
        for domain in loaded.config.domains:
            self._usage.add_domain(domain.domain)

    def check_geo_databases(self) -> None:
        """Check the geo databases for changes now."""
        self._check_geo_now.set()

    def stop(self) -> None:
        """Drain, report the usage and end; a second call has no effect."""
        self._stop.set()

    def hurry(self) -> None:
        """End, and close open connections at once."""
        self._hurry.set()
        self._stop.set()

    def start_drain(self, seconds: float | None) -> asyncio.Task[None]:
        """Refuse new connections and close open ones over `seconds` (None: each domain's own time).

        Return the task of the drain. During a drain another call returns its task and ignores `seconds`.
        """
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(seconds), name="drain")
        return self._draining

    def shed(self, order: ShedOrder) -> None:
        """Close some open connections, as `order` says; without effect while the process leaves."""
        if not self.is_leaving:
            self._relay.shed(order)

    @property
    def shed_progress(self) -> ShedProgress:
        """The progress of the last order to shed."""
        return self._relay.shed_progress

    async def connections(self, domain: str | None, after: int, limit: int) -> dict[str, Any]:
        """Return a page of open connections, and in `next` the number behind which the next page begins."""
        tunnels = await listing.page_of(self._relay.tunnels, domain=domain, after=after, limit=limit)
        return {
            "connections": await listing.described(tunnels, epoch=self._epoch),
            "next": tunnels[-1].number if len(tunnels) == limit else None,
        }

    def close_connection(self, name: str) -> bool:
        """Close a connection of this process by its id, with 1001; return False when it is not open here."""
        epoch, _, number = name.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit() and len(number) <= 15):
            return False
        tunnel = listing.find(self._relay.tunnels, int(number))
        if tunnel is None:
            return False
        self._relay.tunnels.close(tunnel, GOING_AWAY, CLOSE_REASON)
        return True

    def resume(self) -> bool:
        """End the drain and accept new connections; return False without a drain or while stopping."""
        if self.stopping or self._draining is None:
            return False
        self._draining.cancel()
        self._draining = None
        self._relay.resume()
        return True

    async def serve(self, *others: asyncio.Task[None]) -> int:
        """Serve until `stop`, then drain and report; return the exit code.

        `others` are cancelled at the end. A task of `others` that ends before has crashed, and the process
        ends.
        """
        stopping = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        watching_geo = asyncio.create_task(self._watch_geo(), name="watch the geo databases")
        tasks = [watching_geo, *others, *self._reporter.tasks]
        await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in tasks if task.done()]
        for task in broken:
            # A restart, after a drain and a report, is better than a relay that does not count or does not
            # apply its configuration.
            _log.error("task crashed", task=task.get_name(), exc_info=task.exception())
        self._stop.set()
        for task in (watching_geo, *others):
            task.cancel()
        await self._drain_all()
        await self._relay.close()
        seconds = self._settings.final_report_seconds
        reported = await self._reporter.finish(min(1.0, seconds) if self._hurry.is_set() else seconds)
        _log.info("ended", all_usage_reported=reported)
        return 1 if broken else 0

    def _on_signal(self) -> None:
        if self.stopping:
            self.hurry()
        self.stop()

    async def _drain_all(self) -> None:
        """Drain within each domain's drainSeconds; `hurry` closes the remaining connections at once."""
        begun = self._draining is not None
        drain = own = self.start_drain(None)
        if begun:  # the requested drain may last an hour, and the kubelet kills the pod long before
            own = asyncio.create_task(self._relay.drain(), name="hurry the drain")
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([own, hurry], return_when=asyncio.FIRST_COMPLETED)
        if not own.done():
            await self._relay.drain(0)
        hurry.cancel()
        await asyncio.gather(drain, own)

    async def _drain(self, seconds: float | None) -> None:
        began = time.monotonic()
        _log.info("drain started", open_connections=self._relay.open_connections, seconds=seconds)
        await self._relay.drain(seconds)
        _log.info(
            "drain finished",
            open_connections=self._relay.open_connections,
            took_seconds=round(time.monotonic() - began, 2),
        )

    async def _watch_geo(self) -> None:
        while True:
            await set_or_after(GEO_POLL_SECONDS, self._check_geo_now)
            self._geo.apply(await asyncio.to_thread(self._geo.poll))

    def _families(self) -> Iterator[Family | Distribution]:
        yield from self._relay.metric_families()
        yield from self._geo.families()

    def _statistics_url(self) -> str | None:
        statistics = self._loaded.config.statistics
        return statistics.url if statistics is not None else None

    def _cluster(self) -> str | None:
        statistics = self._loaded.config.statistics
        return statistics.cluster if statistics is not None else None


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard limit; return the soft limit then in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some kernels refuse an unlimited number
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
