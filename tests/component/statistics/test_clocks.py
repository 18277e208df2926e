"""Real programs whose clocks differ: a relay's rows wait until the clock of the statistics is right."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from support.faults.clock import StepClock
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess, eventually
from support.relay_process.traffic import Client, echo_origin
from support.statistics.process import Statistics, statistics
from wsedge_relay.metering.spool import decode

ERRORS = {
    "95 days ahead: every row is too old": timedelta(days=95),
    "95 days behind": timedelta(days=-95),
    "two hours behind": timedelta(hours=-2),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
async def test_rows_wait_for_the_clock_of_the_statistics(tmp_path: Path, error: timedelta) -> None:
    """No byte is lost, and the log and the metrics of the relay tell how far the clocks are apart."""
    clock, client = StepClock(tmp_path, error), Client()
    skewed = ("env", *(f"{name}={value}" for name, value in clock.variables.items()))
    with statistics(tmp_path / "data", prefix=skewed) as ledger:
        async with echo_origin() as port:
            served = domain(origins=[{"host": "127.0.0.1", "httpPort": port}], lifecycle={"drainSeconds": 0})
            target = {"url": f"http://127.0.0.1:{ledger.port}"}
            path = write(tmp_path / "relay.json", config(served, statistics=target))
            spool = ("--spool-dir", tmp_path / "spool", "--report-seconds", "0.2")
            async with RelayProcess("--config", path, *spool) as relay:
                await client.open(await relay.port("http"))
                await client.echo(b"before the clock is right")
                told = await relay.event("usage rows deferred")
                assert told["clock_ahead_seconds"] == pytest.approx(-error.total_seconds(), abs=60)
                ahead = (await relay.metrics())["wsedge_relay_usage_clock_ahead_seconds"]
                assert ahead == pytest.approx(-error.total_seconds(), abs=60)
                clock.step(timedelta(0))
                await client.echo(b"after it")
                relay.signal(signal.SIGTERM)
                await client.rest()
                client.close()
                assert await relay.ended() == 0
                assert relay.events[-1]["all_usage_reported"] is True
                assert "usage rows rejected" not in [event["event"] for event in relay.events]
        total = (await asyncio.to_thread(ledger.get, "/v1/traffic")).json["total"]
    assert (total["sentBytes"], total["receivedBytes"]) == (client.received, client.sent)


OWN_ERRORS = {
    "95 days behind: every row is too old": timedelta(days=-95),
    "40 days ahead": timedelta(days=40),
}
ENDS = {"runs on": None, "restarts": signal.SIGTERM, "is killed": signal.SIGKILL}


@asynccontextmanager
async def reporting(
    folder: Path, origin: int, ledger: Statistics, variables: Mapping[str, str]
) -> AsyncIterator[RelayProcess]:
    """Run a relay of the folder's spool, which reports often."""
    served = domain(origins=[{"host": "127.0.0.1", "httpPort": origin}], lifecycle={"drainSeconds": 0})
    target = {"url": f"http://127.0.0.1:{ledger.port}"}
    path = write(folder / "relay.json", config(served, statistics=target))
    options = ("--spool-dir", folder / "spool", "--report-seconds", "0.2", "--final-report-seconds", "1")
    async with RelayProcess("--config", path, *options, variables=variables) as relay:
        await relay.port("http")
        yield relay


def spooled(folder: Path) -> int:
    """Return the bytes sent to clients in the journals of a spool."""
    rows = [row for file in folder.glob("*.journal") for row in decode(file.read_bytes())[2]]
    return sum(row.sent_bytes for row in rows)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("error", OWN_ERRORS.values(), ids=OWN_ERRORS.keys())
async def test_what_a_relay_counted_by_a_wrong_clock_gets_the_right_time(
    tmp_path: Path, error: timedelta, end: signal.Signals | None
) -> None:
    """Nobody would accept it under its own: every byte is in the last day, whichever process delivers it."""
    clock, client = StepClock(tmp_path, error), Client()
    with statistics(tmp_path / "data") as ledger:
        async with echo_origin(pings=False) as origin:
            async with reporting(tmp_path, origin, ledger, clock.variables) as relay:
                await client.open(await relay.port("http"))
                await client.echo(b"while the clock is wrong")
                await relay.event("usage rows deferred")
                if end is None:
                    clock.step(timedelta(0))
                    await relay.event("usage rows redated")
                    await client.echo(b"after it")
                    relay.signal(signal.SIGTERM)
                else:
                    await eventually(lambda: spooled(tmp_path / "spool") == client.received)
                    relay.signal(end)
                await client.lose()
                await relay.ended()
            clock.step(timedelta(0))
            async with reporting(tmp_path, origin, ledger, clock.variables) as relay:
                await eventually(lambda: not list((tmp_path / "spool").glob("*.journal")))
                relay.signal(signal.SIGTERM)
                assert await relay.ended() == 0
                assert relay.events[-1]["all_usage_reported"] is True
                assert "usage rows rejected" not in [event["event"] for event in relay.events]
        total = (await asyncio.to_thread(ledger.get, "/v1/traffic")).json["total"]
    assert (total["sentBytes"], total["receivedBytes"]) == (client.received, client.sent)
    assert total["openedConnections"] == 1
