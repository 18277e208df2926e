"""The Directory and the tenures that follow from it, in the SQLite ledger."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter

from wsedge_statistics.contract import Directory, Period
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.tenure import Epoch, Holding, Tenures, follow

CLOCKS_DIFFER: Final = timedelta(minutes=10)  # at most, between programs that work together
_KEPT: Final = REACH[Granularity.FIVE_MINUTES]  # as long as reports are accepted
_TERMS: Final = TypeAdapter(tuple[Period, ...])


def directory(connection: sqlite3.Connection) -> Directory | None:
    """Return the stored Directory."""
    row = connection.execute("SELECT body FROM directory").fetchone()
    return Directory.model_validate_json(row[0]) if row else None


def tenures(connection: sqlite3.Connection) -> Tenures:
    """Return the lives of accounts, and the domains that each holds or held."""
    epochs: dict[str, tuple[Epoch, ...]] = {}
    for account, key, uid, since, until, terms in connection.execute(
        "SELECT account, key, uid, since, until, terms FROM epochs ORDER BY account, number"
    ):
        named = () if terms is None else _TERMS.validate_json(terms)
        epoch = Epoch(account, key, uid, _instant(since), _instant(until), named)
        epochs[account] = (*epochs.get(account, ()), epoch)
    held: dict[tuple[str, str], tuple[Holding, ...]] = {}
    for domain, account, since, until in connection.execute(
        "SELECT domain, account, since, until FROM periods ORDER BY domain, account, number"
    ):
        place = (domain, account)
        held[place] = (*held.get(place, ()), Holding(_instant(since), _instant(until)))
    row = connection.execute("SELECT written_at FROM directory").fetchone()
    return Tenures(row is not None, epochs, held, _instant(row[0]) if row is not None else None)


def put_directory(connection: sqlite3.Connection, directory: Directory, now: datetime) -> Tenures | None:
    """Store a Directory unless a later Directory (by writtenAt) is stored; return the tenures, or None.

    A stored writtenAt in the future is of a clock that was ahead; it does not block the Directories of the
    corrected clock.
    """
    row = connection.execute("SELECT written_at FROM directory").fetchone()
    kept = datetime.fromisoformat(row[0]) if row is not None else None
    if kept is not None and directory.writtenAt < kept <= now + CLOCKS_DIFFER:
        return None
    before = tenures(connection)
    connection.execute(
        "INSERT OR REPLACE INTO directory VALUES (1, ?, ?)",
        (directory.writtenAt.isoformat(), directory.model_dump_json(exclude_none=True)),
    )
    after = follow(before, directory, kept=_KEPT)
    _keep_tenures(connection, before, after)
    return after


def _keep_tenures(connection: sqlite3.Connection, before: Tenures, after: Tenures) -> None:
    """Write the differences only: Directories arrive often, and most are equal to the last."""
    connection.executemany(
        "INSERT OR REPLACE INTO epochs (account, number, key, uid, since, until, terms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (epoch.account, number, epoch.key, epoch.uid, _text(epoch.since), _text(epoch.until), terms)
            for name, lives in after.epochs.items()
            for number, epoch in enumerate(lives)
            if before.epochs.get(name, ())[number : number + 1] != (epoch,)
            for terms in [_TERMS.dump_json(epoch.terms, exclude_none=True).decode() if epoch.terms else None]
        ],
    )
    differs = [
        place
        for place in {**before.held, **after.held}
        if before.held.get(place, ()) != after.held.get(place, ())
    ]
    connection.executemany("DELETE FROM periods WHERE domain = ? AND account = ?", differs)
    connection.executemany(
        "INSERT INTO periods VALUES (?, ?, ?, ?, ?)",
        [
            (*place, number, _text(period.since), _text(period.until))
            for place in differs
            for number, period in enumerate(after.held.get(place, ()))
        ],
    )


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def begin_tenures(connection: sqlite3.Connection, directory: Directory | None, now: datetime) -> None:
    """Store the tenures of a ledger that an older program wrote without tenures, or without their beginnings.

    Relays may still report late for domains that an account has counts of and holds no longer.
    """
    connection.execute("INSERT OR REPLACE INTO periods SELECT domain, account, 0, NULL, until FROM holdings")
    connection.execute("DELETE FROM holdings")
    _begin_terms(connection, directory)
    (known,) = connection.execute("SELECT count(*) FROM epochs").fetchone()
    if known or directory is None:
        return
    accounts = {account.account for account in directory.accounts}
    seen = connection.execute("SELECT DISTINCT domain, account FROM keys").fetchall()
    former = {(domain, account): (Holding(until=now),) for domain, account in seen if account in accounts}
    after = follow(Tenures(held=former), directory, kept=_KEPT)
    _keep_tenures(connection, Tenures(), after)


def _begin_terms(connection: sqlite3.Connection, directory: Directory | None) -> None:
    """Add the terms of lives to a ledger of an older program: those of the stored Directory."""
    if not connection.execute("SELECT 1 FROM pragma_table_info('epochs') WHERE name = 'terms'").fetchone():
        connection.execute("ALTER TABLE epochs ADD COLUMN terms TEXT")
    if connection.execute("SELECT 1 FROM epochs WHERE terms IS NOT NULL LIMIT 1").fetchone():
        return
    known = tenures(connection)
    if directory is not None and known.epochs:
        _keep_tenures(connection, known, follow(known, directory, kept=_KEPT))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
