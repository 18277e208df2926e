"""Backup, restore and verification of a SQLite ledger."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import add, gt
from pathlib import Path
from typing import Any, Final, TypeAlias

from wsedge_statistics.errors import LedgerCopyError, LedgerVersionError
from wsedge_statistics.ledger.sqlite import totals
from wsedge_statistics.ledger.sqlite.connections import open_reader
from wsedge_statistics.ledger.sqlite.place import Place
from wsedge_statistics.ledger.sqlite.schema import MEASURES, VERSION
from wsedge_statistics.ledger.sqlite.state import ROWS_FROM, read_state
from wsedge_statistics.numbers.series import BUCKET, Grain

_SUFFIXES: Final = ("", "-wal", "-shm")
# Buckets before the newest whose counts a restore compares.
_COMPARED: Final = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """A total that differs from the sums of its rows: counts as in schema.MEASURES, then codes."""

    bucket: datetime
    scope: str
    stored: str
    computed: str

    def __str__(self) -> str:
        at = self.bucket.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{at} {self.scope}: stored {self.stored}, rows have {self.computed}"


def backup(database: Path, target: Path) -> int:
    """Copy one state of a ledger, which may be in use, into a new file; return its bytes.

    In one step and from a read-only connection: reports are committed meanwhile, and a copy in several steps
    would begin again at each commit of another process. Raises LedgerCopyError.
    """
    if target.exists():
        raise LedgerCopyError(f"{target} exists; a backup overwrites nothing")
    made = target.with_name(f"{target.name}.partial")
    try:
        made.unlink(missing_ok=True)
        with closing(open_reader(database)) as source, closing(sqlite3.connect(made)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        newest_of(made)
        _flush(made)
        made.rename(target)
    except (OSError, sqlite3.Error) as error:
        made.unlink(missing_ok=True)
        raise LedgerCopyError(f"{database} cannot be copied to {target}: {error}") from error
    return target.stat().st_size


def restore(source: Path, folder: Path) -> Path | None:
    """Put a backup into a ledger's folder; return where the ledger that it replaces was moved, or None.

    Raises LedgerPlaceError for a ledger that is in use, LedgerCopyError for one with counts or
    statements that the backup has not, and for a file that is no intact ledger.
    """
    newest = newest_of(source)
    database = folder / "ledger.sqlite3"
    was = database.exists() and database.stat().st_size > 0
    if not was:
        for suffix in _SUFFIXES:  # what is left of a ledger, which a start would refuse
            database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)
    place = Place(folder)  # raises if the ledger is in use
    try:
        if was and (kept := newest_of(database)) > newest:
            raise LedgerCopyError(
                f"{database} has counts until {_time(kept)}, the backup until {_time(newest)}: "
                "move the folder away first, if you want to lose them"
            )
        if was and (lacking := _lacking(database, source, newest)):
            raise LedgerCopyError(
                f"{database} has {lacking}, which the backup has not: "
                "move the folder away first, if you want to lose them"
            )
        made = database.with_name(f"{database.name}.restored")
        shutil.copyfile(source, made)
        _flush(made)
        aside = database.with_name(f"replaced-{int(datetime.now(UTC).timestamp())}.sqlite3")
        for suffix in _SUFFIXES:
            old = database.with_name(f"{database.name}{suffix}")
            if old.exists():
                old.rename(aside.with_name(f"{aside.name}{suffix}"))
        made.rename(database)
    except OSError as error:
        raise LedgerCopyError(f"{source} cannot be restored to {folder}: {error}") from error
    finally:
        place.release()
    if not was:
        aside.unlink()
    return aside if was else None


def newest_of(database: Path) -> int:
    """Return the newest bucket of an intact ledger of this schema. Raises LedgerCopyError."""
    try:
        with closing(open_reader(database)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise LedgerVersionError(f"{database} has schema {version}, this program supports {VERSION}")
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise LedgerCopyError(f"{database} is damaged: {found}")
            return int(connection.execute("SELECT coalesce(max(last), 0) FROM keys").fetchone()[0])
    except sqlite3.Error as error:
        raise LedgerCopyError(f"{database} is no ledger: {error}") from error


def _lacking(database: Path, copy: Path, newest: int) -> str:
    """Return what a ledger has beyond a copy with the same newest bucket; empty: nothing.

    Of counts the last hour is compared, in which relays report, and what came later: to compare all rows of
    three months would take minutes.
    """
    with closing(open_reader(database)) as kept, closing(open_reader(copy)) as copied:
        if bucket := _first_grown(*(_last_counts(each, newest - _COMPARED) for each in (kept, copied))):
            return f"more counts of {_time(bucket)}"
        (last,) = copied.execute("SELECT coalesce(max(received_at), 0) FROM late").fetchone()
        if received_at := _first_grown(*(_late_counts(each, last) for each in (kept, copied))):
            return f"late counts of {_time(received_at)}"
        question = "SELECT account, period, version FROM statements"
        closed = set(kept.execute(question)) - set(copied.execute(question))
    return f"{len(closed)} closed statements" if closed else ""


# Cumulative counts by what they are of, a bucket first.
_Counts: TypeAlias = Mapping[tuple[int, str, str], tuple[int, ...]]


def _first_grown(kept: _Counts, copied: _Counts) -> int | None:
    """Return the first bucket in which one has more than the other."""
    grown = (
        key[0] for key, counts in kept.items() if any(map(gt, counts, copied.get(key, (0,) * len(counts))))
    )
    return min(grown, default=None)


def _last_counts(connection: sqlite3.Connection, since: int) -> _Counts:
    """Return the counts from a bucket on, by bucket and process. A peak does not only grow by traffic."""
    counts = ", ".join(name for name in MEASURES if name != "peak")
    rows = connection.execute(
        f"SELECT bucket, uid, epoch, {counts} FROM usage "
        "JOIN sources ON sources.id = source WHERE bucket >= ?",
        (since,),
    )
    return _added(rows)


def _late_counts(connection: sqlite3.Connection, since: int) -> _Counts:
    """Return what was counted after the end of its bucket, by when it came, account and area."""
    return _added(
        connection.execute(
            "SELECT received_at, account, area, sent, received FROM late WHERE received_at >= ?", (since,)
        )
    )


def _added(rows: Iterable[tuple[Any, ...]]) -> _Counts:
    """Add rows here, by their first three columns: a sum may be beyond the integers of SQLite."""
    found: dict[tuple[int, str, str], tuple[int, ...]] = {}
    for bucket, name, part, *counts in rows:
        key = (bucket, name, part)
        found[key] = tuple(map(add, found.get(key, (0,) * len(counts)), counts))
    return found


def verify(database: Path) -> Iterator[Difference]:
    """Yield every total that differs from the sums of its rows; the ledger may be in use.

    Raises LedgerCopyError for a file that is damaged. Totals whose rows are deleted cannot be verified.
    """
    newest_of(database)
    try:
        with closing(open_reader(database)) as connection:
            connection.execute("BEGIN")
            first = read_state(connection, ROWS_FROM) or 0
            buckets = connection.execute(
                "SELECT bucket FROM fill WHERE bucket >= ?1 "
                "UNION SELECT bucket FROM totals WHERE bucket >= ?1",
                (first,),
            ).fetchall()
            for (bucket,) in buckets:
                yield from _differences(connection, bucket)
    except sqlite3.Error as error:
        raise LedgerCopyError(f"{database} cannot be read: {error}") from error


def _differences(connection: sqlite3.Connection, bucket: int) -> Iterator[Difference]:
    """Yield the differences of one bucket: a scope's rows are added in Python, so that no sum overflows."""
    scopes = connection.execute(
        "SELECT id, grain, account, domain, region, isp, area FROM scopes WHERE first <= ?1 "
        "AND NOT EXISTS (SELECT 1 FROM dirty d WHERE d.bucket = ?1 AND d.scope = scopes.id)",
        (bucket,),
    ).fetchall()
    for scope, grain, *names in scopes:
        computed = totals.sums_of_rows(connection, scope, bucket, Grain(grain))
        stored = totals.stored_total(connection, scope, bucket)
        if stored != computed:
            yield Difference(
                datetime.fromtimestamp(bucket * BUCKET, UTC),
                " ".join((grain, *filter(None, names))),
                str(stored),
                str(computed),
            )


def _flush(path: Path) -> None:
    """Bring a file to the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _time(bucket: int) -> str:
    return datetime.fromtimestamp(bucket * BUCKET, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
