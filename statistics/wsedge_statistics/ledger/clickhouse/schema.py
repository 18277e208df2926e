"""The tables of the ClickHouse ledger.

    usage, late        cumulative counts of one source in one bucket for one key; merged by max()
       │
       ├─▶ totals      sums over the rows of a grain's subject in one bucket; merged by max()
       ├─▶ keys        each key that has counts, with its first and last bucket
       └─▶ marks       buckets whose rows may have changed since their totals

Counts only grow, so a total of later rows is never smaller: the larger of two totals is the right one,
whoever computed it and in whatever order they arrive. A row whose bucket ended long ago is in `late`, with
the time at which it came in; what a bucket grew by follows from both tables.

Buckets are numbers of five minutes since 1970. Partitions are days of UTC, which are dropped whole.
"""

from __future__ import annotations

from typing import Final

from wsedge_statistics.errors import LedgerVersionError
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.numbers.series import BUCKET, DAY

VERSION: Final = 1
DAY_BUCKETS: Final = DAY // BUCKET
HOUR_BUCKETS: Final = 12
# The counts of a row of `usage` and `totals`, in the order of series.Counts.
MEASURES: Final = (
    "sent",
    "received",
    "sent_messages",
    "received_messages",
    "opened",
    "connection_seconds",
    "peak",
)
NAMES: Final = ("account", "domain", "region", "isp", "area")

_NAMED: Final = dict.fromkeys(NAMES, "LowCardinality(String)")
# The types of what is inserted; the server adds the functions that merge.
USAGE: Final = {
    "bucket": "UInt32",
    **_NAMED,
    "source": "LowCardinality(String)",
    **dict.fromkeys(MEASURES, "UInt64"),
    "codes": "Map(UInt16, UInt64)",
}
LATE: Final = {**USAGE, "received_at": "UInt32"}
KEYS: Final = {**_NAMED, "first": "UInt32", "last": "UInt32"}
MARKS: Final = {"bucket": "UInt32", "mark": "UInt64", "sign": "Int8"}
STATE: Final = {"name": "String", "number": "Int64"}
STATEMENTS: Final = {
    "account": "String",
    "period": "String",
    "version": "UInt32",
    "closed_at": "String",
    "body": "String",
    "writer": "String",
}
DIRECTORY: Final = {
    "serial": "UInt64",
    "written_at": "String",
    "body": "String",
    "tenures": "String",
    "writer": "String",
}
DIRECTORIES: Final = 64  # in one partition

# A part is on disk before its insert is answered, and before the parts that it replaces are deleted.
_DURABLE: Final = "fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1"
# Of inserts with one token the first is kept: so one of several writers wins (statements, tenancy).
_ONCE: Final = {
    False: "non_replicated_deduplication_window = 1000",
    True: "replicated_deduplication_window = 1000",
}
_CROPPED: Final = "CODEC(T64, ZSTD(1))"
_ROW: Final = f"""
bucket UInt32 CODEC(Delta, ZSTD(1)), {", ".join(f"{name} LowCardinality(String)" for name in NAMES)},
source LowCardinality(String),
{", ".join(f"{name} SimpleAggregateFunction(max, UInt64) {_CROPPED}" for name in MEASURES)},
codes SimpleAggregateFunction(maxMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
"""
# An hour, then the key: a question about one domain reads little of each hour, and neighbours are alike.
_ROW_ORDER: Final = f"intDiv(bucket, {HOUR_BUCKETS}), {', '.join(NAMES)}, bucket, source"
_BY_DAY: Final = f"PARTITION BY intDiv(bucket, {DAY_BUCKETS})"

# name: (columns, engine, its parameters, partitions and order, whether inserts have tokens)
TABLES: Final = {
    "usage": (_ROW, "AggregatingMergeTree", "", f"{_BY_DAY} ORDER BY ({_ROW_ORDER})", False),
    "late": (
        f"{_ROW}, received_at UInt32",
        "AggregatingMergeTree",
        "",
        f"{_BY_DAY} ORDER BY ({_ROW_ORDER}, received_at)",
        False,
    ),
    "totals": (
        f"grain LowCardinality(String), {', '.join(f'{name} LowCardinality(String)' for name in NAMES)}, "
        "bucket UInt32 CODEC(Delta, ZSTD(1)), "
        + "".join(f"{name} SimpleAggregateFunction(max, UInt128) CODEC(ZSTD(1)), " for name in MEASURES)
        + "stored SimpleAggregateFunction(max, UInt64) CODEC(T64, ZSTD(1)), "
        "codes SimpleAggregateFunction(maxMap, Map(UInt16, UInt128)) CODEC(ZSTD(1))",
        "AggregatingMergeTree",
        "",
        f"{_BY_DAY} ORDER BY (grain, {', '.join(NAMES)}, bucket)",
        False,
    ),
    "keys": (
        f"{', '.join(f'{name} LowCardinality(String)' for name in NAMES)}, "
        "first SimpleAggregateFunction(min, UInt32), last SimpleAggregateFunction(max, UInt32)",
        "AggregatingMergeTree",
        "",
        f"ORDER BY ({', '.join(NAMES)})",
        False,
    ),
    "marks": (
        "bucket UInt32, mark UInt64, sign Int8",
        "CollapsingMergeTree",
        "sign",
        "ORDER BY (bucket, mark)",
        False,
    ),
    "late_growth": (
        "account String, bucket UInt32, area String, received_at UInt32, "
        "sent SimpleAggregateFunction(max, UInt128), received SimpleAggregateFunction(max, UInt128)",
        "AggregatingMergeTree",
        "",
        f"{_BY_DAY} ORDER BY (account, bucket, area, received_at)",
        False,
    ),
    "state": (
        "name String, number SimpleAggregateFunction(max, Int64)",
        "AggregatingMergeTree",
        "",
        "ORDER BY name",
        False,
    ),
    "statements": (
        "account String, period String, version UInt32, closed_at String, body String CODEC(ZSTD(3)), "
        "writer String",
        "MergeTree",
        "",
        "ORDER BY (account, period)",
        True,
    ),
    "directory": (
        "serial UInt64, written_at String, body String CODEC(ZSTD(3)), tenures String CODEC(ZSTD(3)), "
        "writer String",
        "MergeTree",
        "",
        f"PARTITION BY intDiv(serial, {DIRECTORIES}) ORDER BY serial",
        True,
    ),
}


def create(server: Server, cluster: str | None) -> None:
    """Create the database and the tables that are missing, on each server of a cluster.

    Raises LedgerVersionError, LedgerUnwritableError, LedgerUnreadableError.
    """
    on = f" ON CLUSTER '{cluster}'" if cluster else ""
    database = server.database
    server.execute(f"CREATE DATABASE IF NOT EXISTS `{database}`{on}", in_database=False)
    for name in TABLES:
        server.execute(table(name, database=database, cluster=cluster))
    (((version,),)) = server.query("SELECT max(number) FROM state WHERE name = 'schema'")
    if version > VERSION:
        raise LedgerVersionError(
            f"database {database} has schema {version}, this program supports {VERSION}: use a newer program"
        )
    if version < VERSION:
        server.insert("state", STATE, [("schema", VERSION)])


def table(name: str, *, database: str, cluster: str | None) -> str:
    """Return the statement that creates a table: replicated by Keeper in a cluster, else on one server."""
    columns, engine, parameters, layout, once = TABLES[name]
    given = [parameters] if parameters else []
    settings = _DURABLE
    if cluster:
        engine = f"Replicated{engine}"
        given = [f"'/clickhouse/tables/{{shard}}/{database}/{name}'", "'{replica}'", *given]
    if once:
        settings += f", {_ONCE[bool(cluster)]}"
    on = f" ON CLUSTER '{cluster}'" if cluster else ""
    return (
        f"CREATE TABLE IF NOT EXISTS `{database}`.{name}{on} ({columns}) "
        f"ENGINE = {engine}({', '.join(given)}) {layout} SETTINGS {settings}"
    )
