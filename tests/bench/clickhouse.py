"""The ledger on ClickHouse's engine: bytes per row, and times of questions, totals and inserts.

    PYTHONPATH=tests python tests/bench/clickhouse.py [--domains 100] [--days 10]

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
from wsedge_statistics.ledger.clickhouse.totals import Totals
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import BUCKET, DAY, HOUR, Dimension, Selection

PLACES: Final = 15
START: Final = seconds("2026-06-01T00:00:00Z")
DAY_BUCKETS: Final = schema.DAY_BUCKETS
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


def fill(server: Server, domains: int, days: int) -> None:
    keys = domains * PLACES
    totals = Totals(server, removed=lambda _: None)
    began = time.perf_counter()
    for day in range(days):
        first = START // BUCKET + day * DAY_BUCKETS
        server.execute(FILL, {"first": first, "keys": keys, "count": keys * DAY_BUCKETS})
    filled = time.perf_counter()
    say(
        "rows per second, made and stored by the server",
        f"{keys * DAY_BUCKETS * days / (filled - began):,.0f}",
    )
    for bucket in range(START // BUCKET, START // BUCKET + days * DAY_BUCKETS, 12):
        totals.recompute(list(range(bucket, bucket + 12)))
    each = (time.perf_counter() - filled) * 1000 / (days * DAY_BUCKETS)
    say("totals of a bucket", f"{each:.1f} ms")
    for table in ("usage", "totals"):
        for day in range(days):
            server.execute(f"OPTIMIZE TABLE {table} PARTITION {START // DAY + day} FINAL")


def questions(server: Server, days: int) -> None:
    end = START + days * DAY
    whole = [Slot(START, end)]
    hours = [Slot(at, at + HOUR) for at in range(START, end, HOUR)]
    fine = [Slot(at, at + BUCKET) for at in range(START, min(end, START + 3 * DAY), BUCKET)]
    region, domain = (Dimension.REGION,), (Dimension.DOMAIN,)
    one = frozenset({"d7.example.com"})
    asked: dict[str, tuple[Selection, list[Slot], tuple[Dimension, ...]]] = {
        "3 days at 5 minutes, everything": (Selection(START, fine[-1].end), fine, ()),
        f"{days} days by hour, everything": (Selection(START, end), hours, ()),
        f"{days} days by hour, a region": (Selection(START, end, region="beijing"), hours, ()),
        f"{days} days by hour, an account": (Selection(START, end, account="team-1"), hours, ()),
        f"{days} days in all, by domain": (Selection(START, end), whole, domain),
        f"{days} days in all, a domain by region (from rows)": (
            Selection(START, end, domains=one),
            whole,
            region,
        ),
    }
    for name, (selection, slots, group_by) in asked.items():
        with budget.begin(budget.Stop(600)):
            took = best(lambda asked=(selection, slots, group_by): reads.sums(server, *asked))  # type: ignore[misc]
        say(name, f"{took:.0f} ms")


def inserts(server: Server, days: int) -> None:
    bucket = START // BUCKET + days * DAY_BUCKETS
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
    parser.add_argument("--days", type=int, default=10)
    given = parser.parse_args()
    with clickhouse_address() as address, closing(Server(address)) as server:
        schema.create(server, None)
        fill(server, given.domains, given.days)
        for table, rows, size in server.query(SIZES, {"database": server.database}):
            say(f"bytes per row of {table} ({rows:,} rows)", f"{size / rows:.1f}")
        questions(server, given.days)
        inserts(server, given.days)


if __name__ == "__main__":
    main()
