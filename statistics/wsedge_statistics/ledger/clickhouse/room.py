"""What an account may have in the ClickHouse ledger: rows in one bucket, rows in all, keys.

A process counts what it stores itself, repeats included, so it counts too much rather than too little. Only
when that is more than the room does it ask the server, which counts each row once; then single rows are
refused. Several processes count apart until they ask: together they may let in more than a bucket's room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from wsedge_statistics.ledger.clickhouse import questions
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.clickhouse.state import ROWS_FROM, read_state
from wsedge_statistics.ledger.protocol import Room
from wsedge_statistics.numbers.series import Key

ALL: Final = -1  # a place in which all rows of an account are counted
KEYS: Final = -2
ASKED_SECONDS: Final = 3600.0  # how long an answer of the server is good, since others store too
_MOST_PLACES: Final = 200_000

_NEVER: Final = 2**32 - 1
# The rows that an account has, of its totals and of the buckets that are not in its totals yet.
_OF_ACCOUNT: Final = f"""
SELECT sum(n) FROM (SELECT bucket, max(stored) AS n FROM (
  SELECT bucket, stored FROM totals WHERE grain = 'account' AND account = {{account:String}}
    AND bucket >= {{first:UInt32}}
  UNION ALL SELECT bucket, sum(1 + length(codes)) AS stored
    FROM ({questions.rows("account = {account:String} AND " + questions.IN_DIRTY, (), codes=True)})
    GROUP BY bucket) GROUP BY bucket)
"""
_KEYS_OF: Final = (
    "SELECT DISTINCT domain, account, region, isp, area FROM keys WHERE account = {account:String}"
)
_IN_BUCKETS: Final = f"account IN {{accounts:Array(String)}} AND {questions.IN_DIRTY}"
_OF_BUCKETS: Final = f"""
SELECT bucket, account, sum(1 + length(codes)) FROM ({questions.rows(_IN_BUCKETS, (), codes=True)})
GROUP BY bucket, account
"""
_PRESENT: Final = f"""
SELECT bucket, domain, account, region, isp, area, mapKeys(codes)
FROM ({questions.rows(_IN_BUCKETS + " AND source = {source:String}", (), codes=True)})
"""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of a report, under the key that it is stored under."""

    bucket: int
    key: Key
    codes: frozenset[int]


class Pending(Protocol):
    """The batch that a report is added to."""

    def is_new(self, key: Key) -> bool:
        """Return whether neither this batch nor this process has stored the key."""

    def flush(self) -> None:
        """Store what was added."""


Place = tuple[int, str]  # a bucket, ALL or KEYS, and an account


class Fill:
    """How much each account has, as far as this process knows; never less than what it stored itself."""

    def __init__(self, server: Server, monotonic: Callable[[], float]) -> None:
        self._server = server
        self._monotonic = monotonic
        self._kept: dict[Place, int] = {}
        self._asked: dict[str, float] = {}

    def refused(self, rows: Sequence[ReportRow], source: str, room: Room, batch: Pending) -> tuple[int, ...]:
        """Return the indices of the rows that have no room; if there is none, count the rows as stored.

        Raises LedgerUnwritableError or LedgerUnreadableError.
        """
        wanted: Counter[Place] = Counter()
        for row in rows:
            wanted[row.bucket, row.key.account] += 1 + len(row.codes)
            wanted[ALL, row.key.account] += 1 + len(row.codes)
        for key in {row.key for row in rows}:
            if batch.is_new(key):
                wanted[KEYS, key.account] += 1
        accounts = {account for _, account in wanted}
        if stale := {
            a for a in accounts if self._asked.get(a, -ASKED_SECONDS) <= self._monotonic() - ASKED_SECONDS
        }:
            batch.flush()
            self._ask(stale)
        if any(self._kept.get(place, 0) + count > _most(place, room) for place, count in wanted.items()):
            batch.flush()
            if refused := self._without_room(rows, source, room, wanted):
                return refused
        for place, count in wanted.items():
            self._kept[place] = self._kept.get(place, 0) + count
        return ()

    def _ask(self, accounts: set[str]) -> None:
        """Ask the server for the rows and keys of accounts."""
        if len(self._kept) > _MOST_PLACES:
            self._kept.clear()
            self._asked.clear()
        dirty = [at for (at,) in self._server.query(questions.DIRTY, {"first": 0, "last": _NEVER})]
        edges = {"first": read_state(self._server, ROWS_FROM) or 0, **questions.buckets_parameters(dirty)}
        for account in accounts:
            (((rows,),)) = self._server.query(_OF_ACCOUNT, {"account": account, **edges})
            self._kept[ALL, account] = int(rows)
            self._kept[KEYS, account] = len(self._server.query(_KEYS_OF, {"account": account}))
            self._asked[account] = self._monotonic()

    def _without_room(
        self, rows: Sequence[ReportRow], source: str, room: Room, wanted: Mapping[Place, int]
    ) -> tuple[int, ...]:
        """Return the indices of the rows that exceed the room. A row that is stored already needs none."""
        accounts = sorted({row.key.account for row in rows})
        self._ask(set(accounts))
        within = {"accounts": accounts, **questions.buckets_parameters(sorted({row.bucket for row in rows}))}
        kept = {place: self._kept.get(place, 0) for place in wanted if place[0] < 0}
        kept |= {(at, account): int(count) for at, account, count in self._server.query(_OF_BUCKETS, within)}
        present = {
            (at, Key(*names)): frozenset(codes)
            for at, *names, codes in self._server.query(_PRESENT, {**within, "source": source})
        }
        known = {Key(*row) for a in accounts for row in self._server.query(_KEYS_OF, {"account": a})}
        refused = []
        for index, row in enumerate(rows):
            there = present.get((row.bucket, row.key))
            new = 1 + len(row.codes) if there is None else len(row.codes - there)
            needs = {(row.bucket, row.key.account): new, (ALL, row.key.account): new}
            if row.key not in known:
                needs[KEYS, row.key.account] = 1
            if any(
                count and kept.get(place, 0) + count > _most(place, room) for place, count in needs.items()
            ):
                refused.append(index)
            else:
                known.add(row.key)
                for place, count in needs.items():
                    kept[place] = kept.get(place, 0) + count
        for place in wanted:  # the caller adds what is wanted
            self._kept[place] = kept.get(place, 0) - (0 if refused else wanted[place])
        return tuple(refused)


def _most(place: Place, room: Room) -> int:
    return {ALL: room.of_account, KEYS: room.of_keys}.get(place[0], room.of_bucket)
