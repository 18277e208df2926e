"""The merged metrics of several workers equal those of one relay."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from wsedge_relay.contract import RelayState
from wsedge_relay.geo.databases import GeoDatabases
from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import Usage
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.relay import Relay
from wsedge_relay.telemetry import exposition
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.exposition import RelayCollector
from wsedge_relay.telemetry.merging import (
    GAUGES,
    PREFIX,
    Metrics,
    aggregate,
    combined,
    from_json,
    risen,
    to_json,
)

NUMBERS = st.integers(0, 10**12).map(float)
LABELS = st.tuples(st.tuples(st.just("domain"), st.sampled_from("abc")))


def family(name: str, kind: str, *values: tuple[str, float]) -> Metrics:
    """Return a family of one label."""
    return Metrics(
        PREFIX + name, "A text.", kind, {(PREFIX + name, (("domain", at),)): value for at, value in values}
    )


def worker(draw: st.DrawFn) -> list[Metrics]:
    """Return some of the families that a worker could have, with values."""
    kinds = {"pauses": "counter", "rtt_seconds": "histogram", "open_connections": "gauge"}
    names = draw(st.lists(st.sampled_from(sorted(kinds)), unique=True))
    return [
        Metrics(
            PREFIX + name, name, kinds[name], draw(st.dictionaries(st.tuples(st.just(name), LABELS), NUMBERS))
        )
        for name in names
    ]


WORKERS = st.lists(st.composite(worker)(), max_size=5)


def values(families: Sequence[Metrics]) -> dict[object, float]:
    """Return every sample by its family, name and labels."""
    return {(each.name, *at): value for each in families for at, value in each.samples.items()}


@settings(deadline=None)
@given(WORKERS)
def test_amounts_are_summed(workers: list[list[Metrics]]) -> None:
    """Each sample is the sum over the workers that have it; no sample is lost or added."""
    summed: dict[object, float] = {}
    for each in workers:
        for at, value in values(each).items():
            summed[at] = summed.get(at, 0.0) + value
    assert values(aggregate(workers)) == summed


@settings(deadline=None)
@given(WORKERS, WORKERS)
def test_counters_never_fall_when_a_worker_ends(
    ended: list[list[Metrics]], left: list[list[Metrics]]
) -> None:
    """Counters and histograms of ended workers are retained; their gauges are dropped."""
    before = aggregate([*ended, *left])
    carried: list[Metrics] = []
    for other in ended:  # one after the other
        carried = aggregate([carried, risen(other)])
    after = values(aggregate([carried, *left]))
    for each in before:
        if each.kind != "gauge":
            assert {at: after[at] for at in values([each])} == values([each])
    assert all("open_connections" not in each.name for each in carried)


@settings(deadline=None)
@given(WORKERS)
def test_metrics_come_back_from_json(workers: list[list[Metrics]]) -> None:
    """All values are exactly equal."""
    for each in workers:
        assert from_json(json.loads(json.dumps(to_json(each)))) == each


@pytest.mark.parametrize(
    ("name", "each", "result"),
    [
        ("origin_healthy", (1.0, 0.0, 1.0), 0.0),
        ("origin_ejected", (0.0, 1.0, 0.0), 1.0),
        ("origin_check_seconds", (0.1, 0.3, 0.2), 0.3),
        ("geo_files", (1.0, 0.0), 0.0),
        ("usage_last_taken_seconds", (10.0, 30.0, 0.0), 30.0),
        ("usage_clock_ahead_seconds", (10.0, -30.0, 0.0), -30.0),
        ("usage_rows_waiting", (2.0, 3.0), 5.0),
    ],
)
def test_a_gauge_has_its_own_rule(name: str, each: tuple[float, ...], result: float) -> None:
    """States are merged by minimum or maximum; only amounts are summed."""
    (made,) = aggregate([[family(name, "gauge", ("a", value))] for value in each])
    assert list(made.samples.values()) == [result]


async def test_every_gauge_of_a_worker_has_a_rule() -> None:
    """A new gauge needs a rule, and a removed gauge must not leave one."""
    selector = PumpSelector()
    usage = Usage(now=0.0, monotonic=time.monotonic)
    relay = Relay(usage, selector)
    relay.counters["d"] = DomainCounters()
    geo = GeoDatabases(ip2region=None, city=None, isp=None)
    collector = RelayCollector(
        usage=usage, tally=ReportTally(), counters=lambda: [*relay.metric_families(), *geo.families()]
    )
    read = exposition.read(exposition.registry(collector))
    selector.close()
    assert {each.kind for each in read} <= {"counter", "gauge", "histogram"}
    gauges = {each.name.removeprefix(PREFIX) for each in read if each.kind == "gauge"}
    assert gauges == set(GAUGES)


def test_the_exposition_equals_the_collected_metrics() -> None:
    """The text of metrics from another process equals that of their registry."""
    usage = Usage(now=0.0, monotonic=time.monotonic)
    usage.add_domain('a"b')
    registry = exposition.registry(RelayCollector(usage=usage, tally=ReportTally(), counters=list))
    own = "python_", "process_"

    def lines(text: bytes) -> list[str]:
        return [line for line in text.decode().splitlines() if not any(word in line for word in own)]

    again = lines(exposition.exposition_of(exposition.read(registry)))
    assert again == lines(exposition.exposition(registry))
    assert list(text_string_to_metric_families("\n".join(again) + "\n"))


def state(generation: str, connections: int = 0, *, draining: bool = False) -> RelayState:
    """Return the state of a worker."""
    return RelayState(generation=generation, draining=draining, openConnections=connections)


STATES = {
    "none runs": ([], "new", 0, False),
    "all run it": ([state("new", 2), state("new", 3)], "new", 5, False),
    "one lags": ([state("new"), state("old"), state("new")], "old", 0, False),
    "none has it yet": ([state("old"), state("old", 1)], "old", 1, False),
    "one drains": ([state("new"), state("new", draining=True)], "new", 0, True),
}


@pytest.mark.parametrize(("states", "generation", "connections", "draining"), STATES.values(), ids=STATES)
def test_a_generation_is_in_force_once_all_run_it(
    states: list[RelayState], generation: str, connections: int, draining: bool
) -> None:
    """Connections are summed; a relay drains if one of its workers drains."""
    made = combined(states, "new")
    assert (made.generation, made.openConnections, made.draining) == (generation, connections, draining)
