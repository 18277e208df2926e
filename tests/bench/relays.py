"""Reports of a crowd of relays: how long each waits for its answer, also while a started program catches up.

    PYTHONPATH=tests .venv/bin/python tests/bench/relays.py [--domains 1000] [--seconds 330]

Each domain has two relays, each relay 15 keys, all of them counted in every interval. A relay reports every
ten seconds, over a connection of its own and gzipped, as relays do. The time of a report begins when it is
due, so that a report that could not be sent in time counts as slow. Then every relay delivers an hour for
which it was cut off, and the program is killed with the totals of that hour outstanding, and started again.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from figures import Figures
from machine import describe_machine

from support.statistics.build import report, row
from support.statistics.process import Statistics
from support.statistics.process import statistics as program
from wsedge_statistics.contract import USAGE_PATH, bucket_of
from wsedge_statistics.ledger.sqlite.connections import open_reader
from wsedge_statistics.numbers.series import BUCKET

INTERVAL: Final = 10.0
RELAYS: Final = 2  # of a domain
DOMAINS_OF_ACCOUNT: Final = 10
PLACES: Final = tuple((f"region-{r}", f"isp-{i}") for r in range(5) for i in range(3))
OUTAGE: Final = 12  # buckets
DELIVERIES: Final = 4  # reports after the outage at once
RESTARTED_SECONDS: Final = 60
SECONDS: Final = 330.0  # the end of a bucket is in them


@dataclass
class Answers:
    """How long reports took, in ms, and their statuses; 0: no answer."""

    taken: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def add_to(self, figures: Figures, what: str) -> None:
        ordered = sorted(self.taken)
        for share in (50, 99):
            at = ordered[min(len(ordered) - 1, len(ordered) * share // 100)]
            figures.add(f"{what}: a report, p{share}", 300 if share == 99 else None, at, "ms")
        figures.add(f"{what}: the slowest of {len(ordered):,} reports", None, ordered[-1], "ms")
        refused = self.statuses.total() - self.statuses[204]
        figures.add(f"{what}: reports that were not answered with 204", 0, refused, "")


def body(relay: int, buckets: Sequence[datetime], count: int) -> bytes:
    """Return a relay's gzipped report of all its keys in some buckets."""
    domain = relay // RELAYS
    account = f"team-{domain // DOMAINS_OF_ACCOUNT}"
    rows = [
        row(
            bucket,
            domain=f"d{domain}.example",
            account=account,
            region=region,
            isp=isp,
            sentBytes=count * 1000 + relay,
            receivedBytes=count * 100,
            sentMessages=count,
            receivedMessages=count,
            connectionSeconds=count * 10,
            peakConnections=5,
            openedConnections=count,
            codes={"101": count},
        )
        for bucket in buckets
        for region, isp in PLACES
    ]
    document = report(*rows, uid=f"relay-{relay}", pod=f"{account}/relay-{relay}")
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), compresslevel=1)


async def send(port: int, text: bytes) -> int:
    """Report over a connection of its own; return the status, 0 for none."""
    head = (
        f"POST {USAGE_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Encoding: gzip\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    try:
        writer.write(head.encode() + text)
        answer = await reader.read()
        return int(answer.split(b" ", 2)[1]) if answer else 0
    except OSError:
        return 0
    finally:
        writer.close()


async def crowd(port: int, relays: int, seconds: float) -> Answers:
    """Let relays report for some time, evenly spread; return their answers."""
    answers = Answers()
    begun = time.monotonic()
    last: dict[int, datetime] = {}

    async def one(number: int, due: float) -> None:
        relay, turn = number % relays, number // relays
        bucket = bucket_of(datetime.now(UTC))
        buckets = sorted({bucket, last.get(relay, bucket)})
        last[relay] = bucket
        status = await send(port, body(relay, buckets, turn + 1))
        answers.taken.append((time.monotonic() - due) * 1000)
        answers.statuses[status] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds / INTERVAL * relays)):
            due = begun + number * INTERVAL / relays
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(one(number, due))
    return answers


async def deliver(port: int, relays: int) -> Counter[int]:
    """Let each relay report the buckets of an outage at once; return the statuses."""
    until = bucket_of(datetime.now(UTC))
    buckets = [until - timedelta(seconds=BUCKET * n) for n in range(OUTAGE, 0, -1)]
    waiting = iter(range(relays))
    statuses: Counter[int] = Counter()

    async def some() -> None:
        for relay in waiting:
            statuses[await send(port, body(relay, buckets, 1))] += 1

    await asyncio.gather(*(some() for _ in range(DELIVERIES)))
    return statuses


def outstanding(database: Path, before: int) -> int:
    """Return how many totals of buckets before `before` are to be recomputed."""
    with closing(open_reader(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM dirty WHERE bucket < ?", (before,)).fetchone()[0])


def caught_up(database: Path, before: int) -> float:
    """Return after how many seconds no total of the outage is outstanding."""
    begun = time.monotonic()
    while outstanding(database, before):
        time.sleep(0.5)  # SQLite tells no other process of a commit; the figure is to half a second
    return time.monotonic() - begun


def processor(running: Statistics) -> float:
    """Return the processor time of the program, in seconds."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def restarted(figures: Figures, running: Statistics, database: Path, relays: int, left: int) -> None:
    """Measure a program that has just started with totals to recompute."""
    before = int(bucket_of(datetime.now(UTC)).timestamp()) // BUCKET
    with ThreadPoolExecutor(1) as pool:
        catching_up = pool.submit(caught_up, database, before)
        answers = await crowd(running.port, relays, RESTARTED_SECONDS)
        answers.add_to(figures, f"a start with {left:,} outstanding totals")
        figures.add("until these were recomputed, beside the reports", None, catching_up.result(), "s")


def measure(figures: Figures, folder: Path, domains: int, seconds: float) -> None:
    """Measure a crowd of relays, and then a start with dirty buckets."""
    relays = domains * RELAYS
    database = folder / "ledger.sqlite3"
    with program(folder) as running:
        begun = processor(running)
        answers = asyncio.run(crowd(running.port, relays, seconds))
        what = f"{relays:,} relays of {domains:,} domains"
        answers.add_to(figures, what)
        each = (processor(running) - begun) * 1000 / len(answers.taken)
        figures.add(f"{what}: processor time of a report, totals included", None, each, "ms")
        statuses = asyncio.run(deliver(running.port, relays))
        assert statuses == {204: relays}, statuses
        running.stop(signal.SIGKILL)
    left = outstanding(database, int(bucket_of(datetime.now(UTC)).timestamp()) // BUCKET)
    with program(folder) as running:
        asyncio.run(restarted(figures, running, database, relays, left))


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="wsedge-bench-"))
    figures = Figures()
    try:
        measure(figures, folder, given.domains, given.seconds)
    finally:
        shutil.rmtree(folder)
    sys.stdout.write(f"On {describe_machine()}.\n\n{figures.table()}\n")


if __name__ == "__main__":
    main()
