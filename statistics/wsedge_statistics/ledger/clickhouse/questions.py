"""The SQL of questions.

    totals ───────────────────────┐ max() of both
    rows of dirty buckets ─ sums ─┴─▶ subjects ─▶ five: a value per group and bucket ─▶ sums, maxima, codes

A total is the sum of the rows that its process saw, and rows may be deleted later, so neither is ever too
large: the larger of both is right, current or not. The dirty buckets are read before the totals, so
that a bucket that is not among them has a current total.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wsedge_statistics.ledger.clickhouse.schema import HOUR_BUCKETS, MEASURES, NAMES
from wsedge_statistics.numbers.series import GRAINS, Dimension, Grain, Selection

DIRTY: Final = """
SELECT bucket FROM (SELECT bucket, mark FROM marks WHERE bucket >= {first:UInt32} AND bucket < {last:UInt32}
  GROUP BY bucket, mark HAVING sum(sign) > 0) GROUP BY bucket ORDER BY bucket
"""
_KEY: Final = f"{', '.join(NAMES)}"
_RANGE: Final = "bucket >= {first:UInt32} AND bucket < {last:UInt32}"
IN_DIRTY: Final = (
    f"bucket IN {{dirty:Array(UInt32)}} AND intDiv(bucket, {HOUR_BUCKETS}) IN {{hours:Array(UInt32)}}"
)
_FILTERS: Final = {
    "account": "account = {account:String}",
    "domains": "domain IN {domains:Array(String)}",
    "region": "region = {region:String}",
    "isp": "isp = {isp:String}",
    "area": "area = {area:String}",
}
# The buckets of each slot.
_SLOTS: Final = """
SELECT s.1 - 1 AS slot, arrayJoin(range(s.2, s.3)) AS bucket FROM (SELECT arrayJoin(arrayZip(
  arrayEnumerate({firsts:Array(UInt32)}), {firsts:Array(UInt32)}, {lasts:Array(UInt32)})) AS s)
"""
_PEAKS: Final = ", ".join(
    f"max({name}), argMax(bucket, ({name}, -toInt64(bucket)))" for name in ("sent", "received")
)


def buckets_parameters(buckets: Sequence[int]) -> dict[str, list[int]]:
    """Return buckets as the parameters of IN_DIRTY."""
    return {"dirty": list(buckets), "hours": sorted({bucket // HOUR_BUCKETS for bucket in buckets})}


def dimensions(grain: Grain) -> frozenset[str]:
    """Return the names that the totals of a grain have."""
    return frozenset(name.value for name in dict(GRAINS)[grain])


def rows(condition: str, names: Sequence[str], *, codes: bool = False) -> str:
    """Return the SQL of rows of sources, each once, with the largest of its counts."""
    read = ", ".join([*names, *(["codes"] if codes else [])])
    largest = ", ".join(
        [*(f"max({n}) AS {n}" for n in names), *(["maxMap(codes) AS codes"] if codes else [])]
    )
    each = " UNION ALL ".join(
        f"SELECT bucket, {_KEY}, source, {read} FROM {table} WHERE {condition}" for table in ("usage", "late")
    )
    return f"SELECT bucket, {_KEY}, source, {largest} FROM ({each}) GROUP BY bucket, {_KEY}, source"


def filters(selection: Selection) -> str:
    """Return the conditions of a selection, which begin with AND."""
    return "".join(f" AND {text}" for name, text in _FILTERS.items() if getattr(selection, name) is not None)


def _subjects(grain: Grain, selection: Selection, names: Sequence[str]) -> str:
    """Return the SQL of five-minute counts of a grain's subjects, of totals and of rows of dirty buckets."""
    kept = sorted(dimensions(grain))
    where = f"{_RANGE}{filters(selection)}"
    keys = "".join(f"{name}, " for name in kept)
    sums = ", ".join(f"sum(toUInt128({name})) AS {name}" for name in names)
    largest = ", ".join(f"max({name}) AS {name}" for name in names)
    return (
        f"SELECT {keys}bucket, {largest} FROM ("
        f"SELECT {keys}bucket, {', '.join(names)} FROM totals WHERE grain = '{grain}' AND {where} "
        f"UNION ALL SELECT {keys}bucket, {sums} FROM ({rows(f'{where} AND {IN_DIRTY}', names)}) "
        f"GROUP BY {keys}bucket) GROUP BY {keys}bucket"
    )


def _five(grain: Grain, selection: Selection, group_by: Sequence[Dimension], names: Sequence[str]) -> str:
    groups = "".join(f"{dimension.value}, " for dimension in group_by)
    if grain is Grain.ROWS:
        source = rows(f"{_RANGE}{filters(selection)}", names)
    else:
        source = _subjects(grain, selection, names)
    sums = ", ".join(f"sum(toUInt128({name})) AS {name}" for name in names)
    return f"SELECT {groups}bucket, {sums} FROM ({source}) GROUP BY {groups}bucket"


def sums(grain: Grain, selection: Selection, group_by: Sequence[Dimension]) -> str:
    """Return the SQL of the sums and maxima of each group and slot."""
    groups = "".join(f"{dimension.value}, " for dimension in group_by)
    added = ", ".join(f"sum({name})" for name in MEASURES[:-1])
    five = _five(grain, selection, group_by, MEASURES)
    return (
        f"SELECT {groups}slot, {added}, max(peak), {_PEAKS} FROM ({five}) "
        f"AS five JOIN ({_SLOTS}) AS slots USING (bucket) GROUP BY {groups}slot ORDER BY {groups}slot"
    )


def values(grain: Grain, selection: Selection, group_by: Sequence[Dimension]) -> str:
    """Return the SQL of the five-minute values of each group."""
    groups = "".join(f"{dimension.value}, " for dimension in group_by)
    five = _five(grain, selection, group_by, ("sent", "received"))
    return f"SELECT {groups}bucket, sent, received FROM ({five}) ORDER BY {groups}bucket"


def codes(grain: Grain, selection: Selection, group_by: Sequence[Dimension]) -> str:
    """Return the SQL of the HTTP codes of each group and slot."""
    where = f"{_RANGE}{filters(selection)}"
    pairs = "ARRAY JOIN mapKeys(codes) AS code, mapValues(codes) AS count"
    if grain is Grain.ROWS:
        source = f"SELECT {_KEY}, bucket, code, count FROM ({rows(where, (), codes=True)}) {pairs}"
    else:
        keys = "".join(f"{name}, " for name in sorted(dimensions(grain)))
        dirty = rows(f"{where} AND {IN_DIRTY}", (), codes=True)
        source = (
            f"SELECT {keys}bucket, code, max(count) AS count FROM ("
            f"SELECT {keys}bucket, code, count FROM totals {pairs} WHERE grain = '{grain}' AND {where} "
            f"UNION ALL SELECT {keys}bucket, code, sum(toUInt128(count)) AS count FROM ({dirty}) {pairs} "
            f"GROUP BY {keys}bucket, code) GROUP BY {keys}bucket, code"
        )
    groups = "".join(f"{dimension.value}, " for dimension in group_by)
    return (
        f"SELECT {groups}slot, code, sum(toUInt128(count)) AS counted FROM ({source}) AS five "
        f"JOIN ({_SLOTS}) AS slots USING (bucket) GROUP BY {groups}slot, code HAVING counted > 0 "
        f"ORDER BY {groups}slot, code"
    )
