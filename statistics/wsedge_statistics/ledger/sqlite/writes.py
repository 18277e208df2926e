"""Merges of reports into the SQLite ledger, as functions on a connection within a transaction."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final

from wsedge_statistics.contract import UsageReport, UsageRow
from wsedge_statistics.ledger.protocol import LATE_AFTER, Room, StoredStatement
from wsedge_statistics.ledger.sqlite import migration, totals
from wsedge_statistics.ledger.sqlite.keys import KeyCache, KnownKey, Names, account_scope, add_key, widen
from wsedge_statistics.ledger.sqlite.schema import FILL_ALL, FILL_KEYS, MEASURES
from wsedge_statistics.ledger.sqlite.state import ROWS_FROM, read_state
from wsedge_statistics.numbers.series import BUCKET, Key

_PLACE: Final = "bucket = ?1 AND key = ?2 AND source = ?3"
_LARGER: Final = ", ".join(f"{name} = max({name}, ?{n})" for n, name in enumerate(MEASURES, start=4))


@dataclass(frozen=True, slots=True)
class _Merge:
    """The statements that merge rows of a table, whose first `names` columns are a row's names."""

    names: int
    insert: str
    update: str
    find: str


_USAGE: Final = _Merge(
    names=3,
    insert=f"INSERT OR IGNORE INTO usage VALUES (?, ?, ?, {', '.join('?' for _ in MEASURES)})",
    update=f"UPDATE usage SET {_LARGER} WHERE {_PLACE}",
    find=f"SELECT 1 FROM usage WHERE {_PLACE}",
)
_CODES: Final = _Merge(
    names=4,
    insert="INSERT OR IGNORE INTO codes VALUES (?, ?, ?, ?, ?)",
    update=f"UPDATE codes SET count = max(count, ?5) WHERE {_PLACE} AND code = ?4",
    find=f"SELECT 1 FROM codes WHERE {_PLACE} AND code = ?4",
)
_FILL: Final = "INSERT INTO fill VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows"
# Bounded, so that the sum of a hostile tenant's counts stays an integer of 64 bits.
_MOST_LATE: Final = 1 << 61
_LATE: Final = f"""
INSERT INTO late VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  sent = min(sent + excluded.sent, {_MOST_LATE}), received = min(received + excluded.received, {_MOST_LATE})
"""

# A row of a report: its bucket, the names of the key that it is stored under, its counts, its codes. Reports
# have thousands of rows, and all later ones wait for their commit: hence tuples, and getters that run in C.
_Row = tuple[int, Names, tuple[int, ...], dict[str, int]]
_names: Final[Callable[[UsageRow], Names]] = attrgetter("domain", "account", "region", "isp", "area")
_counts: Final[Callable[[UsageRow], tuple[int, ...]]] = attrgetter(
    "sentBytes",
    "receivedBytes",
    "sentMessages",
    "receivedMessages",
    "openedConnections",
    "connectionSeconds",
    "peakConnections",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a report is merged: the clock's time, the turn of upkeep, and what is known of the ledger then."""

    now: datetime
    turn: int = 0
    keys: KeyCache = field(default_factory=KeyCache)
    marks: totals.Marks = field(default_factory=totals.Marks)


def merge_report(
    connection: sqlite3.Connection,
    report: UsageReport,
    moment: Moment,
    names: Mapping[str, str] | None = None,
    room: Room | None = None,
) -> tuple[int, ...]:
    """Merge a report: every count becomes the larger of the stored and the reported count.

    `names` has by account the key under which its rows are stored. Return the indices of the rows for which
    their account has no `room` (None: no limit); if there is any, nothing was merged.
    """
    if not report.rows:
        return ()
    rows = _rows(report, names or {})
    migration.move_buckets(connection, {bucket for bucket, *_ in rows})
    known = moment.keys.find(connection, [key for _, key, *_ in rows])
    if room is not None and (refused := _without_room(connection, report, rows, known, room)):
        return refused
    source = _source_id(connection, report, last=max(bucket for bucket, *_ in rows))
    keys = _stored_keys(connection, rows, known, moment.keys)
    _record_late(connection, rows, keys, source, moment.now)
    _store(connection, rows, keys, source)
    _mark(connection, rows, keys, moment)
    return ()


def _rows(report: UsageReport, names: Mapping[str, str]) -> list[_Row]:
    buckets = {row.bucket for row in report.rows}
    numbers = {bucket: int(bucket.timestamp()) // BUCKET for bucket in buckets}
    rows = [(numbers[row.bucket], _names(row), _counts(row), row.codes) for row in report.rows]
    other = {account: key for account, key in names.items() if key != account}
    if not other:
        return rows
    return [
        (bucket, (domain, other.get(account, account), region, isp, area), counts, codes)
        for bucket, (domain, account, region, isp, area), counts, codes in rows
    ]


def _source_id(connection: sqlite3.Connection, report: UsageReport, *, last: int) -> int:
    source = report.source
    ((number,),) = connection.execute(
        "INSERT INTO sources (uid, epoch, pod, cluster, last) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (uid, epoch) DO UPDATE SET last = max(last, excluded.last), "
        "cluster = coalesce(excluded.cluster, cluster) RETURNING id",
        (source.uid, source.epoch, source.pod, source.cluster, last),
    ).fetchall()
    return int(number)


def _stored_keys(
    connection: sqlite3.Connection, rows: list[_Row], known: list[KnownKey | None], cache: KeyCache
) -> list[KnownKey]:
    """Return the key of each row; store keys that are new, and that these have counts of their buckets."""
    spans: dict[Names, list[int]] = defaultdict(list)
    before: dict[Names, KnownKey | None] = {}
    for (bucket, names, *_), key in zip(rows, known, strict=True):
        if key is None or not key.first <= bucket <= key.last:
            spans[names].append(bucket)
            before[names] = key
    if not spans:
        return [key for key in known if key is not None]
    changed = {}
    for names, buckets in spans.items():
        first, last = min(buckets), max(buckets)
        changed[names] = widen(
            connection, before[names] or add_key(connection, Key(*names), first), first, last
        )
    cache.remember(changed)
    return [
        key if key is not None and names not in changed else changed[names]
        for (_, names, *_), key in zip(rows, known, strict=True)
    ]


def _store(connection: sqlite3.Connection, rows: list[_Row], keys: list[KnownKey], source: int) -> None:
    """Merge the rows, and count those that are new."""
    usage: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    of_codes: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for (bucket, _, counts, codes), key in zip(rows, keys, strict=True):
        usage[bucket, key.account].append((bucket, key.number, source, *counts))
        if codes:
            of_codes[bucket, key.account] += [
                (bucket, key.number, source, int(code), count) for code, count in codes.items()
            ]
    for place in sorted(usage):
        new = _merge(connection, _USAGE, sorted(usage[place]))
        if place in of_codes:
            new += _merge(connection, _CODES, sorted(of_codes[place]))
        if new:
            bucket, account = place
            connection.executemany(_FILL, [(bucket, account, new), (FILL_ALL, account, new)])


def _merge(connection: sqlite3.Connection, table: _Merge, rows: list[tuple[int, ...]]) -> int:
    """Insert or merge rows; return how many were new.

    Mostly all of them are new or none is, as is the first: then one statement per row is enough.
    """
    updated = 0
    if connection.execute(table.find, rows[0][: table.names]).fetchone():
        updated = connection.executemany(table.update, rows).rowcount
    if updated == len(rows):
        return 0
    inserted = connection.executemany(table.insert, rows).rowcount
    if updated + inserted < len(rows):
        connection.executemany(table.update, rows)
    return inserted


def _mark(connection: sqlite3.Connection, rows: list[_Row], keys: list[KnownKey], moment: Moment) -> None:
    """Mark the totals that the rows change as dirty.

    Where the rows of other sources were deleted already, a dirty total could not be read from rows: there it
    is computed at once.
    """
    fresh = moment.marks.missing((bucket, key) for (bucket, *_), key in zip(rows, keys, strict=True))
    if not fresh:
        return
    rows_from = read_state(connection, ROWS_FROM) or 0
    scopes = sorted({(bucket, scope) for bucket, key in fresh for scope in key.scopes})
    connection.executemany(
        "INSERT OR IGNORE INTO dirty VALUES (?, ?, ?)",
        [(bucket, scope, moment.turn) for bucket, scope in scopes if bucket >= rows_from],
    )
    for bucket, scope in scopes:
        if bucket < rows_from:
            migration.move_packed_of(connection, bucket)
            totals.raise_total(connection, bucket, scope)
    moment.marks.remember((bucket, key) for bucket, key in fresh if bucket >= rows_from)


def _record_late(
    connection: sqlite3.Connection, rows: list[_Row], keys: list[KnownKey], source: int, now: datetime
) -> None:
    """Record by how much late rows raise the bytes of their account and area."""
    latest = int((now - LATE_AFTER).timestamp()) // BUCKET - 1  # the last bucket whose end is so long ago
    largest: dict[tuple[int, int], tuple[Names, int, int]] = {}
    for (bucket, names, counts, _), key in zip(rows, keys, strict=True):
        if bucket <= latest:
            _, sent, received = largest.get((bucket, key.number), (names, 0, 0))
            largest[bucket, key.number] = (names, max(sent, counts[0]), max(received, counts[1]))
    grown: dict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for (bucket, number), ((_, account, _, _, area), *reported) in largest.items():
        stored = connection.execute(
            "SELECT sent, received FROM usage WHERE bucket = ? AND key = ? AND source = ?",
            (bucket, number, source),
        ).fetchone() or (0, 0)
        growth = [max(0, count - before) for count, before in zip(reported, stored, strict=True)]
        if any(growth):
            place = grown[account, bucket, area]
            place[:] = [min(each + more, _MOST_LATE) for each, more in zip(place, growth, strict=True)]
    received_at = int(now.timestamp()) // BUCKET
    connection.executemany(_LATE, [(*place, received_at, *growth) for place, growth in grown.items()])


def _without_room(
    connection: sqlite3.Connection,
    report: UsageReport,
    rows: list[_Row],
    known: list[KnownKey | None],
    room: Room,
) -> tuple[int, ...]:
    """Return the indices of the rows that would exceed their account's room: of a bucket, of all, of keys.

    A row that is stored already needs no room. Only near the limit is each row looked up, since that is slow.
    """
    wanted = _wanted(rows, known)
    most = {FILL_ALL: room.of_account, FILL_KEYS: room.of_keys}
    scopes = {account: account_scope(connection, account) for account in {place[1] for place in wanted}}
    kept = {place: _fill(connection, place[0], scopes[place[1]]) for place in wanted}
    tight = {place for place in wanted if kept[place] + wanted[place] > most.get(place[0], room.of_bucket)}
    if not tight:
        return ()
    source = connection.execute(
        "SELECT id FROM sources WHERE uid = ? AND epoch = ?", (report.source.uid, report.source.epoch)
    ).fetchone()
    refused = []
    begun: set[Names] = set()
    for index, (row, key) in enumerate(zip(rows, known, strict=True)):
        bucket, names, _, codes = row
        account = names[1]
        present = _present(connection, row, key.number, source[0]) if key is not None and source else 0
        new = 1 + len(codes) - present
        needs = {(bucket, account): new, (FILL_ALL, account): new}
        if key is None and names not in begun:
            needs[FILL_KEYS, account] = 1
        if any(
            count and place in tight and kept[place] + count > most.get(place[0], room.of_bucket)
            for place, count in needs.items()
        ):
            refused.append(index)
        else:
            begun.add(names)
            for place, count in needs.items():
                kept[place] += count
    return tuple(refused)


def _wanted(rows: list[_Row], known: list[KnownKey | None]) -> dict[tuple[int, str], int]:
    """Return the room that rows need at most, by bucket (or FILL_ALL, FILL_KEYS) and account."""
    wanted: dict[tuple[int, str], int] = defaultdict(int)
    for bucket, names, _, codes in rows:
        wanted[bucket, names[1]] += 1 + len(codes)
    for (_, account), count in list(wanted.items()):
        wanted[FILL_ALL, account] += count
    for _, account, *_ in {names for (_, names, *_), key in zip(rows, known, strict=True) if key is None}:
        wanted[FILL_KEYS, account] += 1
    return wanted


def _fill(connection: sqlite3.Connection, bucket: int, account: int | None) -> int:
    row = connection.execute(
        "SELECT rows FROM fill WHERE bucket = ? AND account = ?", (bucket, account)
    ).fetchone()
    return int(row[0]) if row else 0


def _present(connection: sqlite3.Connection, row: _Row, key: int, source: int) -> int:
    """Count the rows of usage and of codes that are stored already."""
    bucket, *_, codes = row
    place = (bucket, key, source)
    (usage,) = connection.execute(
        "SELECT count(*) FROM usage WHERE bucket = ? AND key = ? AND source = ?", place
    ).fetchone()
    found = connection.execute("SELECT code FROM codes WHERE bucket = ? AND key = ? AND source = ?", place)
    return int(usage) + len({code for (code,) in found} & {int(code) for code in codes})


def put_statement(connection: sqlite3.Connection, statement: StoredStatement) -> bool:
    """Store a closed statement, unless its account and period have one."""
    closed_at = statement.closed_at.isoformat()
    return bool(
        connection.execute(
            "INSERT OR IGNORE INTO statements VALUES (?, ?, ?, ?, ?)",
            (statement.account, statement.period, statement.version, closed_at, statement.body),
        ).rowcount
    )
