"""Totals of the ClickHouse ledger: recomputed from the rows of marked buckets, never incremented.

              batch of a process                                      a round of any process
    rows ────▶ mark stored, then rows, then the answer     sees the mark ─▶ next round: totals, mark removed

A mark is older than a round (upkeep.ROUND_SECONDS) when it is removed, and a batch takes at most
writes.MARK_SECONDS and server.WRITE_SECONDS, which are less: so the rows of the mark are in the totals, or
their batch has failed. Two processes may recompute one bucket at once; the larger totals stay.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Final

from wsedge_statistics.ledger.clickhouse import questions
from wsedge_statistics.ledger.clickhouse.schema import MARKS, MEASURES, NAMES
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.numbers.series import GRAINS

BUCKETS: Final = 12  # in one step
# Rows in one step: the server stops a statement after 20 s, and a million rows may take it ten.
ROWS: Final = 500_000
_ROWS_OF: Final = f"SELECT bucket, count() FROM usage WHERE {questions.IN_DIRTY} GROUP BY bucket"
_MARKS: Final = (
    "SELECT bucket, mark FROM marks GROUP BY bucket, mark HAVING sum(sign) > 0 ORDER BY bucket, mark"
)
_GRAINS: Final = ", ".join(f"'{grain.value}'" for grain, _ in GRAINS)


def _named(name: str) -> str:
    """Return the SQL of a name at each grain: empty where the grain does not have it."""
    having = ", ".join(f"'{grain.value}'" for grain, _ in GRAINS if name in questions.dimensions(grain))
    return f"if(grain IN ({having}), k.{name}, '') AS {name}"


# Rows of sources are added by key, and keys by each grain. Codes are added one by one, then put together.
_ROWS: Final = questions.rows(questions.IN_DIRTY, MEASURES, codes=True)
_BY_GRAIN: Final = f"arrayJoin([{_GRAINS}]) AS grain, {', '.join(map(_named, NAMES))}"
_PLACE: Final = f"grain, {', '.join(NAMES)}, bucket"
_SUMS: Final = f"""
SELECT {_PLACE}, {", ".join(f"sum(k.{name}) AS {name}" for name in MEASURES)}, sum(k.stored) AS stored
FROM (SELECT {_BY_GRAIN}, k.* EXCEPT ({", ".join(NAMES)}) FROM (
  SELECT {", ".join(NAMES)}, bucket, {", ".join(f"sum(toUInt128({name})) AS {name}" for name in MEASURES)},
  sum(1 + length(codes)) AS stored FROM ({_ROWS}) GROUP BY {", ".join(NAMES)}, bucket) AS k) AS k
GROUP BY {_PLACE}
"""
_CODES: Final = f"""
SELECT {_PLACE}, mapFromArrays(groupArray(code), groupArray(count)) AS codes
FROM (SELECT {_PLACE}, code, sum(k.count) AS count FROM (SELECT {_BY_GRAIN}, bucket, code, count FROM (
  SELECT {", ".join(NAMES)}, bucket, code, sum(toUInt128(counted)) AS count
  FROM ({_ROWS}) ARRAY JOIN mapKeys(codes) AS code, mapValues(codes) AS counted
  GROUP BY {", ".join(NAMES)}, bucket, code) AS k) AS k GROUP BY {_PLACE}, code) GROUP BY {_PLACE}
"""
_COLUMNS: Final = f"{_PLACE}, {', '.join(MEASURES)}, stored"
_STORE_SUMS: Final = f"INSERT INTO totals ({_COLUMNS}) {_SUMS}"
_STORE_CODES: Final = f"INSERT INTO totals ({_PLACE}, codes) {_CODES}"


class Totals:
    """The rounds in which one process brings totals up to date."""

    def __init__(self, server: Server, *, removed: Callable[[set[int]], None]) -> None:
        self._server = server
        self._removed = removed
        self._seen: set[tuple[int, int]] = set()
        self._due: list[tuple[int, int]] = []

    def begin_round(self) -> None:
        """Begin a round, in which the marks are due that the round before has seen."""
        now = {(bucket, mark) for bucket, mark in self._server.query(_MARKS)}
        self._due = sorted(now & self._seen)
        self._seen = now

    def refresh(self) -> int:
        """Recompute the totals of some due buckets; return how many. Raises LedgerUnwritableError."""
        due = sorted({bucket for bucket, _ in self._due})[:BUCKETS]
        if not due:
            return 0
        buckets = self._few(due)
        done = [mark for mark in self._due if mark[0] in buckets]
        self.recompute(buckets)
        self._removed(set(buckets))
        self._server.insert("marks", MARKS, [(*mark, -1) for mark in done])
        self._due = self._due[len(done) :]
        self._seen -= set(done)
        return len(buckets)

    def _few(self, due: list[int]) -> list[int]:
        """Return the first of the buckets, with at most ROWS rows; at least one bucket."""
        rows = dict(self._server.query(_ROWS_OF, questions.buckets_parameters(due)))
        sums = accumulate(rows.get(bucket, 0) for bucket in due)
        return due[: max(1, sum(until_here <= ROWS for until_here in sums))]

    def recompute(self, buckets: list[int]) -> None:
        """Store the totals of buckets. Raises LedgerUnwritableError."""
        parameters = questions.buckets_parameters(buckets)
        self._server.execute(_STORE_SUMS, parameters)
        self._server.execute(_STORE_CODES, parameters)
