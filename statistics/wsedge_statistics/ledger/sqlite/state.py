"""Numbers that the SQLite ledger remembers by name."""

from __future__ import annotations

import sqlite3
from typing import Final

ROWS_FROM: Final = "rows_from"  # rows of all buckets before it were deleted
DELETION_TIME: Final = "deletion_time"  # deletion.DeletionTime.remembered, UTC seconds
INTACT_FROM: Final = "intact_from"  # rows of buckets before it that are left cannot be deleted: damage
MIGRATING: Final = "migrating"  # 1 until no table of schema 1 is left
PACKED_BEFORE: Final = "packed_before"  # counts of buckets before it may still be in schema 1's packed series


def read_state(connection: sqlite3.Connection, name: str) -> int | None:
    """Return a number, or None."""
    row = connection.execute("SELECT number FROM state WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def write_state(connection: sqlite3.Connection, name: str, number: int) -> None:
    """Store a number."""
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, number))


def remove_state(connection: sqlite3.Connection, name: str) -> None:
    """Forget a number."""
    connection.execute("DELETE FROM state WHERE name = ?", (name,))
