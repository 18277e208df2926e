"""Keys and scopes of the SQLite ledger: names are stored once, and counts refer to them by number."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wsedge_statistics.ledger.sqlite.schema import EVERYTHING, FILL_KEYS
from wsedge_statistics.numbers.series import Grain, Key

CACHED: Final = 50_000  # keys: about 20 MB
Names = tuple[str, str, str, str, str]  # those of a Key, which is one of them
_FIND: Final = """
SELECT k.domain, k.account, k.region, k.isp, k.area,
  k.id, k.by_account, k.by_domain, k.by_place, k.first, k.last
FROM json_each(?) j CROSS JOIN keys k
  ON k.domain = json_extract(j.value, '$[0]') AND k.account = json_extract(j.value, '$[1]')
  AND k.region = json_extract(j.value, '$[2]') AND k.isp = json_extract(j.value, '$[3]')
  AND k.area = json_extract(j.value, '$[4]')
"""
_ADD_SCOPE: Final = """
INSERT INTO scopes (grain, account, domain, region, isp, area, first) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first) RETURNING id
"""
_ADD_KEY: Final = """
INSERT INTO keys (domain, account, region, isp, area, by_account, by_domain, by_place, first, last)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""
_WIDEN_SCOPES: Final = "UPDATE scopes SET first = ?1 WHERE id IN (?2, ?3, ?4, ?5) AND first > ?1"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A stored key: its number, its scopes, and its first and last bucket."""

    number: int
    account: int
    domain: int
    place: int
    first: int
    last: int

    @property
    def scopes(self) -> tuple[int, ...]:
        """The scopes to which the key's rows add."""
        return (EVERYTHING, self.account, self.domain, self.place)


class KeyCache:
    """Keys that were found or stored before, so that a report looks up only its new ones.

    Its owner calls `clear` when a transaction was rolled back or keys were deleted.
    """

    def __init__(self) -> None:
        self._known: dict[Names, KnownKey] = {}

    def find(self, connection: sqlite3.Connection, keys: Sequence[Names]) -> list[KnownKey | None]:
        """Return each of the keys as it is stored; None if it is not."""
        known = [self._known.get(key) for key in keys]
        missing = {key for key, stored in zip(keys, known, strict=True) if stored is None}
        if not missing:
            return known
        found = find_keys(connection, missing)
        self.remember(found)
        return [found.get(key) if stored is None else stored for key, stored in zip(keys, known, strict=True)]

    def remember(self, keys: Mapping[Names, KnownKey]) -> None:
        """Keep keys as they are stored now."""
        if len(self._known) + len(keys) > CACHED:
            self._known.clear()
        self._known |= keys

    def clear(self) -> None:
        """Forget all keys."""
        self._known.clear()


def find_keys(connection: sqlite3.Connection, keys: Iterable[Names]) -> dict[Names, KnownKey]:
    """Return those of the keys that are stored."""
    found = connection.execute(_FIND, (json.dumps(list(keys)),))
    return {Key(*row[:5]): KnownKey(*row[5:]) for row in found}


def account_scope(connection: sqlite3.Connection, account: str) -> int | None:
    """Return the number of an account's scope."""
    row = connection.execute(
        "SELECT id FROM scopes WHERE grain = ? AND account = ?", (Grain.ACCOUNT, account)
    ).fetchone()
    return None if row is None else int(row[0])


def add_key(connection: sqlite3.Connection, key: Key, bucket: int) -> KnownKey:
    """Store a new key, whose first count is of `bucket`."""
    account = _add_scope(connection, Grain.ACCOUNT, bucket, key.account)
    domain = _add_scope(connection, Grain.DOMAIN, bucket, key.account, key.domain)
    place = _add_scope(connection, Grain.PLACE, bucket, key.account, "", key.region, key.isp, key.area)
    ((number,),) = connection.execute(_ADD_KEY, (*key, account, domain, place, bucket, bucket)).fetchall()
    connection.execute(
        "INSERT INTO fill VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET rows = rows + 1", (FILL_KEYS, account)
    )
    connection.execute("UPDATE scopes SET first = min(first, ?) WHERE id = ?", (bucket, EVERYTHING))
    return KnownKey(number, account, domain, place, bucket, bucket)


def _add_scope(
    connection: sqlite3.Connection,
    grain: Grain,
    bucket: int,
    account: str,
    domain: str = "",
    region: str = "",
    isp: str = "",
    area: str = "",
) -> int:
    names = (grain, account, domain, region, isp, area, bucket)
    ((number,),) = connection.execute(_ADD_SCOPE, names).fetchall()
    return int(number)


def widen(connection: sqlite3.Connection, key: KnownKey, first: int, last: int) -> KnownKey:
    """Store that a key has counts of the buckets `first` and `last`; return it as it is stored then."""
    if key.first <= first and last <= key.last:
        return key
    connection.execute(
        "UPDATE keys SET first = min(first, ?), last = max(last, ?) WHERE id = ?", (first, last, key.number)
    )
    if first < key.first:
        connection.execute(_WIDEN_SCOPES, (first, *key.scopes))
    return replace(key, first=min(first, key.first), last=max(last, key.last))


def remove_keys(connection: sqlite3.Connection, *, before: int, limit: int) -> int:
    """Delete up to `limit` keys without counts since `before`, and scopes that no key has then."""
    gone = connection.execute(
        "SELECT id, by_account, by_domain, by_place FROM keys WHERE last < ? LIMIT ?", (before, limit)
    ).fetchall()
    for number, account, domain, place in gone:
        connection.execute("DELETE FROM keys WHERE id = ?", (number,))
        connection.execute(
            "UPDATE fill SET rows = rows - 1 WHERE bucket = ? AND account = ?", (FILL_KEYS, account)
        )
        for column, scope in (("by_domain", domain), ("by_place", place), ("by_account", account)):
            if connection.execute(f"SELECT 1 FROM keys WHERE {column} = ? LIMIT 1", (scope,)).fetchone():
                continue
            connection.execute("DELETE FROM scopes WHERE id = ?", (scope,))
            for table in ("totals", "code_totals", "dirty"):
                connection.execute(f"DELETE FROM {table} WHERE scope = ?", (scope,))
        if connection.execute("SELECT 1 FROM scopes WHERE id = ?", (account,)).fetchone() is None:
            connection.execute("DELETE FROM fill WHERE bucket < 0 AND account = ?", (account,))
    return len(gone)
