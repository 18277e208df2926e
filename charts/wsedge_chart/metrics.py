"""The metrics of relay, operator and statistics as their own tables describe them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric

from wsedge_operator.runtime.metrics import Metrics as OperatorMetrics
from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import Usage
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.relay import Relay
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.exposition import RelayCollector, Snapshot, StateCollector
from wsedge_statistics.metrics import Metrics as StatisticsMetrics
from wsedge_statistics.presence import Relays


class Described(NamedTuple):
    """A metric: `name` is that of its series, without the suffixes of a histogram."""

    name: str
    type: str
    text: str


def described() -> dict[str, Described]:
    """Return every metric of the three programs by the name of its series."""
    families = [
        *asyncio.run(_relay()),
        *_operator(),
        *_statistics(),
        *ProcessCollector(registry=None).collect(),
    ]
    return {each.name: each for each in _described(families)}


_SUFFIX: Final = {"counter": "_total"}


def _described(families: Iterable[Metric]) -> Iterator[Described]:
    for family in families:
        name = family.name + _SUFFIX.get(family.type, "")
        yield Described(name, family.type, family.documentation)


async def _relay() -> list[Metric]:
    selector = PumpSelector()
    usage = Usage(now=0.0, monotonic=time.monotonic)
    relay = Relay(usage, selector)
    relay.counters["d"] = DomainCounters()
    collector = RelayCollector(usage=usage, tally=ReportTally(), counters=relay.metric_families)
    state = StateCollector(lambda: Snapshot("g", True, False, 0, False))
    families = [*collector.collect(), *state.collect()]
    selector.close()
    return families


def _operator() -> list[Metric]:
    return _collected(OperatorMetrics().registry)


def _statistics() -> list[Metric]:
    metrics = StatisticsMetrics()
    metrics.ledger.watch(size=lambda: 0, backlog=lambda: 0, writable=lambda: True)
    metrics.ledger.watch_disk(size=lambda: 0, free=lambda: 0)
    metrics.relays.watch(lambda: Relays(0, 0), lambda: 0)
    metrics.statements.watch_closing(lambda: True)
    metrics.statements.watch_prices(lambda: True)
    return _collected(metrics.registry)


def _collected(registry: CollectorRegistry) -> list[Metric]:
    return list(registry.collect())
