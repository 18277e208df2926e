"""The tables of the SQLite ledger.

    keys ──┬─▶ scopes: everything │ account │ account, domain │ account, region, ISP, area
           │        │
    usage, codes    ├─▶ totals, code_totals   sums over the rows of the scope's keys in one bucket
    (rows, per      └─▶ dirty                 buckets whose rows changed since
     source)

Buckets are numbers of five minutes since 1970, which need a byte less than seconds in each row.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 2

EVERYTHING: Final = 1  # the scope to which every key adds
NEVER: Final = 1 << 62  # a bucket after all others
FILL_ALL: Final = -1
FILL_KEYS: Final = -2
# The counts of a row of `usage` and `totals`, in the order of their columns.
MEASURES: Final = (
    "sent",
    "received",
    "sent_messages",
    "received_messages",
    "opened",
    "connection_seconds",
    "peak",
)
_COUNTS: Final = ", ".join(f"{name} INTEGER NOT NULL" for name in MEASURES)
_NAMES: Final = ", ".join(f"{name} TEXT NOT NULL" for name in ("account", "domain", "region", "isp", "area"))

# keys           by_account, by_domain, by_place: the scopes to which its rows add. first, last: its buckets
# scopes         subjects of totals; names that a grain (numbers.series.Grain) does not have are empty.
#                first: no bucket before it has a total. wide: a total was too large for one row
# sources        processes that reported; `last` is the last bucket
# usage, codes   cumulative counts of one source in one bucket for one key
# totals         sums over the rows of a scope; a total of 2^62 or more is divided into several parts
# dirty          (bucket, scope) whose rows changed since its total, and the turn of upkeep in which they did
# fill           the number of rows of each account (a scope) in a bucket; FILL_ALL in all, FILL_KEYS of keys
# late           what buckets grew by after their end (protocol.LateCounts)
# statements     closed statements (protocol.StoredStatement)
# epochs         the lives of each account (tenure.Epoch); `account` elsewhere is an epoch's key. terms: JSON
# periods        when an epoch held a domain (tenure.Holding; NULL: since the beginning, until now)
# holdings       the same without beginnings, of older programs; moved to `periods` at the start
# state          numbers that the program remembers by name (see `state`)
TABLES: Final = f"""
CREATE TABLE scopes (id INTEGER PRIMARY KEY, grain TEXT NOT NULL, {_NAMES}, first INTEGER NOT NULL,
  wide INTEGER NOT NULL DEFAULT 0, UNIQUE (grain, account, domain, region, isp, area)) STRICT;
CREATE INDEX scopes_by_first ON scopes (first);
INSERT INTO scopes VALUES ({EVERYTHING}, 'everything', '', '', '', '', '', {NEVER}, 0);
CREATE TABLE keys (id INTEGER PRIMARY KEY, {_NAMES}, by_account INTEGER NOT NULL, by_domain INTEGER NOT NULL,
  by_place INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  UNIQUE (account, domain, region, isp, area)) STRICT;
CREATE INDEX keys_by_last ON keys (last);
CREATE INDEX keys_of_account ON keys (by_account);
CREATE INDEX keys_of_domain ON keys (by_domain);
CREATE INDEX keys_of_place ON keys (by_place);
CREATE TABLE sources (id INTEGER PRIMARY KEY, uid TEXT NOT NULL, epoch TEXT NOT NULL, pod TEXT NOT NULL,
  cluster TEXT, last INTEGER NOT NULL, UNIQUE (uid, epoch)) STRICT;
CREATE INDEX sources_by_last ON sources (last);
CREATE TABLE usage (bucket INTEGER NOT NULL, key INTEGER NOT NULL, source INTEGER NOT NULL, {_COUNTS},
  PRIMARY KEY (bucket, key, source)) WITHOUT ROWID, STRICT;
CREATE TABLE codes (bucket INTEGER NOT NULL, key INTEGER NOT NULL, source INTEGER NOT NULL,
  code INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (bucket, key, source, code)) WITHOUT ROWID, STRICT;
CREATE TABLE totals (scope INTEGER NOT NULL, bucket INTEGER NOT NULL, part INTEGER NOT NULL, {_COUNTS},
  PRIMARY KEY (scope, bucket, part)) WITHOUT ROWID, STRICT;
CREATE TABLE code_totals (scope INTEGER NOT NULL, bucket INTEGER NOT NULL, code INTEGER NOT NULL,
  part INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (scope, bucket, code, part)) WITHOUT ROWID, STRICT;
CREATE TABLE dirty (bucket INTEGER NOT NULL, scope INTEGER NOT NULL, turn INTEGER NOT NULL,
  PRIMARY KEY (bucket, scope)) WITHOUT ROWID, STRICT;
CREATE TABLE fill (bucket INTEGER NOT NULL, account INTEGER NOT NULL, rows INTEGER NOT NULL,
  PRIMARY KEY (bucket, account)) WITHOUT ROWID, STRICT;
CREATE TABLE late (account TEXT NOT NULL, bucket INTEGER NOT NULL, area TEXT NOT NULL,
  received_at INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
  PRIMARY KEY (account, bucket, area, received_at)) WITHOUT ROWID, STRICT;
CREATE INDEX late_by_bucket ON late (bucket);
CREATE TABLE statements (account TEXT NOT NULL, period TEXT NOT NULL, version INTEGER NOT NULL,
  closed_at TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (account, period)) STRICT;
CREATE TABLE epochs (account TEXT NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL,
  uid TEXT, since TEXT, until TEXT, terms TEXT, PRIMARY KEY (account, number)) WITHOUT ROWID, STRICT;
CREATE TABLE holdings (domain TEXT NOT NULL, account TEXT NOT NULL, until TEXT,
  PRIMARY KEY (domain, account)) WITHOUT ROWID, STRICT;
CREATE TABLE periods (domain TEXT NOT NULL, account TEXT NOT NULL, number INTEGER NOT NULL,
  since TEXT, until TEXT, PRIMARY KEY (domain, account, number)) WITHOUT ROWID, STRICT;
CREATE TABLE directory (one INTEGER PRIMARY KEY CHECK (one = 1),
  written_at TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE state (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), filler BLOB NOT NULL) STRICT;
"""
