"""How connections to the SQLite ledger are opened, and their transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerVersionError
from wsedge_statistics.ledger.sqlite import migration
from wsedge_statistics.ledger.sqlite.schema import TABLES, VERSION

# Of each reader. SQLite sorts as much in memory, and more in files: a month of values of thirty scopes fits.
CACHE_KIB: Final = 4096
# A page of 8 KiB has room for 200 rows of counts and less of it is lost; a question reads half as many pages.
# Older ledgers keep their pages of 4 KiB.
PAGE: Final = 8192


def open_writer(database: Path) -> sqlite3.Connection:
    """Open the one connection that writes and checkpoints; create the tables of a new ledger, and
    begin the migration of an older one.

    Only this connection may checkpoint: SQLite 3.7.0 to 3.51.2 can lose a commit when two connections
    write and checkpoint at the same time (the WAL-reset bug).
    """
    connection = sqlite3.connect(database, isolation_level=None, timeout=5, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE}")  # nothing happens to a database that exists
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        connection.close()
        raise LedgerVersionError(
            f"{database} has schema {version}, this program supports {VERSION}: use a newer program"
        )
    if version == 0:
        _make_tables(connection)
    elif version < VERSION:
        with transaction(connection):
            migration.begin(connection)
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")


def create(database: Path) -> None:
    """Create an empty ledger as a whole: a file without tables is no ledger, but what is left of one."""
    made = database.with_name(f"{database.name}.new")
    made.unlink(missing_ok=True)
    connection = sqlite3.connect(made, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        _make_tables(connection)
    finally:
        connection.close()
    made.rename(database)


def open_reader(database: Path) -> sqlite3.Connection:
    """Open a read-only connection; each of its transactions reads one state of the ledger."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a write transaction: committed at the end, rolled back on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
