"""Alerts about what a program had at its first scrape: a counter above 0, and no success yet."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from support.promql import History, Scrape
from wsedge_operator.runtime.metrics import Metrics as OperatorMetrics
from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import Usage
from wsedge_relay.telemetry.exposition import RelayCollector
from wsedge_statistics.metrics import Metrics as StatisticsMetrics


def of(read: Callable[[], bytes]) -> Scrape:
    async def scrape() -> str | None:
        return read().decode()

    return scrape


def relay(tally: ReportTally) -> Scrape:
    """Return the scrape of a relay with these counts of its reporter."""
    registry = CollectorRegistry()
    usage = Usage(now=time.time(), monotonic=time.monotonic)
    registry.register(RelayCollector(usage=usage, tally=tally, counters=list))
    return of(lambda: generate_latest(registry))


def ledger(damages: int) -> Scrape:
    """Return the scrape of statistics that met damage so often."""
    metrics = StatisticsMetrics()
    for _ in range(damages):
        metrics.ledger.damaged()
    return of(metrics.text)


BEGUN = {
    "rows that the ledger rejects": ("WsedgeUsageLost", lambda: relay(ReportTally(rows_refused=3)), 61),
    "rows that are dropped": ("WsedgeUsageLost", lambda: relay(ReportTally(rows_dropped=1)), 61),
    "a spool that cannot be read": ("WsedgeSpoolFails", lambda: relay(ReportTally(spool_failures=1)), 17),
    "a damaged place": ("WsedgeLedgerDamaged", lambda: ledger(1), 61),
}


@pytest.mark.parametrize(("alert", "faulty", "minutes"), BEGUN.values(), ids=BEGUN)
async def test_a_fault_before_the_first_scrape_is_seen(
    alert: str, faulty: Callable[[], Scrape], minutes: int
) -> None:
    """A pod that was replaced meets it at its start; the alert ends as one of a later fault does."""
    history, pod = History(namespace="team-a"), faulty()
    await history.pass_minute_of_pods({"before": relay(ReportTally())})
    assert history.state(alert) == ""
    for _ in range(7):
        await history.pass_minute_of_pods({"after": pod})
    assert history.state(alert) == "firing"
    for _ in range(minutes):
        await history.pass_minute_of_pods({"after": pod})
    assert history.state(alert) == ""


SOUND = {
    "a relay": ("WsedgeUsageLost", lambda: relay(ReportTally())),
    "a relay with a spool": ("WsedgeSpoolFails", lambda: relay(ReportTally())),
    "statistics": ("WsedgeLedgerDamaged", lambda: ledger(0)),
}


@pytest.mark.parametrize(("alert", "sound"), SOUND.values(), ids=SOUND)
async def test_a_pod_that_begins_without_a_fault_is_none(alert: str, sound: Callable[[], Scrape]) -> None:
    """A new series alone says nothing."""
    history, pod = History(namespace="team-a"), sound()
    for _ in range(7):
        await history.pass_minute_of_pods({"after": pod})
    assert history.state(alert) == ""


async def test_a_directory_that_was_never_sent_is_stale() -> None:
    """Alert WsedgeDirectoryStale: since the start of a leader; a standby sends none."""
    leader, standby = OperatorMetrics(), OperatorMetrics()
    leader.leading.set(1)
    standby.leading.set(0)
    scrapes = {
        "leader": of(lambda: generate_latest(leader.registry)),
        "standby": of(lambda: generate_latest(standby.registry)),
    }
    history = History(namespace="wsedge-system", honor=True)
    for _ in range(22):
        await history.pass_minute_of_pods(scrapes)
    (alert,) = history.alerts("WsedgeDirectoryStale")
    assert (alert.state, alert.labels["pod"]) == ("firing", "leader")
    assert "no Directory for " in alert.annotations["summary"]
    leader.succeeded.labels("directory").set(history.now)
    await history.pass_minute_of_pods(scrapes)
    assert history.state("WsedgeDirectoryStale") == ""
