"""Writes to the SQLite ledger, as functions on a connection within a transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.contract import Directory, UsageReport
from wsedge_statistics.ledger.protocol import Room
from wsedge_statistics.ledger.rollup import pack, roll
from wsedge_statistics.ledger.sqlite.reads import day_parts, hour_sums, tenures
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.series import BUCKET, DAY, HOUR, Key, Series
from wsedge_statistics.tenure import Tenures, follow

_MERGE_USAGE: Final = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET sent = max(sent, excluded.sent), received = max(received, excluded.received),
  sent_messages = max(sent_messages, excluded.sent_messages),
  received_messages = max(received_messages, excluded.received_messages),
  opened = max(opened, excluded.opened), peak = max(peak, excluded.peak)
"""
_MERGE_CODES: Final = """
INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = max(count, excluded.count)
"""
_MERGE_SEEN: Final = """
INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
CLOCKS_DIFFER: Final = timedelta(minutes=10)  # at most, between programs that work together
_REPLACE: Final = {
    "hours": (
        "DELETE FROM hours WHERE hour = ? AND domain = ?",
        "INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    "days": (
        "DELETE FROM days WHERE day = ? AND domain = ?",
        "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
}


@dataclass(frozen=True, slots=True)
class Tier:
    """The retention of a tier: each round of `deletions` deletes `step` seconds of it."""

    kept: timedelta
    oldest: str
    step: int
    oldest_unrolled: str | None
    deletions: tuple[str, ...]


_TIERS: Final = (
    Tier(
        REACH[Granularity.FIVE_MINUTES],
        "SELECT min(bucket) FROM usage",
        BUCKET,
        "SELECT min(hour) FROM dirty_hours",
        (
            "DELETE FROM usage WHERE bucket < ?",
            "DELETE FROM codes WHERE bucket < ?",
            "DELETE FROM sources WHERE last < ?",
            "DELETE FROM fill WHERE bucket >= 0 AND bucket < ?",
        ),
    ),
    Tier(
        REACH[Granularity.HOUR],
        "SELECT min(hour) FROM hours",
        HOUR,
        "SELECT min(day) FROM dirty_days",
        ("DELETE FROM hours WHERE hour < ?",),
    ),
    Tier(
        REACH[Granularity.DAY],
        "SELECT min(day) FROM days",
        DAY,
        None,
        ("DELETE FROM days WHERE day < ?", "DELETE FROM seen WHERE last < ?"),
    ),
)


def merge_report(
    connection: sqlite3.Connection,
    report: UsageReport,
    keys: Mapping[str, str] | None = None,
    room: Room | None = None,
) -> tuple[int, ...]:
    """Merge a report: every count becomes the larger of the stored and the reported count.

    `keys` has by account the key under which its rows are stored. Return the indices of the rows for which
    their account has no `room` (None: no limit); if there is any, nothing was merged.
    """
    if not report.rows:
        return ()
    named = keys or {}
    accounts = [named.get(row.account, row.account) for row in report.rows]
    if room is not None and (refused := _without_room(connection, report, accounts, room)):
        return refused
    source = _source_id(connection, report)
    usage, codes, seen = [], [], []
    hours, days = set(), set()
    for row, account in zip(report.rows, accounts, strict=True):
        bucket = int(row.bucket.timestamp())
        key = (bucket, row.domain, account, row.region, row.isp, row.area, source)
        bytes_and_messages = (row.sentBytes, row.receivedBytes, row.sentMessages, row.receivedMessages)
        usage.append((*key, *bytes_and_messages, row.openedConnections, row.peakConnections))
        codes += [(*key, int(code), count) for code, count in row.codes.items()]
        seen.append((row.domain, account, row.region, row.isp, row.area, bucket, bucket))
        hours.add((bucket - bucket % HOUR, row.domain))
        days.add((bucket - bucket % DAY, row.domain))
    connection.executemany(_MERGE_USAGE, usage)
    connection.executemany(_MERGE_CODES, codes)
    connection.executemany(_MERGE_SEEN, seen)
    connection.executemany("INSERT OR IGNORE INTO dirty_hours VALUES (?, ?)", hours)
    connection.executemany("INSERT OR IGNORE INTO dirty_days VALUES (?, ?)", days)
    return ()


def _without_room(
    connection: sqlite3.Connection, report: UsageReport, accounts: list[str], room: Room
) -> tuple[int, ...]:
    """Return the indices of the rows that would exceed their account's room, in a bucket or in all.

    A row that is stored already needs no room. Only near the limit is each row looked up, since that is slow.
    """
    places = [
        (account, int(row.bucket.timestamp())) for row, account in zip(report.rows, accounts, strict=True)
    ]
    wanted: Counter[tuple[str, int]] = Counter()
    for row, (account, bucket) in zip(report.rows, places, strict=True):
        wanted[account, bucket] += 1 + len(row.codes)
        wanted[account, -1] += 1 + len(row.codes)
    kept = {place: _fill(connection, place) for place in wanted}
    most = {place: room.of_account if place[1] < 0 else room.of_bucket for place in wanted}
    tight = {place for place in wanted if kept[place] + wanted[place] > most[place]}
    if not tight:
        return ()
    source = connection.execute(
        "SELECT id FROM sources WHERE uid = ? AND epoch = ?", (report.source.uid, report.source.epoch)
    ).fetchone()
    refused = []
    for index, (row, (account, bucket)) in enumerate(zip(report.rows, places, strict=True)):
        new = 1 + len(row.codes)
        if source is not None:
            key = (bucket, row.domain, account, row.region, row.isp, row.area, source[0])
            new -= _present(connection, key, row.codes)
        both = ((account, bucket), (account, -1))
        if new and any(place in tight and kept[place] + new > most[place] for place in both):
            refused.append(index)
        else:
            for place in both:
                kept[place] += new
    return tuple(refused)


def _fill(connection: sqlite3.Connection, place: tuple[str, int]) -> int:
    row = connection.execute("SELECT rows FROM fill WHERE account = ? AND bucket = ?", place).fetchone()
    return int(row[0]) if row else 0


def _present(connection: sqlite3.Connection, key: tuple[object, ...], codes: Mapping[str, int]) -> int:
    """Count the rows of a key, of usage and of codes, that are stored already."""
    where = "bucket = ? AND domain = ? AND account = ? AND region = ? AND isp = ? AND area = ? AND source = ?"
    (usage,) = connection.execute(f"SELECT count(*) FROM usage WHERE {where}", key).fetchone()  # noqa: S608
    found = connection.execute(f"SELECT code FROM codes WHERE {where}", key)  # noqa: S608
    return int(usage) + len({str(code) for (code,) in found} & codes.keys())


def _source_id(connection: sqlite3.Connection, report: UsageReport) -> int:
    source = report.source
    last = max(int(row.bucket.timestamp()) for row in report.rows)
    (number,) = connection.execute(
        "INSERT INTO sources (uid, epoch, pod, last) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (uid, epoch) DO UPDATE SET last = max(last, excluded.last) RETURNING id",
        (source.uid, source.epoch, source.pod, last),
    ).fetchone()
    return int(number)


def put_directory(connection: sqlite3.Connection, directory: Directory, now: datetime) -> Tenures | None:
    """Store a Directory unless a later Directory (by writtenAt) is stored; return the tenures, or None.

    A stored writtenAt in the future is of a clock that was ahead; it does not block the Directories of the
    corrected clock.
    """
    row = connection.execute("SELECT written_at FROM directory").fetchone()
    kept = datetime.fromisoformat(row[0]) if row is not None else None
    if kept is not None and directory.writtenAt < kept <= now + CLOCKS_DIFFER:
        return None
    connection.execute(
        "INSERT OR REPLACE INTO directory VALUES (1, ?, ?)",
        (directory.writtenAt.isoformat(), directory.model_dump_json(exclude_none=True)),
    )
    before = tenures(connection)
    after = follow(before, directory, kept=_TIERS[0].kept)
    _keep_tenures(connection, before, after)
    return after


def _keep_tenures(connection: sqlite3.Connection, before: Tenures, after: Tenures) -> None:
    """Write the differences only: Directories arrive often, and most are equal to the last."""
    changed = [lives for name, lives in after.epochs.items() if lives != before.epochs.get(name)]
    connection.executemany(
        "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?)",
        [
            (epoch.account, number, epoch.key, epoch.uid, _text(epoch.since), _text(epoch.until))
            for lives in changed
            for number, epoch in enumerate(lives)
        ],
    )
    gone = [place for place in before.held if place not in after.held]
    connection.executemany("DELETE FROM holdings WHERE domain = ? AND account = ?", gone)
    differs = [
        (*place, _text(until))
        for place, until in after.held.items()
        if place not in before.held or before.held[place] != until
    ]
    connection.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?)", differs)


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def begin_tenures(connection: sqlite3.Connection, directory: Directory | None, now: datetime) -> None:
    """Store the tenures of a ledger that an older program wrote without tenures.

    Relays may still report late for domains that an account has counts of and holds no longer.
    """
    (known,) = connection.execute("SELECT count(*) FROM epochs").fetchone()
    if known or directory is None:
        return
    accounts = {account.account for account in directory.accounts}
    seen = connection.execute("SELECT DISTINCT domain, account FROM seen").fetchall()
    former = {(domain, account): now for domain, account in seen if account in accounts}
    after = follow(Tenures(held=former), directory, kept=_TIERS[0].kept)
    _keep_tenures(connection, Tenures(), after)


def roll_hours(connection: sqlite3.Connection, *, limit: int) -> int:
    """Recompute up to `limit` dirty hours from the five-minute tier; return how many."""
    dirty = connection.execute("SELECT hour, domain FROM dirty_hours LIMIT ?", (limit,)).fetchall()
    for hour, domain in dirty:
        _replace(connection, "hours", hour, domain, hour_sums(connection, hour, domain))
        connection.execute("DELETE FROM dirty_hours WHERE hour = ? AND domain = ?", (hour, domain))
    return len(dirty)


def roll_days(connection: sqlite3.Connection, *, before: int, limit: int) -> int:
    """Recompute up to `limit` dirty days that began before `before` from the hour tier; return how many.

    A day with a dirty hour is left for later: until its rollup a day is read from its hours.
    """
    dirty = connection.execute(
        "SELECT day, domain FROM dirty_days AS d WHERE day < ? "
        "AND NOT EXISTS (SELECT 1 FROM dirty_hours AS h "
        "WHERE h.domain = d.domain AND h.hour >= d.day AND h.hour < d.day + ?) LIMIT ?",
        (before, DAY, limit),
    ).fetchall()
    for day, domain in dirty:
        rolled = roll(day_parts(connection, day, domain), start=day, end=day + DAY)
        _replace(connection, "days", day, domain, rolled)
        connection.execute("DELETE FROM dirty_days WHERE day = ? AND domain = ?", (day, domain))
    return len(dirty)


def _replace(
    connection: sqlite3.Connection, tier: str, start: int, domain: str, rolled: dict[Key, Series]
) -> None:
    delete, insert = _REPLACE[tier]
    connection.execute(delete, (start, domain))
    rows = [(start, *key, pack(series, start)) for key, series in rolled.items()]
    connection.executemany(insert, rows)


def prune(connection: sqlite3.Connection, now: datetime) -> int:
    """Delete the oldest step of each tier that is past its retention; return the number of rows.

    A day is deleted from a tier only a day after the last report for it could be accepted, and never while
    its rollup is outstanding, so no rollup is recomputed from a part of its rows. One step at a time, so that
    reports do not wait for the deletion of a whole day.
    """
    deleted = 0
    for tier in _TIERS:
        edge = _floor_day(now - tier.kept - timedelta(days=1))
        unrolled = _smallest(connection, tier.oldest_unrolled) if tier.oldest_unrolled else None
        if unrolled is not None:
            edge = min(edge, unrolled - unrolled % DAY)
        oldest = _smallest(connection, tier.oldest)
        if oldest is not None:
            edge = min(edge, oldest + tier.step)
        deleted += sum(connection.execute(deletion, (edge,)).rowcount for deletion in tier.deletions)
    return deleted


def _smallest(connection: sqlite3.Connection, question: str) -> int | None:
    (answer,) = connection.execute(question).fetchone()
    return None if answer is None else int(answer)


def _floor_day(instant: datetime) -> int:
    seconds = int(instant.timestamp())
    return seconds - seconds % DAY
