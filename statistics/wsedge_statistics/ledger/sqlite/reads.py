"""Answers of the SQLite ledger, as functions on a connection within a read transaction."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_statistics.ledger.protocol import LateCounts, SeenKey, StoredStatement
from wsedge_statistics.ledger.sqlite import questions
from wsedge_statistics.ledger.sqlite.migration import packed_of
from wsedge_statistics.ledger.sqlite.packed import Packed
from wsedge_statistics.ledger.sqlite.schema import NEVER
from wsedge_statistics.ledger.sqlite.state import MIGRATING, PACKED_BEFORE, read_state
from wsedge_statistics.ledger.sqlite.totals import overflowed
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
    """A question: the form of its SQL, its groups, and the parameters.

    `packed`: a part of the answer is in schema 1's packed series, which only Python can read.
    """

    selection: Selection
    slots: Sequence[Slot]
    group_by: tuple[Dimension, ...]
    form: questions.Form
    groups: list[tuple[str, ...]]
    packed: bool
    parameters: dict[str, Any]


def sums(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...] = (),
) -> list[SlotSums]:
    """Return the sums of each group and slot that has rows."""
    asked = _ask(connection, selection, slots, group_by)
    rows = _rows(connection, asked, questions.sums(asked.form))
    if rows is None:
        return list(_fold(asked, _values_added_here(connection, asked)))
    return [
        SlotSums(
            asked.groups[group], slot, Counts(*counts), sent, at_sent * BUCKET, received, at_received * BUCKET
        )
        for group, slot, *counts, sent, at_sent, received, at_received in rows
    ]


def codes(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...] = (),
) -> list[CodeSum]:
    """Return the HTTP codes of each group and slot."""
    asked = _ask(connection, selection, slots, group_by)
    rows = _rows(connection, asked, questions.codes(asked.form))
    if rows is None:
        rows = _codes_added_here(connection, asked)
    return [CodeSum(asked.groups[group], slot, code, count) for group, slot, code, count in rows]


def values(
    connection: sqlite3.Connection, selection: Selection, group_by: tuple[Dimension, ...] = ()
) -> Iterator[Value]:
    """Yield the five-minute values of each group."""
    asked = _ask(connection, selection, [Slot(selection.start, selection.end)], group_by)
    if not asked.packed:
        try:
            # the rows are sorted, so an overflow is raised before the first of them
            rows = connection.execute(questions.values(asked.form), asked.parameters)
        except sqlite3.OperationalError as error:
            if not overflowed(error):
                raise
        else:
            for group, bucket, sent, received in rows:
                yield Value(asked.groups[group], bucket * BUCKET, sent, received)
            return
    for group, _, bucket, counts in _values_added_here(connection, asked):
        yield Value(asked.groups[group], bucket * BUCKET, counts[0], counts[1])


def _rows(connection: sqlite3.Connection, asked: _Asked, sql: str) -> list[Any] | None:
    """Return the rows of a question; None if SQLite cannot add them."""
    if asked.packed:
        return None
    try:
        return connection.execute(sql, asked.parameters).fetchall()
    except sqlite3.OperationalError as error:
        if overflowed(error):
            return None
        raise


_Five = tuple[int, int, int, list[int]]  # group, slot, bucket, counts


def _values_added_here(connection: sqlite3.Connection, asked: _Asked) -> Iterator[_Five]:
    """Yield five-minute values, added in Python, by group, slot and bucket.

    Their sums may have more bits than SQLite's integers, or a part of them is packed.
    """
    halved = connection.execute(questions.halved_values(asked.form), asked.parameters)
    added: Iterator[_Five] = (
        (group, slot, bucket, _joined(halves)) for group, slot, bucket, *halves in halved
    )
    if not asked.packed:
        yield from added
        return
    found = {(group, slot, bucket): counts for group, slot, bucket, counts in added}
    for group, (counts_of, _) in _packed(connection, asked):
        for bucket, counts in counts_of.items():
            slot = _slot_of(asked, bucket)
            if slot is not None:
                before = found.get((group, slot, bucket), [0] * len(counts))
                found[group, slot, bucket] = [a + b for a, b in zip(before, counts, strict=True)]
    yield from ((*place, found[place]) for place in sorted(found))


def _codes_added_here(connection: sqlite3.Connection, asked: _Asked) -> list[tuple[int, int, int, int]]:
    halved = connection.execute(questions.halved_codes(asked.form), asked.parameters)
    found = {(group, slot, code): _joined(halves)[0] for group, slot, code, *halves in halved}
    if asked.packed:
        for group, (_, codes_of) in _packed(connection, asked):
            for (bucket, code), count in codes_of.items():
                slot = _slot_of(asked, bucket)
                if slot is not None:
                    found[group, slot, code] = found.get((group, slot, code), 0) + count
    return [(*place, found[place]) for place in sorted(found)]


def _packed(connection: sqlite3.Connection, asked: _Asked) -> Iterator[tuple[int, Packed]]:
    numbers = {group: number for number, group in enumerate(asked.groups)}
    for key, packed in packed_of(connection, asked.selection):
        yield numbers[tuple(key.part(dimension) for dimension in asked.group_by)], packed


def _slot_of(asked: _Asked, bucket: int) -> int | None:
    at = bucket * BUCKET
    number = bisect_right(asked.slots, at, key=lambda slot: slot.start) - 1
    return number if number >= 0 and at < asked.slots[number].end else None


def _fold(asked: _Asked, five: Iterator[_Five]) -> Iterator[SlotSums]:
    """Yield the sums of each group and slot, from their five-minute values."""
    current: SlotSums | None = None
    for group, slot, bucket, each in five:
        counts = Counts(*each)
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


def _joined(halves: Sequence[int]) -> list[int]:
    """Return the sums whose high and low halves alternate."""
    return [(high << questions.HALF) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _ask(
    connection: sqlite3.Connection,
    selection: Selection,
    slots: Sequence[Slot],
    group_by: tuple[Dimension, ...],
) -> _Asked:
    chosen = _choose(connection, selection, group_by)
    groups: dict[tuple[str, ...], list[int]] = {}
    wide = False
    for number, group, is_wide in chosen.subjects:
        groups.setdefault(group, []).append(number)
        wide = wide or is_wide
    names = sorted(groups)
    subjects = [[number, index] for index, name in enumerate(names) for number in groups[name]]
    (dirty,) = connection.execute("SELECT min(bucket) FROM dirty").fetchone()
    edges = [[slot.start // BUCKET, slot.end // BUCKET] for slot in slots]
    old = read_state(connection, MIGRATING) is not None
    packed_before = read_state(connection, PACKED_BEFORE) or 0
    distinct = chosen.grain is not Grain.ROWS and not wide and not old and len(subjects) == len(names)
    return _Asked(
        selection,
        slots,
        group_by,
        questions.Form(chosen.grain, distinct, old),
        names,
        packed=chosen.grain is not Grain.ROWS and selection.start < packed_before * BUCKET,
        parameters={
            "slots": json.dumps(edges),
            "subjects": json.dumps(subjects),
            "dirty": NEVER if dirty is None else dirty,
        },
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The grain that answers a question, and its subjects: the number, the group, and whether it is wide."""

    grain: Grain
    subjects: list[tuple[int, tuple[str, ...], bool]]


def _choose(connection: sqlite3.Connection, selection: Selection, group_by: tuple[Dimension, ...]) -> _Chosen:
    """Return the subjects of a question, of the grain with the fewest totals.

    Where every account has all of its places in one group, or none of them in any, its own totals answer.
    So an account with one area needs no totals of places for its statement.
    """
    grain = grain_of(selection, group_by)
    found = [
        (number, key, tuple(key.part(dimension) for dimension in group_by), wide)
        for number, key, wide in _subjects(connection, selection, grain)
    ]
    if grain is Grain.PLACE:
        of_account: dict[str, set[tuple[str, ...] | None]] = {}
        for _, key, group, _ in found:
            of_account.setdefault(key.account, set()).add(group if selection.includes(key) else None)
        if all(len(groups) == 1 for groups in of_account.values()):
            whole = {account: next(iter(groups)) for account, groups in of_account.items()}
            subjects = [
                (number, named, wide)
                for number, key, wide in _subjects(connection, selection, Grain.ACCOUNT)
                if (named := whole.get(key.account)) is not None
            ]
            return _Chosen(Grain.ACCOUNT, subjects)
    return _Chosen(
        grain, [(number, group, wide) for number, key, group, wide in found if selection.includes(key)]
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
