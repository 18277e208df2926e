"""Each panel of a dashboard finds series in the metrics of real programs (the operator's: tests/cluster)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from support.promql import History, Scrape, shown_by, without_series
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess
from support.relay_process.scraping import knock, of, until
from support.relay_process.traffic import Client, echo_origin
from support.statistics.build import recent_bucket, report, row
from support.statistics.process import statistics, until_true
from wsedge_chart.__main__ import FOLDER, main

ROOT = Path(__file__).parents[3]


def dashboard(name: str) -> Any:
    return json.loads((ROOT / FOLDER / f"wsedge-{name}.json").read_text("utf-8"))


def test_the_dashboards_are_those_of_the_tables() -> None:
    """`make generate` was run."""
    assert main(["--check", "--root", str(ROOT)]) == 0


def text_of(domains: dict[str, int]) -> Scrape:
    """Return the scrape of a pod that names these domains, with an origin that is healthy (1) or not (0)."""
    lines = [
        line
        for name, value in domains.items()
        for line in (
            f'wsedge_relay_open_connections{{domain="{name}"}} 1',
            f'wsedge_relay_origin_healthy{{domain="{name}",origin="a:80"}} {value}',
            f'wsedge_relay_origin_failures_total{{domain="{name}",reason="connect"}} 5',
            f'wsedge_relay_handshakes_total{{domain="{name}",code="{name}"}} 5',
            f'wsedge_relay_rtt_seconds_bucket{{domain="{name}",side="{name}",le="+Inf"}} 5',
        )
    ]

    async def scrape() -> str | None:
        return "\n".join([*lines, ""])

    return scrape


async def test_a_tenant_floods_no_panel_and_speaks_for_no_other() -> None:
    """A pod that poses as a relay names thousands of domains, another tenant's among them."""
    history, posing = History(), {f"d{number}.example": 0 for number in range(3000)}
    for minutes in (1, 1, 1):
        await history.pass_minute_of_pods({"true": text_of({"a.example": 1})}, namespace="team-a")
        posers = {"posing": text_of({**posing, "a.example": 0})}
        await history.pass_minute_of_pods(posers, minutes=minutes - 1, namespace="team-b")
    everything = shown_by(dashboard("relays"))
    for each, found in zip(everything, history.query(*(one.expr for one in everything)), strict=True):
        assert len(found) <= 50, each
    for title, value in (("Healthy", "1"), ("Open connections", "1"), ("Failures", "0")):
        (panel,) = [each for each in shown_by(dashboard("relays"), namespace="team-a") if each.title == title]
        (found,) = history.query(panel.expr)
        assert [(each["labels"]["namespace"], each["value"]) for each in found] == [("team-a", value)]
    for panel in everything:
        assert "domain" not in panel.legend or "namespace" in panel.legend


async def test_panels_of_relays_and_statistics_find_series(tmp_path: Path) -> None:
    """After traffic, an origin that failed, a refused report and a question."""
    relays = History(namespace="team-a", pod="chat-relay-1")
    ledger = History(namespace="wsedge-system", pod="wsedge-statistics-0")
    with statistics(tmp_path / "data") as program:
        async with echo_origin() as port:
            origins = [{"host": "127.0.0.1", "httpPort": port}]
            served = domain(origins=origins, lifecycle={"drainSeconds": 0}, originHealthCheck={})
            target = {"url": f"http://127.0.0.1:{program.port}"}
            path = write(tmp_path / "relay.json", config(served, statistics=target))
            async with RelayProcess("--config", path, "--report-seconds", "0.2") as relay:
                client = await Client().open(await relay.port("http"))
                await client.echo(b"hello")
                client.close()
                failing = config(domain(), statistics=target, generation="team-a/chat@2")
                write(path, failing)
                await relay.event("configuration applied", generation="team-a/chat@2")
                await knock(relay)()
                write(path, config(served, statistics=target, generation="team-a/chat@3"))
                await relay.event("configuration applied", generation="team-a/chat@3")
                await until(relay, "usage_reports_taken_total", lambda value: value > 0)
                await relays.pass_minutes(3, of(relay))
        assert program.post(report(row(recent_bucket(12 * 24 * 200), sentBytes=1))).status == 422
        assert program.get("/v1/traffic").status == 200

        async def scrape() -> str | None:
            return (await asyncio.to_thread(program.get, "/metrics")).text.decode()

        until_true(lambda: b"ingested_reports_total 0" not in program.get("/metrics").text)
        await ledger.pass_minutes(3, scrape)
    assert without_series(dashboard("relays"), relays) == []
    assert without_series(dashboard("statistics"), ledger) == []
    assert len(without_series(dashboard("operator"), ledger)) > 10  # of a program that does not run here
