"""The ledger: questions in the store and over HTTP, reports beside them, bytes per row, memory.

    .venv/bin/python tests/bench/ledger.py    100 domains, 5 regions, 3 ISPs, 93 days: 3 GB, 15 minutes
    … --days 10 --domains 20                  smaller; spans that are longer than the ledger have less
    … --relays 0                              without the crowd of relays, seven minutes (see relays.py)
    … --write docs/benchmarks.md              the table between the marks of that page

The ledger is filled by its own SQL, with random counts of one relay process per domain, in ten accounts.
Times are wall-clock times, medians of several runs, and need a quiet machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import relays
from figures import Figures
from machine import describe_machine

from support.statistics.build import report, row
from support.statistics.process import Statistics
from support.statistics.process import statistics as program
from wsedge_statistics.billing.periods import period_named, spans_of
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.billing.statement import compose
from wsedge_statistics.contract import USAGE_PATH, Period, Terms, bucket_of
from wsedge_statistics.ledger.sqlite import migration, reads
from wsedge_statistics.ledger.sqlite.connections import create, open_reader, open_writer, transaction
from wsedge_statistics.ledger.sqlite.keys import add_key
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import BUCKET, DAY, HOUR, Dimension, Key, Selection
from wsedge_statistics.statements.usage import read_usage

BEGIN, END = "<!-- begin: make bench-statistics -->", "<!-- end: make bench-statistics -->"
ACCOUNTS: Final = 10
PLACES: Final = tuple((f"region-{r}", f"isp-{i}") for r in range(5) for i in range(3))
RUNS: Final = 5
REPORTS: Final = 40
HEAVY: Final = 4

_ROWS: Final = """
INSERT INTO usage SELECT ?1, id, ((id - 1) / 15) + 1, abs(random()) % 400000000, abs(random()) % 40000000,
  abs(random()) % 20000, abs(random()) % 20000, abs(random()) % 100, abs(random()) % 30000,
  abs(random()) % 120 FROM keys
"""
_CODES: Final = """
INSERT INTO codes SELECT ?1, id, ((id - 1) / 15) + 1, 101, abs(random()) % 100 FROM keys
UNION ALL SELECT ?1, id, ((id - 1) / 15) + 1, 403, 1 FROM keys WHERE (id + ?1) % 8 = 0 ORDER BY 2, 4
"""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=93)
    parser.add_argument("--domains", type=int, default=100)
    parser.add_argument("--relays", type=int, default=1000, help="domains of the crowd of relays")
    parser.add_argument("--folder", type=Path, help="keep the ledger here, and use it again")
    parser.add_argument("--write", type=Path, metavar="FILE")
    return parser.parse_args()


def fill(folder: Path, domains: int, days: int, last: int) -> float:
    """Fill a ledger until the bucket `last`; return the seconds that it took."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "ledger.sqlite3"
    create(database)
    begun = time.monotonic()
    with closing(open_writer(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # a crash of the machine would cost this run alone
        first = last - days * (DAY // BUCKET) + 1
        with transaction(connection):
            for number in range(domains):
                connection.execute(
                    "INSERT INTO sources VALUES (?, ?, '0123456789', ?, NULL, ?)",
                    (number + 1, f"uid-{number}", f"team/relay-{number}", last),
                )
                for region, isp in PLACES:
                    key = Key(f"d{number}.example", f"team-{number % ACCOUNTS}", region, isp, "CN")
                    add_key(connection, key, first)
            connection.execute("UPDATE keys SET last = ?", (last,))
        for start in range(first, last + 1, 12):
            with transaction(connection):
                for bucket in range(start, min(start + 12, last + 1)):
                    connection.execute(_ROWS, (bucket,))
                    connection.execute(_CODES, (bucket,))
                    migration.add_up(connection, bucket)
            if (start - first) % (12 * 24 * 10) == 0:
                done = (start - first) // (DAY // BUCKET)
                sys.stderr.write(f"filled {done} of {days} days in {time.monotonic() - begun:.0f} s\n")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return time.monotonic() - begun


def median(ask: Callable[[], Any], runs: int = RUNS) -> float:
    """Return the median time of some runs, in ms."""
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def in_the_store(figures: Figures, database: Path, end: int) -> None:
    """Measure questions on a connection."""

    def ask(days: int, step: int, *, group_by: tuple[Dimension, ...] = (), **filters: Any) -> float:
        start = end - days * DAY
        selection = Selection(start, end, **filters)
        slots = [Slot(at, at + step) for at in range(start, end, step)]
        return median(lambda: reads.sums(connection, selection, slots, group_by))

    with closing(open_reader(database)) as connection:
        figures.add("store: 3 days at 5 minutes, everything", 20, ask(3, BUCKET), "ms")
        figures.add("store: 31 days by hour, everything", None, ask(31, HOUR), "ms")
        figures.add("store: 93 days by day, everything", None, ask(93, DAY), "ms")
        figures.add("store: 31 days by hour, a region", None, ask(31, HOUR, region="region-1"), "ms")
        figures.add(
            "store: 31 days by hour, 10 accounts", None, ask(31, HOUR, group_by=(Dimension.ACCOUNT,)), "ms"
        )
        figures.add(
            "store: 31 days by day, 100 domains", None, ask(31, DAY, group_by=(Dimension.DOMAIN,)), "ms"
        )
        domain = frozenset({"d1.example"})
        region = ask(31, HOUR, domains=domain, region="region-1")
        figures.add("store: 31 days by hour, a domain's region (from rows)", None, region, "ms")
        month = Selection(end - 31 * DAY, end, account="team-1")
        for named, dimension in (("one area", Dimension.AREA), ("five regions", Dimension.REGION)):
            asked = partial(reads.values, connection, month, (dimension,))
            took = median(lambda asked=asked: list(asked()))  # type: ignore[misc]
            figures.add(f"store: five-minute values of a month, an account of {named}", 100, took, "ms")


def statements(figures: Figures, folder: Path, end: int) -> None:
    """Measure the statement of an account's last month, and of one whose every value came in late."""
    terms = Terms(billingCycle="Monthly", meteringMethod="Month95Bandwidth", timeZone="UTC")
    spans = spans_of([Period(terms=terms, start=datetime.fromtimestamp(end - 366 * DAY, UTC))])
    # the month in which most of the 31 days before `end` lie, so that there are values of it
    month = datetime.fromtimestamp(end - 31 * DAY // 2, UTC).strftime("%Y-%m")
    period = period_named(spans, month)
    assert period is not None
    until = min(end, period.end)
    days = (until - period.start) // DAY
    for what in ("", ", each of them late"):
        if what:
            late_values(folder / "ledger.sqlite3", period.start // BUCKET, until // BUCKET)
        with closing(
            SqliteLedger(folder, clock=lambda: datetime.now(UTC), observer=Metrics().ledger)
        ) as ledger:

            def ask() -> None:
                usage = read_usage(ledger, "team-1", period, Rules(), until)
                assert compose("team-1", period, usage, Rules(), None).lines

            goal = None if what else 100
            figures.add(f"store: a statement with the 95th of {days} days{what}", goal, median(ask), "ms")
    with closing(open_writer(folder / "ledger.sqlite3")) as connection:
        connection.execute("DELETE FROM late")


def late_values(database: Path, first: int, end: int) -> None:
    """Record that all buckets of an account came in an hour late."""
    with closing(open_writer(database)) as connection, transaction(connection):
        connection.executemany(
            "INSERT INTO late VALUES ('team-1', ?, 'CN', ?, 1000, 1000)",
            [(bucket, bucket + 12) for bucket in range(first, end)],
        )


class Client:
    """A connection to the program."""

    def __init__(self, running: Statistics) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=120)

    def get(self, **asked: str) -> int:
        self._connection.request("GET", f"/v1/traffic?{urlencode(asked)}")
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def post(self, body: bytes) -> int:
        self._connection.request("POST", USAGE_PATH, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status


def span(end: int, days: int, granularity: str, **more: str) -> dict[str, str]:
    texts = [datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (end - days * DAY, end)]
    return {"start": texts[0], "end": texts[1], "granularity": granularity, **more}


def over_http(figures: Figures, running: Statistics, end: int) -> None:
    """Measure questions as a client does, on one connection."""
    client = Client(running)
    for what, goal, asked in (
        ("3 days at 5 minutes, everything", 60, span(end, 3, "5m")),
        ("31 days by hour, everything", 100, span(end, 31, "1h")),
        ("93 days by day, everything", 100, span(end, 92, "1d")),
        ("31 days by hour, a region", 400, span(end, 31, "1h", region="region-1")),
    ):
        figures.add(f"HTTP: {what}", goal, median(partial(client.get, **asked)), "ms")


def reports(
    figures: Figures, running: Statistics, domains: int, beside: str, goals: tuple[float | None, float]
) -> None:
    """Measure reports of 1,500 rows, each of another relay."""
    bucket = bucket_of(datetime.now(UTC))
    client, taken = Client(running), []
    for number in range(REPORTS):
        rows = [
            row(
                bucket,
                domain=f"d{n % domains}.example",
                account=f"team-{n % domains % ACCOUNTS}",
                region=PLACES[n // domains % 15][0],
                isp=PLACES[n // domains % 15][1],
                sentBytes=n,
                codes={"101": 1},
            )
            for n in range(1500)
        ]
        body = json.dumps(report(*rows, uid=f"bench-{beside}-{number}")).encode()
        begun = time.perf_counter()
        assert client.post(body) == 204
        taken.append((time.perf_counter() - begun) * 1000)
    taken.sort()
    figures.add(f"a report of 1,500 rows{beside}, p50", goals[0], taken[len(taken) // 2], "ms")
    figures.add(f"a report of 1,500 rows{beside}, p99", goals[1], taken[int(len(taken) * 0.99)], "ms")


@contextmanager
def heavy_questions(running: Statistics, end: int) -> Iterator[None]:
    """Ask HEAVY questions all the time: the regions of many domains, from rows."""
    stopped = threading.Event()
    asked = span(end, 90, "1d", region="region-1")
    domains = "&".join(f"domain=d{n}.example" for n in range(10))

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=120)
        connection.request("GET", f"/v1/traffic?{urlencode(asked)}&{domains}")
        under_way.wait()
        connection.getresponse().read()
        while not stopped.is_set():
            connection.request("GET", f"/v1/traffic?{urlencode(asked)}&{domains}")
            connection.getresponse().read()

    under_way = threading.Barrier(HEAVY + 1)
    with ThreadPoolExecutor(HEAVY) as pool:
        asking = [pool.submit(ask) for _ in range(HEAVY)]
        try:
            under_way.wait()
            yield
        finally:
            stopped.set()
            for each in asking:
                each.result()


def peak_memory(running: Statistics) -> float:
    """Return the peak of a process's memory, in MiB."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def sizes(figures: Figures, database: Path) -> None:
    """Add bytes per row and in all."""
    with closing(sqlite3.connect(database)) as connection:
        for table, goal in (("usage", 40), ("codes", None), ("totals", None), ("code_totals", None)):
            (pages,) = connection.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name = ?", (table,)
            ).fetchone()
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            figures.add(f"bytes per row of {table} ({count:,} rows)", goal, pages / count, "bytes")
    figures.add("the ledger in all", 3072, database.stat().st_size / 2**20, "MiB")


def measure(arguments: argparse.Namespace, folder: Path) -> str:
    """Fill, measure, and return the text."""
    figures = Figures()
    database = folder / "ledger.sqlite3"
    if not database.exists():
        last = int(bucket_of(datetime.now(UTC) - timedelta(minutes=5)).timestamp()) // BUCKET
        sys.stderr.write(f"filled in {fill(folder, arguments.domains, arguments.days, last):.0f} s\n")
    with closing(open_reader(database)) as connection:
        (last,) = connection.execute("SELECT max(last) FROM keys").fetchone()
    end = (last + 1) * BUCKET // HOUR * HOUR
    sizes(figures, database)
    in_the_store(figures, database, end)
    statements(figures, folder, end)
    with program(folder) as running:
        over_http(figures, running, end)
        reports(figures, running, arguments.domains, "", (20, 100))
        with heavy_questions(running, end):
            reports(figures, running, arguments.domains, " beside four heavy questions", (None, 500))
            client = Client(running)
            asked = span(end, 1, "5m", account="team-1")
            figures.add("another's 24 hours beside them", 300, median(lambda: client.get(**asked)), "ms")
        figures.add("peak memory of the process", 150, peak_memory(running), "MiB")
    if arguments.relays:
        with tempfile.TemporaryDirectory(prefix="wsedge-bench-") as empty:
            relays.measure(figures, Path(empty), arguments.relays, relays.SECONDS)
    load = os.getloadavg()[0]
    return (
        f"{arguments.domains} domains, {len(PLACES)} places, {arguments.days} days, {ACCOUNTS} accounts, "
        f"one relay each, on {describe_machine()}, load {load:.1f} at the end.\n\n{figures.table()}"
    )


def main() -> None:
    """Run the bench."""
    arguments = options()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="wsedge-bench-"))
    try:
        text = measure(arguments, folder)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)
    sys.stdout.write(f"{text}\n")
    if arguments.write:
        page = arguments.write.read_text()
        before, rest = page.split(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
