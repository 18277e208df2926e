"""Numbers that the ClickHouse ledger remembers by name; of two values the larger stays."""

from __future__ import annotations

from typing import Final

from wsedge_statistics.ledger.clickhouse.schema import STATE
from wsedge_statistics.ledger.clickhouse.server import Server

ROWS_FROM: Final = "rows_from"  # rows of all buckets before it were deleted

DELETION_TIME: Final = "deletion_time"  # see ledger.deletion, in seconds


def read_state(server: Server, name: str) -> int | None:
    """Return a number, or None."""
    rows = server.query(
        "SELECT max(number) FROM state WHERE name = {name:String} GROUP BY name", {"name": name}
    )
    return int(rows[0][0]) if rows else None


def write_state(server: Server, name: str, number: int) -> None:
    """Store a number. Raises LedgerUnwritableError."""
    server.insert("state", STATE, [(name, number)])
