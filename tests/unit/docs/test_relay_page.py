"""The pages of docs/relay/ are complete: each name in them exists, with all metrics, arguments and fields."""

from __future__ import annotations

import re
import time
from pathlib import Path

from wsedge_relay.config.load import parse
from wsedge_relay.contract import RelayConfig
from wsedge_relay.geo.databases import GeoDatabases
from wsedge_relay.metering.reporter import ReportTally
from wsedge_relay.metering.usage import Usage
from wsedge_relay.pump.selector import PumpSelector
from wsedge_relay.server.relay import Relay
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry.counters import DomainCounters
from wsedge_relay.telemetry.exposition import RelayCollector, Snapshot, StateCollector
from wsedge_relay.telemetry.families import distributions, families

ROOT = Path(__file__).parents[3]
INDEX = ROOT / "docs" / "relay.md"
PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs" / "relay").glob("*.md"))}


def test_the_index_leads_to_every_page() -> None:
    """The index links every page."""
    linked = re.findall(r"\]\(relay/(\w+)\.md\)", INDEX.read_text())
    assert sorted(linked) == sorted(PAGES)


async def test_the_metrics_on_the_page_are_those_there_are() -> None:
    """The tables have exactly the relay's metrics."""
    selector = PumpSelector()
    usage = Usage(now=0.0, monotonic=time.monotonic)
    relay = Relay(usage, selector)
    relay.counters["d"] = DomainCounters()
    collector = RelayCollector(
        usage=usage,
        tally=ReportTally(),
        counters=lambda: [
            *relay.metric_families(),
            *GeoDatabases(ip2region=None, city=None, isp=None).families(),
        ],
    )
    state = StateCollector(lambda: Snapshot("g", True, False, 0, False))
    collected = [*collector.collect(), *state.collect()]
    names = {family.name.removeprefix("wsedge_relay_") for family in collected}
    selector.close()
    assert metrics_on_the_page().keys() == names


def metrics_on_the_page() -> dict[str, str]:
    """Return the labels of each metric on the page, as they are there."""
    table = PAGES["metrics"].split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|(.*?)\|", table, re.MULTILINE)
    return {name: labels.strip() for cell, labels in rows for name in cell.split("`")[1::2]}


def test_the_labels_on_the_page_are_those_there_are() -> None:
    """Of all metrics that come from a domain's counters."""
    counters = {"d": DomainCounters()}
    found = {one.name: ", ".join(one.labels) for one in families(counters)}
    found |= {one.name: ", ".join(one.labels) for one in distributions(counters)}
    assert {name: metrics_on_the_page()[name] for name in found} == found


def test_every_argument_is_on_the_page() -> None:
    """The page has each argument in its form on the command line."""
    arguments = [f"--{name.replace('_', '-')}" for name in Settings.model_fields]
    assert [argument for argument in arguments if f"`{argument} " not in PAGES["running"]] == []


def test_every_field_of_the_configuration_is_on_the_page() -> None:
    """The page has each field of each model of the contract."""
    models = [model for model in RelayConfig.model_json_schema()["$defs"].values() if "properties" in model]
    names = {name for model in (RelayConfig.model_json_schema(), *models) for name in model["properties"]}
    assert sorted(name for name in names if not re.search(rf"[`.\"]{name}\b", PAGES["configuration"])) == []


def test_the_configuration_on_the_page_is_one() -> None:
    """The example parses as a RelayConfig."""
    text = PAGES["running"].split("$ cat relay.json\n")[1].split("$ ")[0]
    config, unknown = parse(Path("relay.json"), text.encode())
    assert (config.generation, unknown) == ("laptop", ())


def test_the_tests_on_the_page_exist() -> None:
    """Each promise names an existing test."""
    tests = "".join(file.read_text() for file in sorted((ROOT / "tests").rglob("test_*.py")))
    named = re.findall(r"`(test_\w+)`", "".join(PAGES.values()))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []
