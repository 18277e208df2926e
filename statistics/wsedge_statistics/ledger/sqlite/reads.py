"""Answers of the SQLite ledger, as functions on a connection within a read transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_statistics.ledger.protocol import LateCounts, SeenKey, StoredStatement
from wsedge_statistics.ledger.sqlite import questions
from wsedge_statistics.ledger.sqlite.schema import NEVER
from wsedge_statistics.numbers.ranges import Slot
from wsedge_statistics.numbers.series import (
    BUCKET,
    CodeSum,
    Counts,
    Dimension,
    Grain,
    Key,
    Selection,
    SlotSums,
    Value,
    grain_of,
)

_SCOPES: Final = (
    "SELECT id, domain, account, region, isp, area, wide FROM scopes WHERE grain = ?1 "
    "AND (?2 IS NULL OR account = ?2)"
)
_KEYS: Final = (
    "SELECT id, domain, account, region, isp, area, 0 FROM keys WHERE (?1 IS NULL OR account = ?1) "
    "AND first < ?3 AND last >= ?2"
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question's subjects with their groups, as parameters of its SQL."""

    grain: Grain
    groups: list[tuple[str, ...]]
    distinct: bool
    parameters: dict[str, Any]


def sums(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...] = (),
) -> list[SlotSums]:
    """Return the sums of each group and slot that has rows."""
    asked = _ask(connection, selection, slots, group_by)
    try:
        rows = connection.execute(questions.SUMS[asked.grain, asked.distinct], asked.parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not overflowed(error):
            raise
        return list(_sums_of_halves(connection, asked))
    return [
        SlotSums(
            asked.groups[group], slot, Counts(*counts), sent, at_sent * BUCKET, received, at_received * BUCKET
        )
        for group, slot, *counts, sent, at_sent, received, at_received in rows
    ]


def _sums_of_halves(connection: sqlite3.Connection, asked: _Asked) -> Iterator[SlotSums]:
    """Yield the sums of each group and slot, added in Python: they have more bits than SQLite's integers."""
    current: SlotSums | None = None
    for group, slot, bucket, *halves in connection.execute(
        questions.HALVED_SUMS[asked.grain], asked.parameters
    ):
        counts = Counts(*_joined(halves))
        at = bucket * BUCKET
        part = SlotSums(asked.groups[group], slot, counts, counts.sent, at, counts.received, at)
        if current is not None and (current.group, current.slot) == (part.group, part.slot):
            current = current.and_later(part)
        else:
            if current is not None:
                yield current
            current = part
    if current is not None:
        yield current


def codes(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...] = (),
) -> list[CodeSum]:
    """Return the HTTP codes of each group and slot."""
    asked = _ask(connection, selection, slots, group_by)
    try:
        rows = connection.execute(questions.CODES[asked.grain], asked.parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not overflowed(error):
            raise
        halved = connection.execute(questions.HALVED_CODES[asked.grain], asked.parameters)
        rows = [(group, slot, code, *_joined(halves)) for group, slot, code, *halves in halved]
    return [CodeSum(asked.groups[group], slot, code, count) for group, slot, code, count in rows]


def values(
    connection: sqlite3.Connection, selection: Selection, group_by: tuple[Dimension, ...] = ()
) -> Iterator[Value]:
    """Yield the five-minute values of each group."""
    asked = _ask(connection, selection, [Slot(selection.start, selection.end)], group_by)
    rows: Iterator[tuple[int, int, int, int]]
    cursor = connection.execute("SELECT 0 WHERE FALSE")
    try:
        # the rows are sorted, so an overflow is raised before the first of them
        rows = cursor.execute(questions.VALUES[asked.grain, asked.distinct], asked.parameters)
    except sqlite3.OperationalError as error:
        if not overflowed(error):
            raise
        halved = cursor.execute(questions.HALVED_VALUES[asked.grain], asked.parameters)
        rows = ((group, bucket, *_joined(halves)) for group, _, bucket, *halves in halved)
    for group, bucket, sent, received in rows:
        yield Value(asked.groups[group], bucket * BUCKET, sent, received)


def overflowed(error: sqlite3.OperationalError) -> bool:
    """Return whether a sum did not fit into 64 bits."""
    return "integer overflow" in str(error)


def _joined(halves: Sequence[int]) -> list[int]:
    """Return the sums whose high and low halves alternate."""
    return [(high << questions.HALF) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _ask(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...],
) -> _Asked:
    grain = grain_of(selection, group_by)
    groups: dict[tuple[str, ...], list[int]] = {}
    wide = False
    for number, key, is_wide in _subjects(connection, selection, grain):
        if selection.includes(key):
            groups.setdefault(tuple(key.part(dimension) for dimension in group_by), []).append(number)
            wide = wide or is_wide
    names = sorted(groups)
    subjects = [[number, index] for index, name in enumerate(names) for number in groups[name]]
    (dirty,) = connection.execute("SELECT min(bucket) FROM dirty").fetchone()
    edges = [[slot.start // BUCKET, slot.end // BUCKET] for slot in slots]
    return _Asked(
        grain,
        names,
        distinct=grain is not Grain.ROWS and not wide and len(subjects) == len(names),
        parameters={
            "slots": json.dumps(edges),
            "subjects": json.dumps(subjects),
            "dirty": NEVER if dirty is None else dirty,
        },
    )


def _subjects(
    connection: sqlite3.Connection, selection: Selection, grain: Grain
) -> Iterator[tuple[int, Key, bool]]:
    if grain is Grain.ROWS:
        edges = (selection.start // BUCKET, selection.end // BUCKET)
        rows = connection.execute(_KEYS, (selection.account, *edges))
    else:
        rows = connection.execute(_SCOPES, (grain, selection.account))
    for number, *names, wide in rows:
        yield number, Key(*names), bool(wide)


def seen(connection: sqlite3.Connection, account: str | None) -> list[SeenKey]:
    """Return every key of an account, or of all accounts, by account and domain."""
    rows = connection.execute(
        "SELECT domain, account, region, isp, area, first, last FROM keys "
        "WHERE ?1 IS NULL OR account = ?1 ORDER BY account, domain, region, isp, area",
        (account,),
    )
    return [SeenKey(Key(*row[:5]), row[5] * BUCKET, row[6] * BUCKET) for row in rows]


def late(connection: sqlite3.Connection, account: str, start: int, end: int) -> list[LateCounts]:
    """Return what an account's buckets within [start, end) grew by late."""
    rows = connection.execute(
        "SELECT received_at, account, area, bucket, sent, received FROM late "
        "WHERE account = ? AND bucket >= ? AND bucket < ? ORDER BY bucket, area, received_at",
        (account, start // BUCKET, end // BUCKET),
    )
    return [
        LateCounts(at * BUCKET, owner, area, bucket * BUCKET, sent, received)
        for at, owner, area, bucket, sent, received in rows
    ]


def statements(connection: sqlite3.Connection, account: str) -> list[StoredStatement]:
    """Return an account's closed statements, by period."""
    rows = connection.execute(
        "SELECT account, period, version, closed_at, body FROM statements WHERE account = ? ORDER BY period",
        (account,),
    )
    return [
        StoredStatement(owner, period, version, datetime.fromisoformat(closed_at), body)
        for owner, period, version, closed_at, body in rows
    ]
