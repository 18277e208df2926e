"""The ledger on ClickHouse's engine: bytes per row, and times of questions, totals and inserts.

    PYTHONPATH=tests python tests/bench/clickhouse.py [--domains 100] [--hours 240]
    … --domains 10000 --hours 6               11 million rows, a quarter of an hour

The server fills itself with rows of one relay per domain, 15 places each, whose counts are random over their
whole range: no real counts compress worse. It is that of WSEDGE_TEST_CLICKHOUSE, or the engine of chdb.
Each time is the best of three.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from support.statistics.build import seconds
from support.statistics.clickhouse import clickhouse_address
from wsedge_statistics.ledger import budget
from wsedge_statistics.ledger.clickhouse import reads, schema
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.clickhouse.totals import BUCKETS, ROWS, Totals
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import BUCKET, DAY, HOUR, Dimension, Selection

PLACES: Final = 15
START: Final = seconds("2026-06-01T00:00:00Z")
MOST_ROWS: Final = 1_000_000  # of one insert
FILL: Final = """
INSERT INTO usage SELECT toUInt32({first:UInt32} + intDiv(number, {keys:UInt32})) AS bucket,
  concat('team-', toString(intDiv(number % {keys:UInt32}, 150))) AS account,
  concat('d', toString(intDiv(number % {keys:UInt32}, 15)), '.example.com') AS domain,
  ['shanghai', 'beijing', 'guangdong', 'sichuan', 'zhejiang'][number % 5 + 1] AS region,
  ['telecom', 'unicom', 'mobile'][intDiv(number, 5) % 3 + 1] AS isp, 'CN' AS area,
  concat('4b1c3a52-0000-4000-8000-', leftPad(toString(intDiv(number % {keys:UInt32}, 15)), 12, '0'),
    '/9f3c0000') AS source,
  rand(1) % 50000000, rand(2) % 20000000, rand(3) % 50000, rand(4) % 20000, rand(5) % 300, rand(6) % 30000,
  rand(7) % 200,
  mapFromArrays([toUInt16(101), toUInt16(403)], [toUInt64(rand(8) % 300), toUInt64(rand(9) % 20)])
FROM numbers({count:UInt64})
"""
SIZES: Final = """
SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE active AND database = {database:String} AND table IN ('usage', 'totals') GROUP BY table ORDER BY table
"""


def best(work: Callable[[], Any]) -> float:
    """Return the milliseconds of the fastest of three calls."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return min(times)


def fill(server: Server, domains: int, hours: int) -> None:
    keys, buckets = domains * PLACES, hours * HOUR // BUCKET
    totals = Totals(server, removed=lambda _: None)
    step = max(1, min(BUCKETS, ROWS // keys))  # as in the program
    began = time.perf_counter()
    each = max(1, MOST_ROWS // keys)  # the program's own limit for a write is 20 s
    for first in range(0, buckets, each):
        count = keys * min(each, buckets - first)
        server.execute(FILL, {"first": START // BUCKET + first, "keys": keys, "count": count})
    filled = time.perf_counter()
    say("rows per second, made and stored by the server", f"{keys * buckets / (filled - began):,.0f}")
    for first in range(0, buckets, step):
        totals.recompute([START // BUCKET + n for n in range(first, min(first + step, buckets))])
    took = (time.perf_counter() - filled) * 1000 / buckets
    say(f"totals of a bucket of {keys:,} rows, {step} at once", f"{took:.1f} ms")
    for table in ("usage", "totals"):
        for day in range(START // DAY, -(-(START + hours * HOUR) // DAY)):
            server.execute(f"OPTIMIZE TABLE {table} PARTITION {day} FINAL")


def questions(server: Server, hours: int) -> None:
    end = START + hours * HOUR
    span = f"{hours // 24} days" if hours % 24 == 0 else f"{hours} hours"
    whole = [Slot(START, end)]
    hourly = [Slot(at, at + HOUR) for at in range(START, end, HOUR)]
    fine = [Slot(at, at + BUCKET) for at in range(START, min(end, START + 3 * DAY), BUCKET)]
    region, domain = (Dimension.REGION,), (Dimension.DOMAIN,)
    one = frozenset({"d7.example.com"})
    asked: dict[str, tuple[Selection, list[Slot], tuple[Dimension, ...]]] = {
        f"{min(hours, 72)} hours at 5 minutes, everything": (Selection(START, fine[-1].end), fine, ()),
        f"{span} by hour, everything": (Selection(START, end), hourly, ()),
        f"{span} by hour, a region": (Selection(START, end, region="beijing"), hourly, ()),
        f"{span} by hour, an account": (Selection(START, end, account="team-1"), hourly, ()),
        f"{span} in all, by domain": (Selection(START, end), whole, domain),
        f"{span} in all, a domain by region (from rows)": (
            Selection(START, end, domains=one),
            whole,
            region,
        ),
    }
    for name, (selection, slots, group_by) in asked.items():
        with budget.begin(budget.Stop(600)):
            took = best(lambda asked=(selection, slots, group_by): reads.sums(server, *asked))  # type: ignore[misc]
        say(name, f"{took:.0f} ms")


def inserts(server: Server, hours: int) -> None:
    bucket = START // BUCKET + hours * HOUR // BUCKET
    place = ("shanghai", "telecom", "CN")
    counts = (*[12345] * len(schema.MEASURES), {101: 3})
    batch = [
        (bucket, "team-1", f"d{n // PLACES}.example.com", *place, f"s{n % PLACES}/00", *counts)
        for n in range(1500)
    ]
    took = best(lambda: server.insert("usage", schema.USAGE, batch))
    say("an insert of 1,500 rows, on disk", f"{took:.0f} ms")


def say(name: str, figure: str) -> None:
    print(f"| {name} | {figure} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--domains", type=int, default=100)
    parser.add_argument("--hours", type=int, default=240)
    given = parser.parse_args()
    with clickhouse_address() as address, closing(Server(address)) as server:
        schema.create(server, None)
        fill(server, given.domains, given.hours)
        for table, rows, size in server.query(SIZES, {"database": server.database}):
            say(f"bytes per row of {table} ({rows:,} rows)", f"{size / rows:.1f}")
        questions(server, given.hours)
        inserts(server, given.hours)


if __name__ == "__main__":
    main()
