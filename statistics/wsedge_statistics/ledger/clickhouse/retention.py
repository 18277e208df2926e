"""Deletions of the ClickHouse ledger: a day of UTC is a partition, and is dropped as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from wsedge_statistics.ledger.clickhouse.reads import GROWTH
from wsedge_statistics.ledger.clickhouse.schema import DAY_BUCKETS
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.clickhouse.state import DELETION_TIME, ROWS_FROM, read_state, write_state
from wsedge_statistics.ledger.clickhouse.tenancy import remove_former
from wsedge_statistics.ledger.deletion import DeletionTime, deletion_time
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.series import BUCKET, DAY

ROWS_KEPT: Final = REACH[Granularity.FIVE_MINUTES]
TOTALS_KEPT: Final = REACH[Granularity.DAY]
_PARTITIONS: Final = """
SELECT table, min(toUInt32(partition)) FROM system.parts
WHERE active AND database = {database:String} AND table IN {tables:Array(String)}
GROUP BY table
"""
_KEEP_GROWTH: Final = (
    "INSERT INTO late_growth (account, bucket, area, received_at, sent, received) "
    + GROWTH.format(condition="intDiv(bucket, {day_buckets:UInt32}) = {day:UInt32}")
)
_OLDEST_MARK: Final = """
SELECT min(bucket) FROM (SELECT bucket FROM marks GROUP BY bucket, mark HAVING sum(sign) > 0)
HAVING count() > 0
"""
_OLD_KEYS: Final = """
SELECT count() FROM (SELECT 1 FROM keys GROUP BY account, domain, region, isp, area
  HAVING max(last) < {edge:UInt32})
"""
_DELETE_KEYS: Final = """
DELETE FROM keys WHERE (account, domain, region, isp, area) IN (SELECT account, domain, region, isp, area
  FROM keys GROUP BY account, domain, region, isp, area HAVING max(last) < {edge:UInt32})
"""


def prune(server: Server, now: datetime) -> int:
    """Delete one step of what is past its retention; return how much, 0 when nothing is left to delete.

    A day is deleted only a day after the last report for it could be accepted, and no row before its totals
    are current. Raises LedgerUnwritableError or LedgerUnreadableError.
    """
    remove_former(server)
    rows, totals = _edge(now, ROWS_KEPT), _edge(now, TOTALS_KEPT)
    return _rows(server, rows) or _totals(server, totals) or _keys(server, totals * DAY_BUCKETS)


def settle_time(server: Server, now: datetime, ran: float) -> DeletionTime:
    """Return the time of deletion, `ran` seconds of the process after the last call, and remember it."""
    newest = server.query("SELECT max(last) FROM keys HAVING count() > 0")
    remembered = read_state(server, DELETION_TIME)
    time = deletion_time(
        now,
        newest=_instant(newest[0][0] * BUCKET) if newest else None,
        remembered=None if remembered is None else _instant(remembered),
        ran=ran,
    )
    if (seconds := int(time.remembered.timestamp())) != remembered:
        write_state(server, DELETION_TIME, seconds)
    return time


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _edge(now: datetime, kept: timedelta) -> int:
    """Return the first day to keep."""
    return int((now - kept - timedelta(days=1)).timestamp()) // DAY


def _oldest(server: Server, *tables: str) -> tuple[str, int] | None:
    """Return the oldest partition of some tables."""
    found = server.query(_PARTITIONS, {"database": server.database, "tables": list(tables)})
    return min(found, key=lambda row: (row[1], tables.index(row[0])), default=None)


def _rows(server: Server, edge: int) -> int:
    oldest = _oldest(server, "late", "usage")
    if oldest is None or oldest[1] >= edge:
        return 0
    table, day = oldest
    mark = server.query(_OLDEST_MARK)
    if mark and mark[0][0] < (day + 1) * DAY_BUCKETS:
        return 0
    if table == "late":
        server.execute(_KEEP_GROWTH, {"day": day, "day_buckets": DAY_BUCKETS})
    _drop(server, table, day)
    write_state(server, ROWS_FROM, (day + 1) * DAY_BUCKETS)
    return 1


def _totals(server: Server, edge: int) -> int:
    oldest = _oldest(server, "totals", "late_growth")
    if oldest is None or oldest[1] >= edge:
        return 0
    _drop(server, *oldest)
    return 1


def _drop(server: Server, table: str, day: int) -> None:
    server.execute(f"ALTER TABLE {table} DROP PARTITION {day}")


def _keys(server: Server, edge: int) -> int:
    """Delete keys without counts since `edge`."""
    (((count,),)) = server.query(_OLD_KEYS, {"edge": edge})
    if count:
        server.execute(_DELETE_KEYS, {"edge": edge})
    return int(count)
