"""Reads from the SQLite ledger, as functions on a connection within a transaction.

A day is read from the day tier when its rollup is current, else hour by hour from the hour tier, and an
hour whose rollup is not current from the five-minute tier. So an answer never waits for a rollup, and a
rollup never changes an answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final

from wsedge_statistics.contract import Directory
from wsedge_statistics.errors import LedgerDamagedError
from wsedge_statistics.ledger.protocol import SeenKey
from wsedge_statistics.ledger.rollup import largest, roll, unpack
from wsedge_statistics.numbers.series import (
    BUCKET,
    CODE_PREFIX,
    DAY,
    HOUR,
    MEASURES,
    Key,
    Selection,
    Series,
    add,
    add_series,
)
from wsedge_statistics.tenure import Epoch, Tenures

_DIRTY: Final = {
    DAY: "SELECT day, domain FROM dirty_days WHERE day > ? AND day < ?",
    HOUR: "SELECT hour, domain FROM dirty_hours WHERE hour > ? AND hour < ?",
}
# Lists of starts and domains let SQLite seek in the primary key instead of scanning rows of other domains.
_USAGE: Final = (
    "SELECT * FROM usage WHERE bucket IN (SELECT value FROM json_each(?)) "
    "AND domain IN (SELECT value FROM json_each(?))"
)
_CODES: Final = (
    "SELECT * FROM codes WHERE bucket IN (SELECT value FROM json_each(?)) "
    "AND domain IN (SELECT value FROM json_each(?))"
)
_HOURS: Final = (
    "SELECT * FROM hours WHERE hour IN (SELECT value FROM json_each(?)) "
    "AND domain IN (SELECT value FROM json_each(?))"
)
_DAYS: Final = (
    "SELECT * FROM days WHERE day IN (SELECT value FROM json_each(?)) "
    "AND domain IN (SELECT value FROM json_each(?))"
)


def _choice(start: int, end: int, step: int, domains: Iterable[str]) -> tuple[str, str]:
    return json.dumps(list(range(start, end, step))), json.dumps(sorted(domains))


def hour_parts(connection: sqlite3.Connection, hour: int, domain: str) -> Iterator[tuple[Key, Series]]:
    """Yield the five-minute tier of one hour of a domain: one part per source, bucket and key."""
    choice = _choice(hour, hour + HOUR, BUCKET, [domain])
    for bucket, *columns in connection.execute(_USAGE, choice):
        names, counts = columns[:5], columns[6:]  # between them is the source
        series: Series = {}
        for measure, value in zip(MEASURES, counts, strict=True):
            add(series, measure, bucket, value)
        yield Key(*names), series
    for bucket, *names, _source, code, count in connection.execute(_CODES, choice):
        series = {}
        add(series, f"{CODE_PREFIX}{code}", bucket, count)
        yield Key(*names), series


def hour_sums(connection: sqlite3.Connection, hour: int, domain: str) -> dict[Key, Series]:
    """Return the sums of one hour of a domain, from the five-minute tier; at least its last rollup.

    The rollup matters after a fault only: a clock that was months ahead has pruned rows of an hour for which
    reports still arrive once the clock is corrected.
    """
    sums = roll(hour_parts(connection, hour, domain), start=hour, end=hour + HOUR)
    for _, *names, packed in connection.execute(_HOURS, _choice(hour, hour + HOUR, HOUR, [domain])):
        key = Key(*names)
        if key.region:
            with suppress(LedgerDamagedError):  # the sums of the rows replace a damaged rollup
                sums[key] = largest(sums.get(key, {}), unpack(packed, hour))
    return roll(sums.items(), start=hour, end=hour + HOUR)


def day_parts(connection: sqlite3.Connection, day: int, domain: str) -> Iterator[tuple[Key, Series]]:
    """Yield the hour tier of one day of a domain: one part per hour and key."""
    for hour, *names, packed in connection.execute(_HOURS, _choice(day, day + DAY, HOUR, [domain])):
        yield Key(*names), unpack(packed, hour)


def read(connection: sqlite3.Connection, selection: Selection) -> Series:
    """Return the five-minute sums over a selection, from the coarsest tier that is current."""
    total: Series = {}
    domains = _domains(connection, selection)
    dirty_days = _dirty(connection, DAY, selection, domains)
    dirty_hours = _dirty(connection, HOUR, selection, domains)
    for key, series in _parts(connection, selection, domains, dirty_days, dirty_hours):
        if selection.includes(key):
            add_series(total, series, start=selection.start, end=selection.end)
    return total


def _parts(
    connection: sqlite3.Connection,
    selection: Selection,
    domains: set[str],
    dirty_days: set[tuple[int, str]],
    dirty_hours: set[tuple[int, str]],
) -> Iterator[tuple[Key, Series]]:
    first = selection.start - selection.start % DAY
    for day, *names, packed in connection.execute(_DAYS, _choice(first, selection.end, DAY, domains)):
        key = Key(*names)
        if (day, key.domain) not in dirty_days and selection.includes(key):
            yield key, unpack(packed, day)
    for day, domain in dirty_days:
        for hour, *names, packed in connection.execute(_HOURS, _choice(day, day + DAY, HOUR, [domain])):
            key = Key(*names)
            if (hour, domain) not in dirty_hours and selection.includes(key):
                yield key, unpack(packed, hour)
    for hour, domain in dirty_hours:
        yield from hour_sums(connection, hour, domain).items()


def _domains(connection: sqlite3.Connection, selection: Selection) -> set[str]:
    rows = connection.execute(
        "SELECT DISTINCT domain FROM seen WHERE ?1 IS NULL OR account = ?1", (selection.account,)
    )
    return {domain for (domain,) in rows if selection.domains is None or domain in selection.domains}


def _dirty(
    connection: sqlite3.Connection, length: int, selection: Selection, domains: set[str]
) -> set[tuple[int, str]]:
    rows = connection.execute(_DIRTY[length], (selection.start - length, selection.end))
    return {(start, domain) for start, domain in rows if domain in domains}


def seen(connection: sqlite3.Connection, account: str | None) -> list[SeenKey]:
    """Return every key of an account, or of all accounts, by account and domain."""
    rows = connection.execute(
        "SELECT domain, account, region, isp, area, first, last FROM seen "
        "WHERE ?1 IS NULL OR account = ?1 ORDER BY account, domain, region, isp, area",
        (account,),
    )
    return [SeenKey(Key(*row[:5]), row[5], row[6]) for row in rows]


def directory(connection: sqlite3.Connection) -> Directory | None:
    """Return the stored Directory."""
    row = connection.execute("SELECT body FROM directory").fetchone()
    return Directory.model_validate_json(row[0]) if row else None


def tenures(connection: sqlite3.Connection) -> Tenures:
    """Return the lives of accounts, and the domains that each holds or held."""
    epochs: dict[str, tuple[Epoch, ...]] = {}
    for account, key, uid, since, until in connection.execute(
        "SELECT account, key, uid, since, until FROM epochs ORDER BY account, number"
    ):
        epoch = Epoch(account, key, uid, _instant(since), _instant(until))
        epochs[account] = (*epochs.get(account, ()), epoch)
    rows = connection.execute("SELECT domain, account, until FROM holdings")
    held = {(domain, account): _instant(until) for domain, account, until in rows}
    (began,) = connection.execute("SELECT count(*) FROM directory").fetchone()
    return Tenures(bool(began), epochs, held)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
