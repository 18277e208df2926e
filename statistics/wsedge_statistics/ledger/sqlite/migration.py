"""The migration of a ledger of schema 1, in short steps while the program runs.

    begin ──▶ old_usage, old_codes: a bucket a step, the newest first ──▶ old_days: a few packed days a step
    (rename)                                                              ──▶ end (drop)

Each step is one transaction that moves counts. So at any time a count is in one place, and an answer adds
both places; a process that is killed continues with the next step. A report for a bucket that was not moved
yet moves it first. Of the packed tiers only what is older than all rows is needed; it becomes totals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import structlog

from wsedge_statistics.ledger.sqlite import totals
from wsedge_statistics.ledger.sqlite.keys import add_key, find_keys, widen
from wsedge_statistics.ledger.sqlite.packed import DamagedError, Packed, unpack
from wsedge_statistics.ledger.sqlite.schema import EVERYTHING, FILL_ALL, MEASURES, TABLES, VERSION
from wsedge_statistics.ledger.sqlite.state import (
    MIGRATING,
    PACKED_BEFORE,
    ROWS_FROM,
    read_state,
    remove_state,
    write_state,
)
from wsedge_statistics.numbers.series import BUCKET, DAY, HOUR, Grain, Key, Selection

_PACKED: Final = 10  # packed days in one step
_DELETED: Final = 1000  # packed hours that one step deletes
# Moved at once, with the columns that they had; the first two may be missing.
_SMALL: Final = {"epochs": "(account, number, key, uid, since, until)", "holdings": "", "directory": ""}
_TIERS: Final = ("usage", "codes", "hours", "days", "dirty_hours", "dirty_days")
_RENAMED: Final = ("sources", "seen", *_TIERS, *_SMALL)
_SUMS: Final = ", ".join(f"sum(t.{name})" for name in MEASURES)
_SCOPE_OF: Final = {
    Grain.EVERYTHING: str(EVERYTHING),
    Grain.ACCOUNT: "k.by_account",
    Grain.DOMAIN: "k.by_domain",
    Grain.PLACE: "k.by_place",
}
_OLD_KEY: Final = " AND ".join(
    f"k.{name} = o.{name}" for name in ("account", "domain", "region", "isp", "area")
)
_COLUMNS: Final = {
    "usage": "o.source, o.sent, o.received, o.sent_messages, o.received_messages, o.opened, 0, o.peak",
    "codes": "o.source, o.code, o.count",
}
# No row must be left behind, so a key that the list of keys lacks is added.
_WITHOUT_KEY: Final = " UNION ".join(
    f"SELECT domain, account, region, isp, area FROM old_{table} o WHERE bucket = :at "
    f"AND NOT EXISTS (SELECT 1 FROM keys k WHERE {_OLD_KEY})"
    for table in _COLUMNS
)
log = structlog.get_logger()


def begin(connection: sqlite3.Connection) -> None:
    """Rename the tables of schema 1, and make those of this schema beside them, in a transaction."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    triggers = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
    ]
    for trigger in triggers:
        connection.execute(f"DROP TRIGGER {trigger}")
    for table in _RENAMED:
        if table in names:
            connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for table in ("fill", "probe"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute(
        f"INSERT INTO sources SELECT id, uid, epoch, pod, NULL, last / {BUCKET} FROM old_sources"
    )
    for table in _SMALL:
        if table in names:
            connection.execute(f"INSERT INTO {table}{_SMALL[table]} SELECT * FROM old_{table}")
            connection.execute(f"DROP TABLE old_{table}")
    for *key, first, last in connection.execute(
        "SELECT domain, account, region, isp, area, first, last FROM old_seen"
    ).fetchall():
        known = add_key(connection, Key(*key), first // BUCKET)
        widen(connection, known, first // BUCKET, last // BUCKET)
    _settle_packed(connection)
    connection.execute("DROP TABLE old_seen")
    write_state(connection, MIGRATING, 1)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _settle_packed(connection: sqlite3.Connection) -> None:
    """Decide which packed series are needed: those of buckets before all rows.

    A day whose rollup was outstanding is replaced by its hours.
    """
    (oldest,) = connection.execute("SELECT min(bucket) FROM old_usage").fetchone()
    if oldest is None:
        (day,) = connection.execute("SELECT max(day) FROM old_days").fetchone()
        (hour,) = connection.execute("SELECT max(hour) FROM old_hours").fetchone()
        oldest = max((day or 0) + DAY, (hour or 0) + HOUR)
    for day, domain in connection.execute(
        "SELECT day, domain FROM old_dirty_days WHERE day < ?", (oldest,)
    ).fetchall():
        connection.execute("DELETE FROM old_days WHERE day = ? AND domain = ?", (day, domain))
        connection.execute(
            "INSERT INTO old_days SELECT * FROM old_hours WHERE domain = ?1 AND hour >= ?2 AND hour < ?3",
            (domain, day, min(day + DAY, oldest)),
        )
    needed = connection.execute("SELECT 1 FROM old_days WHERE day < ? LIMIT 1", (oldest,)).fetchone()
    if needed is not None:
        write_state(connection, PACKED_BEFORE, oldest // BUCKET)
        write_state(connection, ROWS_FROM, oldest // BUCKET)


def step(connection: sqlite3.Connection) -> int:
    """Carry out one step within a transaction; return 0 when the ledger is migrated."""
    if read_state(connection, MIGRATING) is None:
        return 0
    (newest,) = connection.execute(
        "SELECT max(bucket) FROM (SELECT max(bucket) AS bucket FROM old_usage "
        "UNION ALL SELECT max(bucket) FROM old_codes)"
    ).fetchone()
    if newest is not None:
        move_bucket(connection, newest // BUCKET)
    elif not _move_packed(connection) and not _delete_packed(connection):
        _end(connection)
    return 1


def move_buckets(connection: sqlite3.Connection, buckets: set[int]) -> None:
    """Move the rows of buckets that a report is about, if the ledger is being migrated."""
    if read_state(connection, MIGRATING) is None:
        return
    for bucket in buckets:
        at = bucket * BUCKET
        if any(
            connection.execute(f"SELECT 1 FROM old_{table} WHERE bucket = ? LIMIT 1", (at,)).fetchone()
            for table in _COLUMNS
        ):
            move_bucket(connection, bucket)


def move_bucket(connection: sqlite3.Connection, bucket: int) -> None:
    """Move the rows of one bucket, and add them up. No row of it is in the new tables yet."""
    place = {"bucket": bucket, "at": bucket * BUCKET}
    for key in connection.execute(_WITHOUT_KEY, place).fetchall():
        add_key(connection, Key(*key), bucket)
    for table, columns in _COLUMNS.items():
        connection.execute(
            f"INSERT INTO {table} SELECT :bucket, k.id, {columns} FROM old_{table} o "
            f"CROSS JOIN keys k ON {_OLD_KEY} WHERE o.bucket = :at",
            place,
        )
        connection.execute(f"DELETE FROM old_{table} WHERE bucket = :at", place)
    for table in ("usage", "codes"):
        rows = (
            f"SELECT k.by_account, count(*) FROM {table} t CROSS JOIN keys k ON k.id = t.key "
            "WHERE t.bucket = :bucket GROUP BY k.by_account"
        )
        for account, count in connection.execute(rows, place).fetchall():
            connection.executemany(
                "INSERT INTO fill VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
                [(bucket, account, count), (FILL_ALL, account, count)],
            )
    add_up(connection, bucket)


def add_up(connection: sqlite3.Connection, bucket: int) -> None:
    """Compute the totals of a bucket at once; where a sum does not fit, upkeep recomputes them."""
    for grain, scope in _SCOPE_OF.items():
        for table, sums, target, code in (
            ("usage", f"0, {_SUMS}", "totals", ""),
            ("codes", "t.code, 0, sum(t.count)", "code_totals", ", t.code"),
        ):
            rows = f"{table} t CROSS JOIN keys k ON k.id = t.key WHERE t.bucket = ?1"
            try:
                connection.execute(
                    f"INSERT INTO {target} SELECT {scope}, ?1, {sums} FROM {rows} GROUP BY {scope}{code}"
                    if grain is not Grain.EVERYTHING
                    else f"INSERT INTO {target} SELECT {scope}, ?1, {sums} FROM {rows} "
                    + ("GROUP BY t.code" if code else "HAVING count(*) > 0"),
                    (bucket,),
                )
            except sqlite3.OperationalError as error:
                if not totals.overflowed(error):
                    raise
                connection.execute(
                    f"INSERT OR IGNORE INTO dirty SELECT ?1, {scope}, 0 FROM {rows}", (bucket,)
                )


def packed_of(connection: sqlite3.Connection, selection: Selection) -> Iterator[tuple[Key, Packed]]:
    """Yield what is still packed of a selection, by key: the buckets before all rows."""
    before = read_state(connection, PACKED_BEFORE)
    if before is None:
        return
    first, last = selection.start // BUCKET, min(before, selection.end // BUCKET)
    for day, *names, packed in connection.execute(
        "SELECT * FROM old_days WHERE day > ? AND day < ? AND region > ''",
        (selection.start - DAY, last * BUCKET),
    ):
        key = Key(*names)
        if not selection.includes(key):
            continue
        try:
            counts, codes = unpack(packed, day // BUCKET, before=last)
        except DamagedError as error:
            log.error("packed counts cannot be read", start=day, error=str(error))
            continue
        yield (
            key,
            (
                {bucket: row for bucket, row in counts.items() if bucket >= first},
                {place: count for place, count in codes.items() if place[0] >= first},
            ),
        )


def _move_packed(connection: sqlite3.Connection) -> int:
    """Add a few packed series to the totals of their scopes; return how many were left."""
    before = read_state(connection, PACKED_BEFORE)
    if before is None:
        return 0
    rows = connection.execute(
        "SELECT * FROM old_days WHERE day < ? ORDER BY day DESC LIMIT ?", (before * BUCKET, _PACKED)
    ).fetchall()
    _add_days(connection, rows, before)
    return len(rows)


def move_packed_of(connection: sqlite3.Connection, bucket: int) -> None:
    """Add the packed series that have a bucket to the totals, before a report raises these."""
    before = read_state(connection, PACKED_BEFORE)
    if before is not None:
        at = bucket * BUCKET
        rows = connection.execute("SELECT * FROM old_days WHERE day > ? AND day <= ?", (at - DAY, at))
        _add_days(connection, rows.fetchall(), before)


def _add_days(connection: sqlite3.Connection, rows: list[Any], before: int) -> None:
    for day, *names, packed in rows:
        key = Key(*names)
        if key.region:  # totals of a domain follow from its keys
            try:
                _add_packed(connection, key, unpack(packed, day // BUCKET, before=before))
            except DamagedError as error:
                log.error("packed counts cannot be read", start=day, error=str(error))
        connection.execute(
            "DELETE FROM old_days WHERE day = ? AND domain = ? AND account = ? AND region = ? AND isp = ? "
            "AND area = ?",
            (day, *names),
        )


def _add_packed(connection: sqlite3.Connection, key: Key, packed: Packed) -> None:
    counts, codes = packed
    if not counts:
        return
    known = find_keys(connection, [key]).get(key) or add_key(connection, key, min(counts))
    widen(connection, known, min(counts), max(counts))
    for scope in known.scopes:
        for bucket, row in counts.items():
            of_bucket = {code: count for (at, code), count in codes.items() if at == bucket}
            totals.add_to_total(connection, scope, bucket, row, of_bucket)


def _delete_packed(connection: sqlite3.Connection) -> int:
    """Delete some of the packed series that rows replace; return how many."""
    remove_state(connection, PACKED_BEFORE)
    deleted = 0
    for table, column in (("old_hours", "hour"), ("old_days", "day")):
        (oldest,) = connection.execute(f"SELECT min({column}) FROM {table}").fetchone()
        if oldest is not None:
            deleted += connection.execute(
                f"DELETE FROM {table} WHERE ({column}, domain, account, region, isp, area) IN "
                f"(SELECT {column}, domain, account, region, isp, area FROM {table} LIMIT ?)",
                (_DELETED,),
            ).rowcount
    return deleted


def _end(connection: sqlite3.Connection) -> None:
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'old_%'")
    for (name,) in names.fetchall():
        connection.execute(f"DROP TABLE {name}")
    remove_state(connection, MIGRATING)
    log.info("ledger migrated", schema=VERSION)
