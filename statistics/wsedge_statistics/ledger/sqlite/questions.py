"""The SQL of questions, and the parameters that it needs.

    totals that are current ─┐
    rows of dirty buckets  ──┴─▶ five: a value per group, slot and bucket ─▶ sums, maxima, codes

A question names its subjects (scopes of one grain, or keys) with the number of their group, and its slots, in
lists in JSON. In one transaction, a bucket of a scope is read from its total, or from the rows
if it is dirty. So an answer never waits for a total, and a total never changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from wsedge_statistics.ledger.sqlite.schema import EVERYTHING, MEASURES
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
# SQLite sorts by one integer faster than by several columns; a bucket lies in one slot.
_PER_BUCKET: Final = "GROUP BY c.grp << 32 | t.bucket"
_PER_SUBJECT: Final = "GROUP BY c.grp, s.slot, d.bucket, d.scope"
_ALL_ROWS: Final = "CROSS JOIN {table} t ON t.bucket = d.bucket"
_KEYED_ROWS: Final = (
    "CROSS JOIN keys k ON {keys} CROSS JOIN {table} t ON t.bucket = d.bucket AND t.key = k.id"
)
_ROWS: Final = """
SELECT c.grp, s.slot, s.bucket, {columns} FROM buckets s CROSS JOIN subjects c
  CROSS JOIN {table} t ON t.bucket = s.bucket AND t.key = c.id
"""
# Rows of schema 1 that were not moved yet: their keys are names, their buckets are seconds.
_OLD_ROWS: Final = """
SELECT c.grp, s.slot, o.bucket / 300, {columns} FROM slots s
  CROSS JOIN old_{table} o ON o.bucket >= s.first * 300 AND o.bucket < s.last * 300
  CROSS JOIN keys k ON k.account = o.account AND k.domain = o.domain AND k.region = o.region
    AND k.isp = o.isp AND k.area = o.area
  CROSS JOIN subjects c ON c.id = {subject}
"""
_SUBJECT: Final = {
    Grain.EVERYTHING: str(EVERYTHING),
    Grain.ACCOUNT: "k.by_account",
    Grain.DOMAIN: "k.by_domain",
    Grain.PLACE: "k.by_place",
    Grain.ROWS: "k.id",
}
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


@dataclass(frozen=True, slots=True)
class Form:
    """What decides the SQL of a question: its grain, and two of its circumstances.

    `distinct`: each subject is a group of its own, so that its values need not be added. `old`: rows of
    schema 1 are left.
    """

    grain: Grain
    distinct: bool = False
    old: bool = False


def _parts(
    form: Form,
    names: tuple[str, ...],
    *,
    rows: str = "usage",
    totals: str = "totals",
    added: bool = False,
) -> str:
    """Return the CTEs up to `parts`: the five-minute counts of a grain, of current totals and of rows.

    `added`: each of the two has at most one row per group and bucket, so that few rows are left to be added.
    """
    columns = ", ".join(f"t.{name}" for name in names)
    sums = ", ".join(f"sum(t.{name})" for name in names)
    chosen, grouped = (sums, _PER_BUCKET) if added else (columns, "")
    if form.grain is Grain.ROWS:
        selected = f"{_ROWS.format(columns=chosen, table=rows)} {grouped}"
    else:
        joined = _ALL_ROWS if form.grain is Grain.EVERYTHING else _KEYED_ROWS
        dirty = _DIRTY.format(
            columns=sums if form.distinct else columns,
            rows=joined.format(table=rows, keys=KEYS_OF[form.grain]),
        )
        per_subject = _PER_SUBJECT if form.distinct else ""
        current = f"{_TOTALS.format(columns=chosen, totals=totals)} {grouped}"
        selected = f"{current} UNION ALL {dirty} {per_subject}"
    if form.old:
        moved = ", ".join("0" if name == "connection_seconds" else f"o.{name}" for name in names)
        selected += " UNION ALL " + _OLD_ROWS.format(columns=moved, table=rows, subject=_SUBJECT[form.grain])
    buckets = _BUCKETS if form.grain is Grain.ROWS else ""
    return f"{_GIVEN} {buckets} parts (grp, slot, bucket, {', '.join(names)}) AS ({selected})"


def _five(form: Form, names: tuple[str, ...]) -> str:
    sums = ", ".join(map(_plain, names))
    place = "grp, slot, bucket"
    values = "* FROM parts" if form.distinct else f"{place}, {sums} FROM parts GROUP BY {place}"
    return f"{_parts(form, names, added=not form.distinct)}, five AS MATERIALIZED (SELECT {values})"


_TAIL: Final = _SUMS.format(
    sums=", ".join(map(_plain, MEASURES[:-1])), tops=", ".join(f"top.{name}" for name in MEASURES)
)
_BYTES: Final = ("sent", "received")


@cache
def sums(form: Form) -> str:
    """Return the SQL of the sums of each group and slot."""
    return f"{_five(form, MEASURES)}, {_TAIL}"


@cache
def values(form: Form) -> str:
    """Return the SQL of the five-minute bytes of each group."""
    return f"{_five(form, _BYTES)} SELECT grp, bucket, sent, received FROM five ORDER BY grp, bucket"


@cache
def codes(form: Form) -> str:
    """Return the SQL of the codes of each group and slot."""
    return _codes(form, _plain)


@cache
def halved_values(form: Form) -> str:
    """Return the SQL of the five-minute counts of each group, in halves."""
    every = Form(form.grain, old=form.old)  # the sum of a subject's rows may not fit either
    return (
        f"{_parts(every, MEASURES)} SELECT grp, slot, bucket, {', '.join(map(_halved, MEASURES))} "
        "FROM parts GROUP BY grp, slot, bucket ORDER BY grp, slot, bucket"
    )


@cache
def halved_codes(form: Form) -> str:
    """Return the SQL of the codes of each group and slot, in halves."""
    return _codes(form, _halved)


def _codes(form: Form, add: Callable[[str], str]) -> str:
    every = Form(form.grain, old=form.old)  # a subject has several codes in a bucket
    parts = _parts(every, ("code", "count"), rows="codes", totals="code_totals")
    return (
        f"{parts} SELECT grp, slot, code, {add('count')} FROM parts "
        "WHERE count > 0 GROUP BY grp, slot, code ORDER BY grp, slot, code"
    )
