"""Moves a SQLite ledger to a ClickHouse server: in steps, each of which may be repeated.

    rows, an hour at a time, and their totals ─▶ totals without rows, a day at a time ─▶ all else ─▶ verified

What was moved is remembered on the server, so that a move that was interrupted goes on where it ended. Counts
merge by max(), so the step that was interrupted is carried out again. Reports must wait meanwhile: relays
keep their counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from wsedge_statistics.errors import LedgerCopyError
from wsedge_statistics.ledger.clickhouse import reads, schema, statements, tenancy
from wsedge_statistics.ledger.clickhouse.server import Server
from wsedge_statistics.ledger.clickhouse.state import DELETION_TIME, ROWS_FROM, read_state, write_state
from wsedge_statistics.ledger.clickhouse.totals import Totals
from wsedge_statistics.ledger.sqlite import reads as sqlite_reads
from wsedge_statistics.ledger.sqlite import state as sqlite_state
from wsedge_statistics.ledger.sqlite import tenancy as sqlite_tenancy
from wsedge_statistics.ledger.sqlite.connections import open_reader
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.schema import EVERYTHING
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import BUCKET, DAY, GRAINS, Selection

MOVED_ROWS: Final = "moved_rows"  # rows of all buckets before it are on the server
MOVED_TOTALS: Final = "moved_totals"
_CHUNK: Final = 20_000  # rows of one insert
_COMPARED: Final = 31  # days of one comparison
_NAMED: Final = ", ".join(f"k.{name}" for name in schema.NAMES)
_COUNTED: Final = ", ".join(f"t.{name}" for name in schema.MEASURES)
_ROWS: Final = f"""
SELECT t.bucket, {_NAMED}, s.uid || '/' || s.epoch, {_COUNTED}, t.key, t.source
FROM usage t CROSS JOIN keys k ON k.id = t.key CROSS JOIN sources s ON s.id = t.source
WHERE t.bucket >= ? AND t.bucket < ?
"""
_CODES: Final = "SELECT bucket, key, source, code, count FROM codes WHERE bucket >= ? AND bucket < ?"
_TOTALS: Final = f"""
SELECT k.grain, {_NAMED}, t.bucket, {_COUNTED} FROM scopes k
CROSS JOIN totals t ON t.scope = k.id AND t.bucket >= ? AND t.bucket < ?
"""
_NEXT_TOTAL: Final = "SELECT min(bucket) FROM totals WHERE scope = ? AND bucket >= ? AND bucket < ?"
_CODE_TOTALS: Final = f"""
SELECT k.grain, {_NAMED}, t.bucket, t.code, t.count FROM scopes k
CROSS JOIN code_totals t ON t.scope = k.id AND t.bucket >= ? AND t.bucket < ?
"""
_PLACE: Final = {"grain": "String", **dict.fromkeys(schema.NAMES, "String"), "bucket": "UInt32"}
_SUMS: Final = {**_PLACE, **dict.fromkeys(schema.MEASURES, "UInt128")}
_CODE_SUMS: Final = {**_PLACE, "codes": "Map(UInt16, UInt128)"}
_GROWTH: Final = {
    "account": "String",
    "bucket": "UInt32",
    "area": "String",
    "received_at": "UInt32",
    "sent": "UInt128",
    "received": "UInt128",
}


def move(folder: Path, server: Server, *, told: Callable[[str], None], cluster: str | None = None) -> None:
    """Move the ledger in a folder to a server, and compare both; `told` gets lines about the progress.

    Raises LedgerPlaceError for a ledger in use, LedgerCopyError for one that cannot be moved or differs then.
    """
    if not (folder / "ledger.sqlite3").exists():
        raise LedgerCopyError(f"{folder} has no ledger")
    place = Place(folder)
    try:
        with closing(open_reader(place.database)) as source:
            source.execute("BEGIN")
            if sqlite_state.read_state(source, sqlite_state.MIGRATING) is not None:
                raise LedgerCopyError(
                    f"{folder} has an older form: start the program on it until it has migrated it"
                )
            schema.create(server, cluster)
            _move_rows(source, server, told)
            _move_totals(source, server, told)
            _move_else(source, server)
            differences = list(islice(compare(source, server), 10))
    except sqlite3.Error as error:
        raise LedgerCopyError(f"{folder} cannot be read: {error}") from error
    finally:
        place.release()
    if differences:
        raise LedgerCopyError("the ledgers differ: " + "; ".join(differences))
    told("both ledgers have the same sums")


def _move_rows(source: sqlite3.Connection, server: Server, told: Callable[[str], None]) -> None:
    """Move the rows of each hour that has some, and compute their totals."""
    totals = Totals(server, removed=lambda _: None)
    last = read_state(server, MOVED_ROWS) or 0
    while True:
        (first,) = source.execute("SELECT min(bucket) FROM usage WHERE bucket >= ?", (last,)).fetchone()
        if first is None:
            return
        last = first - first % schema.HOUR_BUCKETS + schema.HOUR_BUCKETS
        codes: dict[tuple[int, int, int], dict[int, int]] = {}
        for *at, code, count in source.execute(_CODES, (first, last)):
            codes.setdefault((at[0], at[1], at[2]), {})[code] = count
        rows = source.execute(_ROWS, (first, last))
        moved = (
            (bucket, *values, codes.get((bucket, key, sender), {})) for bucket, *values, key, sender in rows
        )
        count = _insert(server, "usage", schema.USAGE, moved)
        totals.recompute(list(range(first, last)))
        write_state(server, MOVED_ROWS, last)
        told(f"{_day(first)}: {count} rows")


def _move_totals(source: sqlite3.Connection, server: Server, told: Callable[[str], None]) -> None:
    """Move the totals of the days of which rows were deleted."""
    until = sqlite_state.read_state(source, sqlite_state.ROWS_FROM) or 0
    last = read_state(server, MOVED_TOTALS) or 0
    while True:
        (first,) = source.execute(_NEXT_TOTAL, (EVERYTHING, last, until)).fetchone()
        if first is None:
            return
        first -= first % schema.DAY_BUCKETS
        last = min(first + schema.DAY_BUCKETS, until)
        sums: dict[tuple[Any, ...], list[int]] = {}
        for row in source.execute(_TOTALS, (first, last)):
            place, counts = row[: len(_PLACE)], row[len(_PLACE) :]
            sums[place] = [a + b for a, b in zip(sums.get(place, [0] * len(counts)), counts, strict=True)]
        codes: dict[tuple[Any, ...], dict[int, int]] = {}
        for *names, code, count in source.execute(_CODE_TOTALS, (first, last)):
            of_place = codes.setdefault(tuple(names), {})
            of_place[code] = of_place.get(code, 0) + count
        moved = _insert(server, "totals", _SUMS, ((*place, *counts) for place, counts in sums.items()))
        _insert(server, "totals", _CODE_SUMS, ((*place, counts) for place, counts in codes.items()))
        write_state(server, MOVED_TOTALS, last)
        told(f"{_day(first)}: {moved} totals")


def _day(bucket: int) -> str:
    return f"{datetime.fromtimestamp(bucket * BUCKET, UTC):%Y-%m-%d %H:%M}"


def _insert(server: Server, table: str, columns: dict[str, str], rows: Iterable[Sequence[Any]]) -> int:
    """Insert rows in chunks; return how many."""
    count = 0
    waiting = iter(rows)
    while chunk := list(islice(waiting, _CHUNK)):
        server.insert(table, columns, chunk)
        count += len(chunk)
    return count


def _move_else(source: sqlite3.Connection, server: Server) -> None:
    """Move keys, late counts, statements, the Directory, and what the ledger remembers."""
    names = ", ".join(schema.NAMES)
    _insert(server, "keys", schema.KEYS, source.execute(f"SELECT {names}, first, last FROM keys"))
    late = source.execute("SELECT account, bucket, area, received_at, sent, received FROM late")
    _insert(server, "late_growth", _GROWTH, late)
    for (account,) in source.execute("SELECT DISTINCT account FROM statements").fetchall():
        for statement in sqlite_reads.statements(source, account):
            statements.put_statement(server, statement)
    directory = sqlite_tenancy.directory(source)
    if directory is not None and not tenancy.serial(server):
        tenancy.store(server, 1, directory, sqlite_tenancy.tenures(source))
    for name, known in ((ROWS_FROM, sqlite_state.ROWS_FROM), (DELETION_TIME, sqlite_state.DELETION_TIME)):
        number = sqlite_state.read_state(source, known)
        if number is not None:
            write_state(server, name, number)


def compare(source: sqlite3.Connection, server: Server) -> Iterator[str]:
    """Yield what differs: keys, and sums and codes of each day by each grain."""
    keys = sqlite_reads.seen(source, None)
    if keys != reads.seen(server, None):
        yield "keys"
    if not keys:
        return
    first = min(key.first for key in keys) // DAY * DAY
    for start in range(first, max(key.last for key in keys) + 1, _COMPARED * DAY):
        selection = Selection(start, start + _COMPARED * DAY)
        slots = [Slot(day, day + DAY) for day in range(selection.start, selection.end, DAY)]
        span = f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d} and the {_COMPARED - 1} days after it"
        for grain, dimensions in GRAINS:
            by = tuple(sorted(dimensions))
            if sqlite_reads.sums(source, selection, slots, by) != reads.sums(server, selection, slots, by):
                yield f"sums of {span} by {grain}"
            if sqlite_reads.codes(source, selection, slots, by) != reads.codes(server, selection, slots, by):
                yield f"codes of {span} by {grain}"
