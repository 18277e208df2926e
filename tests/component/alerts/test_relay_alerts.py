"""Each alert about relays fires on the metrics of a relay process in its fault, and is cleared after it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from support.promql import History
from support.relay.heads import upgrade
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess
from support.relay_process.scraping import knock, of, to, until
from support.relay_process.statistics import Statistics
from support.relay_process.traffic import echo_origin

FAST = ("--report-seconds", "0.1")
DESCRIPTORS = 160


async def test_origins_that_do_not_answer(tmp_path: Path) -> None:
    """WsedgeOriginsFail, for the domain: until an origin answers again."""
    history = History(namespace="team-a", pod="chat-relay-1")
    async with echo_origin() as port:
        path = write(tmp_path / "relay.json", config(to(port)))
        async with RelayProcess("--config", path) as relay:
            await history.pass_minutes(6, of(relay, knock(relay)))
            assert history.state("WsedgeOriginsFail") == ""
            write(path, config(domain(), generation="team-a/chat@2"))
            await relay.event("configuration applied", generation="team-a/chat@2")
            await history.pass_minutes(11, of(relay, knock(relay)))
            (alert,) = history.alerts("WsedgeOriginsFail")
            assert (alert.state, alert.labels["namespace"]) == ("firing", "team-a")
            assert "chat.example.com" in alert.annotations["summary"]
            write(path, config(to(port), generation="team-a/chat@3"))
            await relay.event("configuration applied", generation="team-a/chat@3")
            await history.pass_minutes(6, of(relay, knock(relay)))
            assert history.state("WsedgeOriginsFail") == ""


async def test_clients_that_are_refused_hide_no_failing_origin(tmp_path: Path) -> None:
    """Alert WsedgeOriginsFail: anybody gets as many answers 4xx as it likes; alone they are no failure."""
    history = History(namespace="team-a", pod="chat-relay-1")
    path = write(tmp_path / "relay.json", config(domain()))
    async with RelayProcess("--config", path) as relay:
        plain = knock(relay, b"GET /room HTTP/1.1\r\nHost: chat.example.com\r\n\r\n")
        genuine = knock(relay)

        async def hostile() -> None:
            for _ in range(20):
                await plain()

        async def both() -> None:
            await hostile()
            await genuine()

        await history.pass_minutes(12, of(relay, hostile))
        assert history.state("WsedgeOriginsFail") == ""
        await history.pass_minutes(12, of(relay, both))
        (alert,) = history.alerts("WsedgeOriginsFail")
        assert (alert.state, "(namespace team-a)" in alert.annotations["summary"]) == ("firing", True)


async def test_a_configuration_that_is_refused(tmp_path: Path) -> None:
    """WsedgeConfigurationRefused: until a good one."""
    history, path = History(), write(tmp_path / "relay.json", config())
    async with RelayProcess("--config", path) as relay:
        await history.pass_minutes(2, of(relay))
        assert history.state("WsedgeConfigurationRefused") == ""
        write(path, {"version": 99})
        await until(relay, "config_refused", lambda value: value == 1)
        await history.pass_minutes(11, of(relay))
        assert history.state("WsedgeConfigurationRefused") == "firing"
        write(path, config(generation="team-a/chat@2"))
        await until(relay, "config_refused", lambda value: value == 0)
        await history.pass_minutes(1, of(relay))
        assert history.state("WsedgeConfigurationRefused") == ""


def reporting(tmp_path: Path, port: int, statistics: Statistics) -> Path:
    """Write a configuration whose relays report to `statistics`."""
    return write(tmp_path / "relay.json", config(to(port), statistics={"url": statistics.url}))


async def test_counts_that_are_refused_for_good(tmp_path: Path) -> None:
    """WsedgeUsageLost: for an hour after the last."""
    refusal = json.dumps({"errors": [{"row": 0, "detail": "no such domain"}]}).encode()
    history = History()
    async with Statistics() as statistics, echo_origin() as port:
        path = reporting(tmp_path, port, statistics)
        async with RelayProcess("--config", path, *FAST) as relay:
            await history.pass_minutes(2, of(relay))
            assert history.state("WsedgeUsageLost") == ""
            statistics.answers[0] = (422, {"Content-Type": "application/problem+json"}, refusal)
            await knock(relay)()
            await until(relay, "usage_rows_refused_total", lambda value: value >= 1)
            statistics.answers[0] = 204
            await history.pass_minutes(1, of(relay))
            assert history.state("WsedgeUsageLost") == "firing"
            await history.pass_minutes(61, of(relay))
            assert history.state("WsedgeUsageLost") == ""


async def test_counts_that_are_not_acknowledged(tmp_path: Path) -> None:
    """WsedgeUsageNotReported: until the ledger has them."""
    history = History()
    async with Statistics() as statistics, echo_origin() as port:
        path = reporting(tmp_path, port, statistics)
        async with RelayProcess("--config", path, *FAST) as relay:
            await knock(relay)()
            await until(relay, "usage_reports_taken_total", lambda value: value >= 1)
            await until(relay, "usage_rows_waiting", lambda value: value == 0)
            await history.pass_minutes(2, of(relay))
            assert history.state("WsedgeUsageNotReported") == ""
            statistics.answers[0] = 503
            await knock(relay)()
            await until(relay, "usage_rows_waiting", lambda value: value >= 1)
            await history.pass_minutes(42, of(relay))
            assert history.state("WsedgeUsageNotReported") == "firing"
            statistics.answers[0] = 204
            await until(relay, "usage_rows_waiting", lambda value: value == 0)
            await history.pass_minutes(1, of(relay))
            assert history.state("WsedgeUsageNotReported") == ""


async def test_clocks_that_differ(tmp_path: Path) -> None:
    """WsedgeClocksDiffer: by the time in the statistics' answers."""
    history = History()

    def answer(ahead: float) -> Any:
        return (204, {"Date": formatdate(time.time() + ahead, usegmt=True)}, b"")

    async with Statistics() as statistics, echo_origin() as port:
        path = reporting(tmp_path, port, statistics)
        async with RelayProcess("--config", path, *FAST) as relay:
            for ahead, minutes, state in ((0.0, 2, ""), (-600.0, 17, "firing"), (0.0, 1, "")):
                statistics.answers[0] = answer(ahead)
                await knock(relay)()
                differs = ahead != 0
                await until(
                    relay,
                    "usage_clock_ahead_seconds",
                    lambda value: (abs(value) > 500) is differs,  # noqa: B023  used in this round
                )
                await history.pass_minutes(minutes, of(relay))
                assert history.state("WsedgeClocksDiffer") == state


async def test_a_spool_that_cannot_be_written(tmp_path: Path) -> None:
    """WsedgeSpoolFails: for a quarter of an hour after the last failure."""
    history, spool = History(), tmp_path / "spool"
    async with Statistics() as statistics, echo_origin() as port:
        path = reporting(tmp_path, port, statistics)
        async with RelayProcess("--config", path, "--spool-dir", spool, *FAST) as relay:
            await knock(relay)()
            await history.pass_minutes(2, of(relay))
            assert history.state("WsedgeSpoolFails") == ""
            spool.rename(tmp_path / "gone")
            await knock(relay)()
            await until(relay, "spool_failures_total", lambda value: value >= 1)
            await history.pass_minutes(7, of(relay))
            assert history.state("WsedgeSpoolFails") == "firing"
            (tmp_path / "gone").rename(spool)
            await knock(relay)()
            await relay.event("spool recovered")
            await history.pass_minutes(17, of(relay))
            assert history.state("WsedgeSpoolFails") == ""


async def test_workers_that_end_again_and_again(tmp_path: Path) -> None:
    """WsedgeWorkersCrash: one end is none of its business."""
    history = History()
    path = write(tmp_path / "relay.json", config())
    async with RelayProcess("--config", path, "--workers", "2") as relay:

        async def kill() -> None:
            seen = len(relay.events)
            running = [event for event in relay.events if event.get("event") == "worker started"]
            os.kill(int(running[-1]["process"]), signal.SIGKILL)
            await relay.event("worker started", after=seen)

        await relay.event("worker started", worker=2)
        await history.pass_minutes(2, of(relay))
        await history.pass_minutes(1, of(relay, kill))
        assert history.state("WsedgeWorkersCrash") == ""
        await history.pass_minutes(2, of(relay, kill))
        assert history.state("WsedgeWorkersCrash") == "firing"
        await history.pass_minutes(16, of(relay))
        assert history.state("WsedgeWorkersCrash") == ""


def few() -> None:
    """Lower the limit of descriptors in the child before the program starts."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


async def test_a_relay_without_descriptors(tmp_path: Path) -> None:
    """WsedgeDescriptorsShort: until clients have left."""
    history = History()
    async with echo_origin() as port:
        path = write(tmp_path / "relay.json", config(to(port)))
        async with RelayProcess("--config", path, prepare=few) as relay:
            await history.pass_minutes(2, of(relay))
            assert history.state("WsedgeDescriptorsShort") == ""
            http = await relay.port("http")
            writers = [(await asyncio.open_connection("127.0.0.1", http))[1] for _ in range(DESCRIPTORS)]
            for writer in writers:
                writer.write(upgrade("/room"))
            await relay.event("accepting paused", reason="few descriptors are left")
            await until(relay, "accept_failures_total", lambda value: value >= 1)
            await history.pass_minutes(7, of(relay))
            assert history.state("WsedgeDescriptorsShort") == "firing"
            for writer in writers:
                writer.transport.abort()
            await relay.event("accepting resumed")
            await knock(relay)()
            await until(relay, 'open_connections{domain="chat.example.com"}', lambda value: value == 0)
            await history.pass_minutes(12, of(relay))
            assert history.state("WsedgeDescriptorsShort") == ""
