"""Answers of the ClickHouse ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wsedge_statistics.ledger.clickhouse import questions
from wsedge_statistics.ledger.clickhouse.schema import NAMES
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.protocol import LateCounts, SeenKey
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import (
    BUCKET,
    CodeSum,
    Counts,
    Dimension,
    Key,
    Selection,
    SlotSums,
    Value,
    grain_of,
)

# What a bucket grew by when rows came in late: of each source, how far the largest count until then exceeds
# the largest count before. What came in in time counts as before all.
GROWTH = f"""
SELECT account, bucket, area, received_at, sum(toUInt128(more_sent)) AS sent,
  sum(toUInt128(more_received)) AS received
FROM (SELECT account, bucket, area, received_at,
  sent - max(sent) OVER before AS more_sent, received - max(received) OVER before AS more_received
  FROM (SELECT {", ".join(NAMES)}, bucket, source, received_at, max(sent) OVER until AS sent,
    max(received) OVER until AS received
    FROM (SELECT {", ".join(NAMES)}, bucket, source, received_at, max(sent) AS sent, max(received) AS received
      FROM (SELECT {", ".join(NAMES)}, bucket, source, received_at, sent, received FROM late
          WHERE {{condition}}
        UNION ALL SELECT {", ".join(NAMES)}, bucket, source, 0, sent, received FROM usage
          WHERE {{condition}} AND bucket IN (SELECT bucket FROM late WHERE {{condition}}))
      GROUP BY {", ".join(NAMES)}, bucket, source, received_at)
    WINDOW until AS (PARTITION BY {", ".join(NAMES)}, bucket, source ORDER BY received_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
  WINDOW before AS (PARTITION BY {", ".join(NAMES)}, bucket, source ORDER BY received_at
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
WHERE received_at > 0
GROUP BY account, bucket, area, received_at HAVING sent > 0 OR received > 0
"""
_IN_RANGE = "account = {account:String} AND bucket >= {first:UInt32} AND bucket < {last:UInt32}"
_LATE = f"""
SELECT received_at, area, bucket, max(sent), max(received) FROM (
  SELECT account, bucket, area, received_at, sent, received FROM late_growth WHERE {_IN_RANGE}
  UNION ALL {GROWTH.format(condition=_IN_RANGE)})
GROUP BY bucket, area, received_at ORDER BY bucket, area, received_at
"""


def sums(
    server: Server, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
) -> list[SlotSums]:
    """Return the sums of each group and slot that has rows."""
    sql = questions.sums(grain_of(selection, group_by), selection, group_by)
    width = len(group_by)
    answer = []
    for row in server.query(sql, _parameters(server, selection, slots)):
        slot, *counts, sent, at_sent, received, at_received = row[width:]
        peaks = (sent, at_sent * BUCKET, received, at_received * BUCKET)
        answer.append(SlotSums(row[:width], slot, Counts(*counts), *peaks))
    return answer


def codes(
    server: Server, selection: Selection, slots: Sequence[Slot], group_by: tuple[Dimension, ...] = ()
) -> list[CodeSum]:
    """Return the HTTP codes of each group and slot."""
    sql = questions.codes(grain_of(selection, group_by), selection, group_by)
    width = len(group_by)
    found = server.query(sql, _parameters(server, selection, slots))
    return [CodeSum(row[:width], *row[width:]) for row in found]


def values(server: Server, selection: Selection, group_by: tuple[Dimension, ...] = ()) -> Iterator[Value]:
    """Yield the five-minute values of each group."""
    sql = questions.values(grain_of(selection, group_by), selection, group_by)
    width = len(group_by)
    for row in server.stream(sql, _parameters(server, selection, ())):
        bucket, sent, received = row[width:]
        yield Value(tuple(row[:width]), bucket * BUCKET, sent, received)


def _parameters(server: Server, selection: Selection, slots: Sequence[Slot]) -> dict[str, Any]:
    edges = {"first": selection.start // BUCKET, "last": selection.end // BUCKET}
    named = {
        "account": selection.account,
        "domains": None if selection.domains is None else sorted(selection.domains),
        "region": selection.region,
        "isp": selection.isp,
        "area": selection.area,
    }
    return {
        **edges,
        **{name: value for name, value in named.items() if value is not None},
        "firsts": [slot.start // BUCKET for slot in slots],
        "lasts": [slot.end // BUCKET for slot in slots],
        **questions.buckets_parameters([bucket for (bucket,) in server.query(questions.DIRTY, edges)]),
    }


def seen(server: Server, account: str | None) -> list[SeenKey]:
    """Return every key of an account, or of all accounts, by account and domain."""
    where, parameters = (
        ("", {}) if account is None else ("WHERE account = {account:String}", {"account": account})
    )
    rows = server.query(
        f"SELECT domain, account, region, isp, area, min(first), max(last) FROM keys {where} "
        "GROUP BY account, domain, region, isp, area ORDER BY account, domain, region, isp, area",
        parameters,
    )
    return [SeenKey(Key(*row[:5]), row[5] * BUCKET, row[6] * BUCKET) for row in rows]


def late(server: Server, account: str, start: int, end: int) -> list[LateCounts]:
    """Return what an account's buckets within [start, end) grew by late."""
    edges = {"account": account, "first": start // BUCKET, "last": end // BUCKET}
    return [
        LateCounts(at * BUCKET, account, area, bucket * BUCKET, sent, received)
        for at, area, bucket, sent, received in server.query(_LATE, edges)
    ]
