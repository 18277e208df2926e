"""Beside each other: this version and the last release, relays and statistics in all four pairs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess
from support.relay_process.traffic import Client, echo_origin
from support.releases import LAST_RELEASE, unpack
from support.statistics.process import statistics
from wsedge_relay.metering.spool import Spool
from wsedge_relay.metering.usage import UsageCount, UsageKey

PAIRS = {
    "this relay, these statistics": (False, False),
    "this relay, the last release's statistics": (False, True),
    "the last release's relay, these statistics": (True, False),
    "the last release's relay and statistics": (True, True),
}


@pytest.fixture(scope="module")
def last_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the last release."""
    return unpack(LAST_RELEASE, tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize(("old_relay", "old_statistics"), PAIRS.values(), ids=PAIRS.keys())
async def test_every_pair_counts_every_byte(
    tmp_path: Path, last_release: Path, old_relay: bool, old_statistics: bool
) -> None:
    """The ledger has exactly what a client counted, and no row was rejected on the way."""
    release = last_release if old_statistics else None
    client = Client()
    with statistics(tmp_path / "data", release=release) as ledger:
        async with echo_origin() as port:
            served = domain(origins=[{"host": "127.0.0.1", "httpPort": port}], lifecycle={"drainSeconds": 0})
            target = {"url": f"http://127.0.0.1:{ledger.port}"}
            path = write(tmp_path / "relay.json", config(served, statistics=target))
            arguments = ("--config", path, "--spool-dir", tmp_path / "spool", "--report-seconds", "0.2")
            async with RelayProcess(*arguments, release=last_release if old_relay else None) as relay:
                await client.open(await relay.port("http"))
                for number in range(20):
                    await client.echo(b"message %d" % number)
                    await asyncio.sleep(0.05)
                if not (old_relay or old_statistics):
                    present = 'wsedge_statistics_relays{state="reporting"} 1.0'
                    assert present in (await asyncio.to_thread(ledger.get, "/metrics")).text.decode()
                relay.signal(signal.SIGTERM)
                await client.rest()
                client.close()
                assert await relay.ended() == 0
        if not old_statistics:
            metrics = (await asyncio.to_thread(ledger.get, "/metrics")).text.decode()
            for state in ("reporting", "silent"):
                assert f'wsedge_statistics_relays{{state="{state}"}} 0.0' in metrics
        total = (await asyncio.to_thread(ledger.get, "/v1/traffic")).json["total"]
    assert (total["sentBytes"], total["receivedBytes"]) == (client.received, client.sent)
    assert (total["openedConnections"], total["sentMessages"]) == (1, client.messages)
    if not (old_relay or old_statistics):
        assert total["connectionSeconds"] >= 1  # the client slept for a second between its messages
    events = [event["event"] for event in relay.events]
    assert "usage rows rejected" not in events
    assert "usage rows refused for good" not in events
    assert ("statistics are older than this relay" in events) is (old_statistics and not old_relay)
    assert relay.events[-1]["all_usage_reported"] is True


_READ = """
import json, pathlib, sys
from wsedge_relay.spool import decode
pod, uid, rows, _ = decode(pathlib.Path(sys.argv[1]).read_bytes())
print(json.dumps([pod, uid, *([row.bucket, row.sent_bytes] for row in rows)]))
"""


def test_a_relay_of_the_last_release_reads_every_row_of_this_spool(
    tmp_path: Path, last_release: Path
) -> None:
    """After a rollback: it does not know lines of connection time."""
    spool = Spool(tmp_path / "spool", pod="team-a/chat", uid="uid-1", epoch="0123abcd")
    key = UsageKey("chat.example.com", "team-a")
    spool.close(
        [
            UsageCount("0123abcd", 1_700_000_100, key, sent_bytes=5, connection_seconds=7),
            UsageCount("0123abcd", 1_700_000_400, key, sent_bytes=6),
        ]
    )
    (journal,) = (tmp_path / "spool").glob("*.journal")
    done = subprocess.run(
        [sys.executable, "-c", _READ, journal],
        env={"PYTHONPATH": f"{last_release}/proxy:{last_release}/statistics"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == ["team-a/chat", "uid-1", [1_700_000_100, 5], [1_700_000_400, 6]]
