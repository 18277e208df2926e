"""Metrics in the format of Prometheus."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import Usage, UsageKey
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.exposition import (
    RelayCollector,
    Snapshot,
    StateCollector,
    exposition,
    registry,
)
from wsedge_relay.telemetry.families import Distribution, Family, distributions, families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    """Return the relay's own samples by name without prefix, and labels."""
    return {
        (sample.name.removeprefix("wsedge_relay_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name.startswith("wsedge_relay_")
    }


def test_the_state_of_a_relay_is_gauges_and_counters() -> None:
    """The generation is a label, so that a graph shows when it changed."""
    snapshot = Snapshot(
        generation="g2",
        ready=True,
        draining=False,
        config_refusals=3,
        config_is_refused=True,
        workers=4,
        worker_restarts=2,
        drains_abandoned=1,
    )
    assert samples(exposition(registry(StateCollector(lambda: snapshot)))) == {
        ("ready", ()): 1,
        ("draining", ()): 0,
        ("config_refused", ()): 1,
        ("workers", ()): 4,
        ("config_info", (("generation", "g2"),)): 1,
        ("config_refusals_total", ()): 3,
        ("worker_restarts_total", ()): 2,
        ("drains_abandoned_total", ()): 1,
    }


def test_the_counts_of_a_domain_carry_its_name() -> None:
    """Usage and the data path's counters are metrics of one domain."""
    usage = Usage(now=0.0, monotonic=time.monotonic)
    key = UsageKey("a.example", "team-a")
    usage.opened(key)
    usage.code(key, 101)
    usage.code(key, 403)
    usage.code(key, 403)
    usage.add(key, sent_bytes=10, received_bytes=20, sent_messages=1, received_messages=2)
    counters = DomainCounters()
    counters.origin_failed("refused")
    counters.handshake_seconds.observe(0.003)

    def counted() -> list[Family | Distribution]:
        return [*families({"a.example": counters}), *distributions({"a.example": counters})]

    made = samples(exposition(registry(RelayCollector(usage=usage, tally=ReportTally(), counters=counted))))
    domain = ("domain", "a.example")
    expected = {
        ("opened_connections_total", (domain,)): 1,
        ("open_connections", (domain,)): 1,
        ("sent_bytes_total", (domain,)): 10,
        ("received_bytes_total", (domain,)): 20,
        ("sent_messages_total", (domain,)): 1,
        ("received_messages_total", (domain,)): 2,
        ("handshakes_total", (("code", "101"), domain)): 1,
        ("handshakes_total", (("code", "403"), domain)): 2,
        ("origin_failures_total", (domain, ("reason", "refused"))): 1,
        ("handshake_seconds_bucket", (domain, ("le", "0.0025"))): 0,
        ("handshake_seconds_bucket", (domain, ("le", "0.005"))): 1,
        ("handshake_seconds_bucket", (domain, ("le", "+Inf"))): 1,
        ("handshake_seconds_sum", (domain,)): 0.003,
        ("usage_rows_waiting", ()): 1,
    }
    assert {at: made.get(at) for at in expected} == expected
