"""Prometheus metrics, built at each scrape from the same integers as the usage reports.

Labels are bounded: domains are those of the configurations so far, codes are those of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import DomainTotals, Usage
from wsedge_relay.telemetry.counters import Histogram
from wsedge_relay.telemetry.families import Distribution, Family
from wsedge_relay.telemetry.merging import PREFIX as _PREFIX
from wsedge_relay.telemetry.merging import Metrics

CONTENT_TYPE = CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the relay as a whole, at a scrape.

    `workers` is the number of processes that accept connections now.
    """

    generation: str
    ready: bool
    draining: bool
    config_refusals: int
    config_is_refused: bool
    workers: int = 1
    worker_restarts: int = 0
    drains_abandoned: int = 0


class StateCollector(Collector):
    """Collects the state of the relay as a whole as metric families."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Return every family; called by the registry at a scrape."""
        now = self._snapshot()
        gauges = [
            ("ready", "1 while the relay accepts new connections.", now.ready),
            ("draining", "1 from the start of a drain.", now.draining),
            ("config_refused", "1 while the newest configuration is refused.", now.config_is_refused),
            ("workers", "Processes that accept connections.", now.workers),
        ]
        for name, text, value in gauges:
            yield GaugeMetricFamily(_PREFIX + name, text, value=float(value))
        info = GaugeMetricFamily(_PREFIX + "config_info", "The generation in force.", labels=["generation"])
        info.add_metric([now.generation], 1)
        yield info
        counted = [
            ("config_refusals", "Configurations refused.", now.config_refusals),
            ("worker_restarts", "Worker processes that ended and were restarted.", now.worker_restarts),
            (
                "drains_abandoned",
                "Requested drains after which no signal stopped the relay, so that it serves again.",
                now.drains_abandoned,
            ),
        ]
        for name, text, times in counted:
            yield CounterMetricFamily(_PREFIX + name, text, value=times)


class RelayCollector(Collector):
    """Collects the integers of one process as metric families; `counters` returns those of the data path."""

    def __init__(
        self,
        *,
        usage: Usage,
        tally: ReportTally,
        counters: Callable[[], Iterable[Family | Distribution]],
    ) -> None:
        self._usage = usage
        self._tally = tally
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        """Return every family; called by the registry at a scrape."""
        yield from self._of_domains()
        yield from self._of_process()

    def _of_domains(self) -> Iterable[Metric]:
        totals = self._usage.totals
        counted: list[tuple[str, str, Callable[[DomainTotals], int]]] = [
            ("opened_connections", "Tunnels opened.", lambda total: total.opened_connections),
            ("sent_bytes", "Bytes sent to clients, after TLS.", lambda total: total.sent_bytes),
            ("received_bytes", "Bytes received from clients, after TLS.", lambda total: total.received_bytes),
            ("sent_messages", "WebSocket messages sent to clients.", lambda total: total.sent_messages),
            (
                "received_messages",
                "WebSocket messages received from clients.",
                lambda total: total.received_messages,
            ),
        ]
        for name, text, value in counted:
            family = CounterMetricFamily(_PREFIX + name, text, labels=["domain"])
            for domain, total in totals.items():
                family.add_metric([domain], value(total))
            yield family
        connections = GaugeMetricFamily(_PREFIX + "open_connections", "Tunnels open now.", labels=["domain"])
        handshakes = CounterMetricFamily(
            _PREFIX + "handshakes",
            "Answered handshakes and passed requests, by HTTP status.",
            labels=["domain", "code"],
        )
        for domain, total in totals.items():
            connections.add_metric([domain], total.open_connections)
            for status, times in sorted(total.codes.items()):
                handshakes.add_metric([domain, str(status)], times)
        yield connections
        yield handshakes
        for counted_by in self._counters():
            yield _metric(counted_by)

    def _of_process(self) -> Iterable[Metric]:
        tally = self._tally
        gauges = [
            ("usage_rows_waiting", "Rows that the ledger has not acknowledged.", self._usage.waiting()),
            (
                "usage_last_taken_seconds",
                "Time of the last acknowledged report (Unix time).",
                tally.last_taken,
            ),
            (
                "usage_clock_ahead_seconds",
                "This clock minus that of the statistics, by their last answer.",
                tally.ahead,
            ),
        ]
        for name, text, value in gauges:
            yield GaugeMetricFamily(_PREFIX + name, text, value=float(value))
        counted = [
            ("usage_reports_taken", "Reports that the ledger committed.", tally.reports_taken),
            ("usage_reports_failed", "Reports that failed.", tally.reports_failed),
            ("usage_rows_refused", "Rows that the ledger rejected permanently.", tally.rows_refused),
            ("usage_rows_dropped", "Rows lost for lack of memory or time.", tally.rows_dropped),
            ("spool_failures", "Failed reads and writes of the spool.", tally.spool_failures),
        ]
        for name, text, times in counted:
            yield CounterMetricFamily(_PREFIX + name, text, value=times)


def _metric(counted: Family | Distribution) -> Metric:
    if isinstance(counted, Family):
        kind = GaugeMetricFamily if counted.gauge else CounterMetricFamily
        metric = kind(_PREFIX + counted.name, counted.text, labels=counted.labels)
        for labels, number in counted.rows:
            metric.add_metric(labels, number)
        return metric
    histograms = HistogramMetricFamily(_PREFIX + counted.name, counted.text, labels=counted.labels)
    for labels, histogram in counted.rows:
        histograms.add_metric(labels, _buckets(histogram), histogram.sum)
    return histograms


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return (upper bound, number of values up to it) for each bucket, as Prometheus defines `le`."""
    bounds = (*(str(bound) for bound in histogram.bounds), "+Inf")
    return [*zip(bounds, accumulate(histogram.counts), strict=True)]


def registry(*collectors: Collector) -> CollectorRegistry:
    """Return a registry of `collectors` and the process's own metrics."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def exposition(source: CollectorRegistry) -> bytes:
    """Return the metrics as text of the type CONTENT_TYPE."""
    return generate_latest(source)


def read(source: CollectorRegistry) -> list[Metrics]:
    """Return the metrics as values, which `merging` can add up and another process can receive."""
    return [
        Metrics(
            family.name,
            family.documentation,
            family.type,
            {(sample.name, tuple(sample.labels.items())): sample.value for sample in family.samples},
        )
        for family in source.collect()
    ]


def exposition_of(families: Iterable[Metrics]) -> bytes:
    """Return metrics that `read` returned, also in another process, as text of the type CONTENT_TYPE."""
    source = CollectorRegistry(auto_describe=False)
    source.register(_Given(families))
    return generate_latest(source)


class _Given(Collector):
    """A collector of metrics that `read` returned."""

    def __init__(self, families: Iterable[Metrics]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric
