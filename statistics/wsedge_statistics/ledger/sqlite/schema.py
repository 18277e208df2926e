"""The tables of the SQLite ledger, and how connections to it are opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerVersionError

VERSION: Final = 1

# usage, codes   tier of 5 minutes: cumulative counts of one source in one bucket for one key
# hours, days    tiers of 1 hour and 1 day (of UTC): rollup.pack of the sums over sources; empty region,
#                isp and area: the domain's total
# dirty_hours    hours whose counts changed since their rollup; the same for dirty_days
# seen           the keys that exist, so that listing them reads no counts
# epochs         the lives of each account (tenure.Epoch); `account` elsewhere is an epoch's key
# holdings       the domains that an epoch holds, or held until an instant (NULL: holds now)
# fill           the number of rows of `usage` and `codes` of each account in a bucket, and (bucket -1) in all
_KEY: Final = (
    "domain TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL, isp TEXT NOT NULL, area TEXT NOT NULL"
)
TABLES: Final = f"""
CREATE TABLE sources (id INTEGER PRIMARY KEY, uid TEXT NOT NULL, epoch TEXT NOT NULL, pod TEXT NOT NULL,
  last INTEGER NOT NULL, UNIQUE (uid, epoch));
CREATE TABLE usage (bucket INTEGER NOT NULL, {_KEY}, source INTEGER NOT NULL,
  sent INTEGER NOT NULL, received INTEGER NOT NULL, sent_messages INTEGER NOT NULL,
  received_messages INTEGER NOT NULL, opened INTEGER NOT NULL, peak INTEGER NOT NULL,
  PRIMARY KEY (bucket, domain, account, region, isp, area, source)) WITHOUT ROWID;
CREATE TABLE codes (bucket INTEGER NOT NULL, {_KEY}, source INTEGER NOT NULL,
  code INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (bucket, domain, account, region, isp, area, source, code)) WITHOUT ROWID;
CREATE TABLE hours (hour INTEGER NOT NULL, {_KEY}, packed BLOB NOT NULL,
  PRIMARY KEY (hour, domain, account, region, isp, area)) WITHOUT ROWID;
CREATE TABLE days (day INTEGER NOT NULL, {_KEY}, packed BLOB NOT NULL,
  PRIMARY KEY (day, domain, account, region, isp, area)) WITHOUT ROWID;
CREATE TABLE dirty_hours (hour INTEGER NOT NULL, domain TEXT NOT NULL,
  PRIMARY KEY (hour, domain)) WITHOUT ROWID;
CREATE TABLE dirty_days (day INTEGER NOT NULL, domain TEXT NOT NULL,
  PRIMARY KEY (day, domain)) WITHOUT ROWID;
CREATE TABLE seen ({_KEY}, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (account, domain, region, isp, area)) WITHOUT ROWID;
CREATE TABLE directory (one INTEGER PRIMARY KEY CHECK (one = 1),
  written_at TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), filler BLOB NOT NULL);
"""

# Tables added since version 1. An older program ignores them, so that it can continue with the ledger after a
# rollback of the release; the triggers update `fill` for its writes too.
ADDITIONS: Final = """
CREATE TABLE IF NOT EXISTS epochs (account TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL,
  uid TEXT, since TEXT, until TEXT, PRIMARY KEY (account, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holdings (domain TEXT NOT NULL, account TEXT NOT NULL, until TEXT,
  PRIMARY KEY (domain, account)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fill (account TEXT NOT NULL, bucket INTEGER NOT NULL, rows INTEGER NOT NULL,
  PRIMARY KEY (account, bucket)) WITHOUT ROWID;
"""
# An upsert that finds its row fires the triggers of an update (https://www.sqlite.org/lang_upsert.html). Rows
# older than `fill` were not counted, and their deletion is not counted either.
_COUNTING: Final = """
CREATE TRIGGER IF NOT EXISTS {0}_more AFTER INSERT ON {0} BEGIN
  INSERT INTO fill VALUES (new.account, new.bucket, 1), (new.account, -1, 1)
    ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER IF NOT EXISTS {0}_fewer AFTER DELETE ON {0} BEGIN
  UPDATE fill SET rows = max(0, rows - 1) WHERE account = old.account AND bucket IN (old.bucket, -1)
    AND EXISTS (SELECT 1 FROM fill AS f WHERE f.account = old.account AND f.bucket = old.bucket);
END;
"""


def open_writer(database: Path) -> sqlite3.Connection:
    """Open the one connection that writes and checkpoints; create the tables of a new ledger.

    Only this connection may checkpoint: SQLite 3.7.0 to 3.51.2 can lose a commit when two connections
    write and checkpoint at the same time (the WAL-reset bug).
    """
    connection = sqlite3.connect(database, isolation_level=None, timeout=5, check_same_thread=False)
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
        connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    counting = "".join(_COUNTING.format(table) for table in ("usage", "codes"))
    connection.executescript("\n".join(("BEGIN IMMEDIATE;", ADDITIONS, counting, "COMMIT;")))
    return connection


def open_reader(database: Path) -> sqlite3.Connection:
    """Open a read-only connection; each of its transactions reads one state of the ledger."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection
