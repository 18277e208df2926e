"""The SQL of questions, and the parameters that it needs.

    totals that are current ─┐
    rows of dirty buckets  ──┴─▶ five: a value per group, slot and bucket ─▶ sums, maxima, codes

A question names its subjects (scopes of one grain, or keys) with the number of their group, and its slots, in
lists in JSON. In one transaction, a bucket of a scope is read from its total, or from the rows
if it is dirty. So an answer never waits for a total, and a total never changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wsedge_statistics.ledger.sqlite.schema import MEASURES
from wsedge_statistics.numbers.series import Grain

# The column of `keys` that has a grain's scope; every key belongs to everything.
KEYS_OF: Final = {
    Grain.EVERYTHING: "TRUE",
    Grain.ACCOUNT: "k.by_account = d.scope",
    Grain.DOMAIN: "k.by_domain = d.scope",
    Grain.PLACE: "k.by_place = d.scope",
}
_GIVEN: Final = """
WITH RECURSIVE
slots (slot, first, last) AS MATERIALIZED
  (SELECT key, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:slots)),
subjects (id, grp) AS MATERIALIZED
  (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:subjects)),
"""
# The buckets of each slot, to seek in rows by bucket and key.
_BUCKETS: Final = """
buckets (slot, bucket, last) AS (SELECT slot, first, last FROM slots WHERE first < last
  UNION ALL SELECT slot, bucket + 1, last FROM buckets WHERE bucket + 1 < last),
"""
# The order of the joins is fixed: SQLite knows nothing of the sizes of lists that are parameters.
_TOTALS: Final = """
SELECT c.grp, s.slot, t.bucket, {columns} FROM subjects c CROSS JOIN slots s
  CROSS JOIN {totals} t ON t.scope = c.id AND t.bucket >= s.first AND t.bucket < s.last
  WHERE t.bucket < :dirty
  OR NOT EXISTS (SELECT 1 FROM dirty d WHERE d.bucket = t.bucket AND d.scope = t.scope)
"""
_DIRTY: Final = """
SELECT c.grp, s.slot, d.bucket, {columns} FROM slots s
  CROSS JOIN dirty d ON d.bucket >= s.first AND d.bucket < s.last AND d.bucket >= :dirty
  CROSS JOIN subjects c ON c.id = d.scope
  {rows}
"""
_PER_SUBJECT: Final = "GROUP BY c.grp, s.slot, d.bucket, d.scope"
_ALL_ROWS: Final = "CROSS JOIN {table} t ON t.bucket = d.bucket"
_KEYED_ROWS: Final = (
    "CROSS JOIN keys k ON {keys} CROSS JOIN {table} t ON t.bucket = d.bucket AND t.key = k.id"
)
_ROWS: Final = """
SELECT c.grp, s.slot, s.bucket, {columns} FROM buckets s CROSS JOIN subjects c
  CROSS JOIN {table} t ON t.bucket = s.bucket AND t.key = c.id
"""
_SUMS: Final = """
top AS MATERIALIZED (SELECT grp, slot, {sums}, max(peak) AS peak, max(sent) AS sent_peak,
  max(received) AS received_peak FROM five GROUP BY grp, slot)
SELECT top.grp, top.slot, {tops}, top.sent_peak, min(iif(five.sent = top.sent_peak, five.bucket, NULL)),
  top.received_peak, min(iif(five.received = top.received_peak, five.bucket, NULL))
FROM five CROSS JOIN top ON top.grp = five.grp AND top.slot = five.slot
  AND (five.sent = top.sent_peak OR five.received = top.received_peak)
GROUP BY top.grp, top.slot ORDER BY top.grp, top.slot
"""
# An integer of SQLite has 64 bits, and the sum of a hostile tenant's counts may have more: then sum() fails,
# and the question is asked again for both halves of each count, which are put together in Python.
HALF: Final = 31
_LOW: Final = (1 << HALF) - 1


def _plain(name: str) -> str:
    return f"sum({name}) AS {name}"


def _halved(name: str) -> str:
    return f"sum({name} >> {HALF}) AS {name}_high, sum({name} & {_LOW}) AS {name}_low"


def _parts(
    grain: Grain,
    names: tuple[str, ...],
    *,
    rows: str = "usage",
    totals: str = "totals",
    distinct: bool = False,
) -> str:
    """Return the CTEs up to `parts`: the five-minute counts of a grain, of current totals and of rows.

    `distinct`: one part for each subject and bucket, so that the rows of a dirty bucket are added.
    """
    columns = ", ".join(f"t.{name}" for name in names)
    if grain is Grain.ROWS:
        selected = _ROWS.format(columns=columns, table=rows)
        return f"{_GIVEN} {_BUCKETS} parts (grp, slot, bucket, {', '.join(names)}) AS ({selected})"
    joined = _ALL_ROWS if grain is Grain.EVERYTHING else _KEYED_ROWS
    added = ", ".join(f"sum(t.{name})" for name in names) if distinct else columns
    dirty = _DIRTY.format(columns=added, rows=joined.format(table=rows, keys=KEYS_OF[grain]))
    grouped = _PER_SUBJECT if distinct else ""
    selected = f"{_TOTALS.format(columns=columns, totals=totals)} UNION ALL {dirty} {grouped}"
    return f"{_GIVEN} parts (grp, slot, bucket, {', '.join(names)}) AS ({selected})"


def _five(grain: Grain, names: tuple[str, ...], *, distinct: bool) -> str:
    added = ", ".join(map(_plain, names))
    values = (
        "* FROM parts" if distinct else f"grp, slot, bucket, {added} FROM parts GROUP BY grp, slot, bucket"
    )
    return f"{_parts(grain, names, distinct=distinct)}, five AS MATERIALIZED (SELECT {values})"


def _halves(grain: Grain, names: tuple[str, ...]) -> str:
    halves = ", ".join(map(_halved, names))
    return (
        f"{_parts(grain, names)} SELECT grp, slot, bucket, {halves} FROM parts "
        "GROUP BY grp, slot, bucket ORDER BY grp, slot, bucket"
    )


def _codes(grain: Grain, half: Callable[[str], str]) -> str:
    return (
        f"{_parts(grain, ('code', 'count'), rows='codes', totals='code_totals')} "
        f"SELECT grp, slot, code, {half('count')} FROM parts "
        "WHERE count > 0 GROUP BY grp, slot, code ORDER BY grp, slot, code"
    )


_ADDED: Final = MEASURES[:-1]
_TAIL: Final = _SUMS.format(
    sums=", ".join(map(_plain, _ADDED)), tops=", ".join(f"top.{name}" for name in MEASURES)
)
_BYTES: Final = ("sent", "received")
_VALUES: Final = "SELECT grp, bucket, sent, received FROM five ORDER BY grp, bucket"

_CHOICES: Final = tuple((grain, distinct) for grain in Grain for distinct in (False, True))

# By grain, and by whether each subject is a group of its own, so that their values need not be added.
SUMS: Final = {choice: f"{_five(choice[0], MEASURES, distinct=choice[1])}, {_TAIL}" for choice in _CHOICES}
VALUES: Final = {choice: f"{_five(choice[0], _BYTES, distinct=choice[1])} {_VALUES}" for choice in _CHOICES}
CODES: Final = {grain: _codes(grain, _plain) for grain in Grain}
HALVED_SUMS: Final = {grain: _halves(grain, MEASURES) for grain in Grain}
HALVED_VALUES: Final = {grain: _halves(grain, _BYTES) for grain in Grain}
HALVED_CODES: Final = {grain: _codes(grain, _halved) for grain in Grain}
