"""Totals of the SQLite ledger: recomputed from the rows of a dirty bucket and scope, never incremented."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final

from wsedge_statistics.ledger.sqlite.keys import KnownKey
from wsedge_statistics.ledger.sqlite.questions import KEYS_OF
from wsedge_statistics.ledger.sqlite.schema import MEASURES, NEVER
from wsedge_statistics.numbers.series import Grain

_CHUNK: Final = 200
MARKED: Final = 100_000  # buckets of keys: about 15 MB
_PART: Final = 1 << 62  # the largest part of a total

# `d` stands for the scope and bucket, as in the SQL of questions.
_ROWS: Final = {
    grain: "(SELECT :scope AS scope) d CROSS JOIN {table} t ON t.bucket = :bucket"
    if grain is Grain.EVERYTHING
    else "(SELECT :scope AS scope) d CROSS JOIN keys k ON "
    + keys
    + " CROSS JOIN {table} t ON t.bucket = :bucket AND t.key = k.id"
    for grain, keys in KEYS_OF.items()
}
_SUMS: Final = ", ".join(f"sum(t.{name})" for name in MEASURES)
_EACH: Final = ", ".join(f"t.{name}" for name in MEASURES)
_MARKS: Final = ", ".join("?" for _ in MEASURES)


def overflowed(error: sqlite3.OperationalError) -> bool:
    """Return whether a sum did not fit into 64 bits."""
    return "integer overflow" in str(error)


class Marks:
    """Buckets of keys whose totals are marked as dirty, so that the next reports do not mark them again.

    Its owner calls `clear` when a transaction was rolled back, or totals were recomputed, or keys deleted.
    """

    def __init__(self) -> None:
        self._known: set[tuple[int, int]] = set()

    def missing(self, places: Iterable[tuple[int, KnownKey]]) -> list[tuple[int, KnownKey]]:
        """Return those of the buckets and keys that are not known to be marked."""
        known = self._known
        return [(bucket, key) for bucket, key in places if (bucket, key.number) not in known]

    def remember(self, places: Iterable[tuple[int, KnownKey]]) -> None:
        """Keep buckets and keys that are marked now."""
        if len(self._known) > MARKED:
            self._known.clear()
        self._known.update((bucket, key.number) for bucket, key in places)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


def refresh(connection: sqlite3.Connection, *, turn: int, spent: Callable[[], bool]) -> int:
    """Recompute totals that became dirty before `turn`, at least one, until `spent`; return how many."""
    dirty = connection.execute(
        "SELECT d.bucket, d.scope, s.grain FROM dirty d CROSS JOIN scopes s ON s.id = d.scope "
        "WHERE d.turn < ? ORDER BY d.bucket, d.scope LIMIT ?",
        (turn, _CHUNK),
    ).fetchall()
    done = 0
    for bucket, scope, grain in dirty:
        recompute(connection, bucket, scope, Grain(grain))
        connection.execute("DELETE FROM dirty WHERE bucket = ? AND scope = ?", (bucket, scope))
        done += 1
        if spent():
            break
    return done


def set_aside(connection: sqlite3.Connection, *, turn: int) -> None:
    """Leave the first dirty total to be read from its rows for good: it met damage."""
    connection.execute(
        "UPDATE dirty SET turn = ? WHERE (bucket, scope) IN "
        "(SELECT bucket, scope FROM dirty WHERE turn < ? ORDER BY bucket, scope LIMIT 1)",
        (NEVER, turn),
    )


def recompute(connection: sqlite3.Connection, bucket: int, scope: int, grain: Grain) -> None:
    """Replace the total of a scope in a bucket by the sums of its rows."""
    place = {"scope": scope, "bucket": bucket}
    usage, codes = (_ROWS[grain].format(table=table) for table in ("usage", "codes"))
    _delete(connection, place)
    try:
        connection.execute(
            f"INSERT INTO totals SELECT :scope, :bucket, 0, {_SUMS} FROM {usage} HAVING count(*) > 0",
            place,
        )
        connection.execute(
            "INSERT INTO code_totals SELECT :scope, :bucket, t.code, 0, sum(t.count) "
            f"FROM {codes} GROUP BY t.code",
            place,
        )
    except sqlite3.OperationalError as error:
        if not overflowed(error):
            raise
        _delete(connection, place)
        _store(connection, scope, bucket, *sums_of_rows(connection, scope, bucket, grain))


def raise_total(connection: sqlite3.Connection, bucket: int, scope: int) -> None:
    """Raise the total of a scope in a bucket to the sums of the rows that are left.

    Other rows of the bucket were deleted, so that the stored total may be larger than the sums.
    """
    (grain,) = connection.execute("SELECT grain FROM scopes WHERE id = ?", (scope,)).fetchone()
    counts, codes = sums_of_rows(connection, scope, bucket, Grain(grain))
    stored, stored_codes = stored_total(connection, scope, bucket)
    _delete(connection, {"scope": scope, "bucket": bucket})
    largest = [max(pair) for pair in zip_longest(counts, stored, fillvalue=0)]
    names = codes.keys() | stored_codes.keys()
    of_codes = {code: max(codes.get(code, 0), stored_codes.get(code, 0)) for code in names}
    _store(connection, scope, bucket, largest, of_codes)


def add_to_total(
    connection: sqlite3.Connection, scope: int, bucket: int, counts: Sequence[int], codes: dict[int, int]
) -> None:
    """Add counts to a total that is not computed from rows: those of schema 1's packed series."""
    stored, stored_codes = stored_total(connection, scope, bucket)
    _delete(connection, {"scope": scope, "bucket": bucket})
    added = [sum(pair) for pair in zip_longest(counts, stored, fillvalue=0)]
    names = codes.keys() | stored_codes.keys()
    of_codes = {code: codes.get(code, 0) + stored_codes.get(code, 0) for code in names}
    _store(connection, scope, bucket, added, of_codes)


def sums_of_rows(
    connection: sqlite3.Connection, scope: int, bucket: int, grain: Grain
) -> tuple[list[int], dict[int, int]]:
    """Return the sums of the rows of a scope in a bucket, added in Python; no counts if there is no row."""
    place = {"scope": scope, "bucket": bucket}
    usage, codes = (_ROWS[grain].format(table=table) for table in ("usage", "codes"))
    rows = connection.execute(f"SELECT {_EACH} FROM {usage}", place).fetchall()
    return _add(rows), _by_code(connection.execute(f"SELECT t.code, t.count FROM {codes}", place).fetchall())


def stored_total(connection: sqlite3.Connection, scope: int, bucket: int) -> tuple[list[int], dict[int, int]]:
    """Return the stored total of a scope in a bucket; no counts if there is none."""
    parts = connection.execute(
        f"SELECT {_EACH} FROM totals t WHERE scope = ? AND bucket = ?",
        (scope, bucket),
    ).fetchall()
    codes = connection.execute(
        "SELECT code, count FROM code_totals WHERE scope = ? AND bucket = ?", (scope, bucket)
    ).fetchall()
    return _add(parts), _by_code(codes)


def _add(rows: Sequence[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _by_code(rows: Sequence[tuple[int, int]]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for code, count in rows:
        sums[code] = sums.get(code, 0) + count
    return sums


def _delete(connection: sqlite3.Connection, place: dict[str, int]) -> None:
    for table in ("totals", "code_totals"):
        connection.execute(f"DELETE FROM {table} WHERE scope = :scope AND bucket = :bucket", place)


def _store(
    connection: sqlite3.Connection, scope: int, bucket: int, counts: Sequence[int], codes: dict[int, int]
) -> None:
    """Store a total, in parts where it has more bits than an integer of SQLite."""
    parts = list(zip_longest(*map(_divide, counts), fillvalue=0))
    connection.executemany(
        f"INSERT INTO totals VALUES (?, ?, ?, {_MARKS})",
        [(scope, bucket, part, *values) for part, values in enumerate(parts)],
    )
    connection.executemany(
        "INSERT INTO code_totals VALUES (?, ?, ?, ?, ?)",
        [
            (scope, bucket, code, part, value)
            for code, count in codes.items()
            for part, value in enumerate(_divide(count))
        ],
    )
    if len(parts) > 1:
        connection.execute("UPDATE scopes SET wide = 1 WHERE id = ?", (scope,))


def _divide(count: int) -> list[int]:
    """Return the parts of a count, at least one."""
    whole, rest = divmod(count, _PART)
    return [rest, *(_PART for _ in range(whole))]
