"""Deletions from the SQLite ledger: rows after 93 days, totals after 366, in short steps."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

from wsedge_statistics.ledger.deletion import DeletionTime, deletion_time
from wsedge_statistics.ledger.sqlite.keys import remove_keys
from wsedge_statistics.ledger.sqlite.schema import FILL_ALL, NEVER
from wsedge_statistics.ledger.sqlite.state import (
    DELETION_TIME,
    INTACT_FROM,
    MIGRATING,
    ROWS_FROM,
    read_state,
    write_state,
)
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.series import BUCKET, DAY

ROWS_KEPT: Final = REACH[Granularity.FIVE_MINUTES]
TOTALS_KEPT: Final = REACH[Granularity.DAY]
_SCOPES: Final = 20  # scopes whose totals one step deletes
_KEYS: Final = 100


def prune(connection: sqlite3.Connection, now: datetime) -> int:
    """Delete one step of what is past its retention; return how much, 0 when nothing is left to delete.

    A day is deleted only a day after the last report for it could be accepted, and no row before its totals
    are current. A step is one bucket of rows, or the oldest totals of some scopes: reports wait for it.
    """
    if read_state(connection, MIGRATING) is not None:
        return 0  # what is old was not moved yet
    rows = _rows(connection, _edge(now, ROWS_KEPT))
    before = _edge(now, TOTALS_KEPT)
    return rows + _totals(connection, before) + remove_keys(connection, before=before, limit=_KEYS)


def settle_time(connection: sqlite3.Connection, now: datetime, ran: float) -> DeletionTime:
    """Return the time of deletion, `ran` seconds of the process after the last call, and remember it."""
    (newest,) = connection.execute("SELECT max(last) FROM keys").fetchone()
    remembered = read_state(connection, DELETION_TIME)
    time = deletion_time(
        now,
        newest=None if newest is None else _instant(newest * BUCKET),
        remembered=None if remembered is None else _instant(remembered),
        ran=ran,
    )
    if (seconds := int(time.remembered.timestamp())) != remembered:
        write_state(connection, DELETION_TIME, seconds)
    return time


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def set_aside(connection: sqlite3.Connection) -> None:
    """Leave the oldest bucket of rows where it is: its deletion met damage."""
    oldest = _oldest(connection)
    if oldest is not None:
        write_state(connection, INTACT_FROM, oldest + 1)


def _oldest(connection: sqlite3.Connection) -> int | None:
    """Return the oldest bucket that has rows, by their number alone: the rows may be damaged."""
    first = read_state(connection, INTACT_FROM) or 0
    row = connection.execute("SELECT min(bucket) FROM fill WHERE bucket >= ?", (first,)).fetchone()
    return None if row[0] is None else int(row[0])


def _edge(now: datetime, kept: timedelta) -> int:
    """Return the first bucket to keep: a day is deleted as a whole."""
    seconds = int((now - kept - timedelta(days=1)).timestamp())
    return (seconds - seconds % DAY) // BUCKET


def _rows(connection: sqlite3.Connection, edge: int) -> int:
    """Delete the rows of the oldest bucket before `edge`, and sources without rows."""
    oldest = _oldest(connection)
    (dirty,) = connection.execute("SELECT min(bucket) FROM dirty WHERE turn < ?", (NEVER,)).fetchone()
    deleted = connection.execute("DELETE FROM sources WHERE last < ?", (edge,)).rowcount
    if oldest is None or oldest >= edge or (dirty is not None and dirty <= oldest):
        return deleted
    for table in ("usage", "codes"):
        deleted += connection.execute(f"DELETE FROM {table} WHERE bucket = ?", (oldest,)).rowcount
    connection.execute(
        "UPDATE fill SET rows = fill.rows - f.rows FROM fill AS f "
        "WHERE fill.bucket = ? AND f.bucket = ? AND f.account = fill.account",
        (FILL_ALL, oldest),
    )
    connection.execute("DELETE FROM fill WHERE bucket = ?", (oldest,))
    write_state(connection, ROWS_FROM, oldest + 1)
    return deleted


def _totals(connection: sqlite3.Connection, edge: int) -> int:
    """Delete the totals before `edge` of a few scopes, and what came in late before it."""
    scopes = connection.execute("SELECT id FROM scopes WHERE first < ? LIMIT ?", (edge, _SCOPES)).fetchall()
    for (scope,) in scopes:
        for table in ("totals", "code_totals"):
            connection.execute(f"DELETE FROM {table} WHERE scope = ? AND bucket < ?", (scope, edge))
        connection.execute("UPDATE scopes SET first = ? WHERE id = ?", (edge, scope))
    late = connection.execute("DELETE FROM late WHERE bucket < ?", (edge,)).rowcount
    return len(scopes) + late
