"""Merges of reports into the SQLite ledger, as functions on a connection within a transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wsedge_statistics.contract import UsageReport
from wsedge_statistics.ledger.protocol import LATE_AFTER, Room, StoredStatement
from wsedge_statistics.ledger.sqlite import migration, totals
from wsedge_statistics.ledger.sqlite.keys import KeyCache, KnownKey, account_scope, add_key, widen
from wsedge_statistics.ledger.sqlite.schema import FILL_ALL, FILL_KEYS, MEASURES
from wsedge_statistics.ledger.sqlite.state import ROWS_FROM, read_state
from wsedge_statistics.numbers.series import BUCKET, Key

_COUNTS: Final = ", ".join("?" for _ in MEASURES)
_LARGER: Final = ", ".join(f"{name} = max({name}, excluded.{name})" for name in MEASURES)
_NEW_USAGE: Final = f"INSERT OR IGNORE INTO usage VALUES (?, ?, ?, {_COUNTS})"
_MERGE_USAGE: Final = f"INSERT INTO usage VALUES (?, ?, ?, {_COUNTS}) ON CONFLICT DO UPDATE SET {_LARGER}"
_NEW_CODES: Final = "INSERT OR IGNORE INTO codes VALUES (?, ?, ?, ?, ?)"
_MERGE_CODES: Final = (
    "INSERT INTO codes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = max(count, excluded.count)"
)
_FILL: Final = "INSERT INTO fill VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows"
# Bounded, so that the sum of a hostile tenant's counts stays an integer of 64 bits.
_MOST_LATE: Final = 1 << 61
_LATE: Final = f"""
INSERT INTO late VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  sent = min(sent + excluded.sent, {_MOST_LATE}), received = min(received + excluded.received, {_MOST_LATE})
"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a report, under the key that it is stored under."""

    bucket: int
    key: Key
    counts: tuple[int, ...]
    codes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a report is merged: the clock's time, the turn of upkeep, and the keys that are known by then."""

    now: datetime
    turn: int = 0
    keys: KeyCache = field(default_factory=KeyCache)


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
    migration.move_buckets(connection, {row.bucket for row in rows})
    spans: dict[Key, list[int]] = defaultdict(list)
    for row in rows:
        spans[row.key].append(row.bucket)
    known = moment.keys.find(connection, spans.keys())
    if room is not None and (refused := _without_room(connection, report, rows, known, room)):
        return refused
    source = _source_id(connection, report)
    changed: dict[Key, KnownKey] = {}
    for key, buckets in spans.items():
        before = known.get(key)
        stored = widen(
            connection, before or add_key(connection, key, min(buckets)), min(buckets), max(buckets)
        )
        if stored is not before:
            known[key] = changed[key] = stored
    moment.keys.remember(changed)
    _record_late(connection, rows, known, source, moment.now)
    _store(connection, rows, known, source)
    _mark(connection, {(row.bucket, scope) for row in rows for scope in known[row.key].scopes}, moment.turn)
    return ()


def _rows(report: UsageReport, names: Mapping[str, str]) -> list[_Row]:
    numbers = {row.bucket: 0 for row in report.rows}
    for bucket in numbers:
        numbers[bucket] = int(bucket.timestamp()) // BUCKET
    return [
        _Row(
            numbers[row.bucket],
            Key(row.domain, names.get(row.account, row.account), row.region, row.isp, row.area),
            (
                row.sentBytes,
                row.receivedBytes,
                row.sentMessages,
                row.receivedMessages,
                row.openedConnections,
                row.connectionSeconds,
                row.peakConnections,
            ),
            tuple((int(code), count) for code, count in row.codes.items()),
        )
        for row in report.rows
    ]


def _source_id(connection: sqlite3.Connection, report: UsageReport) -> int:
    source = report.source
    last = max(int(row.bucket.timestamp()) // BUCKET for row in report.rows)
    ((number,),) = connection.execute(
        "INSERT INTO sources (uid, epoch, pod, cluster, last) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (uid, epoch) DO UPDATE SET last = max(last, excluded.last), "
        "cluster = coalesce(excluded.cluster, cluster) RETURNING id",
        (source.uid, source.epoch, source.pod, source.cluster, last),
    ).fetchall()
    return int(number)


def _store(
    connection: sqlite3.Connection, rows: Iterable[_Row], known: Mapping[Key, KnownKey], source: int
) -> None:
    """Insert the rows that are new, and count them; then merge the others."""
    usage: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    codes: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for row in rows:
        key = known[row.key]
        place = (row.bucket, key.account)
        usage[place].append((row.bucket, key.number, source, *row.counts))
        codes[place] += [(row.bucket, key.number, source, *pair) for pair in row.codes]
    for place in sorted(usage):
        new = _insert(connection, _NEW_USAGE, _MERGE_USAGE, sorted(usage[place]))
        new += _insert(connection, _NEW_CODES, _MERGE_CODES, sorted(codes[place]))
        if new:
            bucket, account = place
            connection.executemany(_FILL, [(bucket, account, new), (FILL_ALL, account, new)])


def _insert(connection: sqlite3.Connection, new: str, merge: str, rows: list[tuple[int, ...]]) -> int:
    """Insert or merge rows; return how many were new."""
    inserted = connection.executemany(new, rows).rowcount if rows else 0
    if inserted < len(rows):
        connection.executemany(merge, rows)
    return inserted


def _mark(connection: sqlite3.Connection, marks: set[tuple[int, int]], turn: int) -> None:
    """Mark the totals that the rows change as dirty.

    Where the rows of other sources were deleted already, a dirty total could not be read from rows: there it
    is computed at once.
    """
    rows_from = read_state(connection, ROWS_FROM) or 0
    connection.executemany(
        "INSERT OR IGNORE INTO dirty VALUES (?, ?, ?)",
        [(bucket, scope, turn) for bucket, scope in sorted(marks) if bucket >= rows_from],
    )
    for bucket, scope in sorted(marks):
        if bucket < rows_from:
            migration.move_packed_of(connection, bucket)
            totals.raise_total(connection, bucket, scope)


def _record_late(
    connection: sqlite3.Connection,
    rows: Iterable[_Row],
    known: Mapping[Key, KnownKey],
    source: int,
    now: datetime,
) -> None:
    """Record by how much late rows raise the bytes of their account and area."""
    latest = int((now - LATE_AFTER).timestamp()) // BUCKET - 1  # the last bucket whose end is so long ago
    largest: dict[tuple[int, Key], tuple[int, int]] = {}
    for row in rows:
        if row.bucket <= latest:
            sent, received = largest.get((row.bucket, row.key), (0, 0))
            largest[row.bucket, row.key] = (max(sent, row.counts[0]), max(received, row.counts[1]))
    grown: dict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for (bucket, key), counts in largest.items():
        stored = connection.execute(
            "SELECT sent, received FROM usage WHERE bucket = ? AND key = ? AND source = ?",
            (bucket, known[key].number, source),
        ).fetchone() or (0, 0)
        growth = [max(0, count - before) for count, before in zip(counts, stored, strict=True)]
        if any(growth):
            place = grown[key.account, bucket, key.area]
            place[:] = [min(each + more, _MOST_LATE) for each, more in zip(place, growth, strict=True)]
    received_at = int(now.timestamp()) // BUCKET
    connection.executemany(_LATE, [(*place, received_at, *growth) for place, growth in grown.items()])


def _without_room(
    connection: sqlite3.Connection,
    report: UsageReport,
    rows: list[_Row],
    known: Mapping[Key, KnownKey],
    room: Room,
) -> tuple[int, ...]:
    """Return the indices of the rows that would exceed their account's room: of a bucket, of all, of keys.

    A row that is stored already needs no room. Only near the limit is each row looked up, since that is slow.
    """
    wanted: Counter[tuple[int, str]] = Counter()
    for row in rows:
        wanted[row.bucket, row.key.account] += 1 + len(row.codes)
        wanted[FILL_ALL, row.key.account] += 1 + len(row.codes)
    for key in {row.key for row in rows} - known.keys():
        wanted[FILL_KEYS, key.account] += 1
    most = {FILL_ALL: room.of_account, FILL_KEYS: room.of_keys}
    scopes = {account: account_scope(connection, account) for _, account in wanted}
    kept = {place: _fill(connection, place[0], scopes[place[1]]) for place in wanted}
    tight = {place for place in wanted if kept[place] + wanted[place] > most.get(place[0], room.of_bucket)}
    if not tight:
        return ()
    source = connection.execute(
        "SELECT id FROM sources WHERE uid = ? AND epoch = ?", (report.source.uid, report.source.epoch)
    ).fetchone()
    refused = []
    begun: set[Key] = set()
    for index, row in enumerate(rows):
        present = (
            _present(connection, row, known[row.key].number, source[0]) if row.key in known and source else 0
        )
        new = 1 + len(row.codes) - present
        needs = {(row.bucket, row.key.account): new, (FILL_ALL, row.key.account): new}
        if row.key not in known and row.key not in begun:
            needs[FILL_KEYS, row.key.account] = 1
        if any(
            count and place in tight and kept[place] + count > most.get(place[0], room.of_bucket)
            for place, count in needs.items()
        ):
            refused.append(index)
        else:
            begun.add(row.key)
            for place, count in needs.items():
                kept[place] += count
    return tuple(refused)


def _fill(connection: sqlite3.Connection, bucket: int, account: int | None) -> int:
    row = connection.execute(
        "SELECT rows FROM fill WHERE bucket = ? AND account = ?", (bucket, account)
    ).fetchone()
    return int(row[0]) if row else 0


def _present(connection: sqlite3.Connection, row: _Row, key: int, source: int) -> int:
    """Count the rows of usage and of codes that are stored already."""
    place = (row.bucket, key, source)
    (usage,) = connection.execute(
        "SELECT count(*) FROM usage WHERE bucket = ? AND key = ? AND source = ?", place
    ).fetchone()
    found = connection.execute("SELECT code FROM codes WHERE bucket = ? AND key = ? AND source = ?", place)
    return int(usage) + len({code for (code,) in found} & {code for code, _ in row.codes})


def put_statement(connection: sqlite3.Connection, statement: StoredStatement) -> bool:
    """Store a closed statement, unless its account and period have one."""
    closed_at = statement.closed_at.isoformat()
    return bool(
        connection.execute(
            "INSERT OR IGNORE INTO statements VALUES (?, ?, ?, ?, ?)",
            (statement.account, statement.period, statement.version, closed_at, statement.body),
        ).rowcount
    )
