"""The five-minute values of a statement: a row for each value that a figure was computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from wsedge_statistics.billing.periods import BillingPeriod, Part
from wsedge_statistics.billing.rules import bits_per_second, half_up
from wsedge_statistics.billing.statement import Usage
from wsedge_statistics.numbers.series import BUCKET

HEADER: Final = ("start", "localTime", "day", "timeZone", "method", "area", "bytes", "bitsPerSecond")
Row = tuple[str | int | datetime, ...]


def value_rows(
    period: BillingPeriod, usage: Usage, areas: Mapping[tuple[str, str, str], Sequence[str]]
) -> Iterator[Row]:
    """Yield HEADER, then the rows by part, area and time; `areas` has those of each part's terms.

    Slots without traffic are rows of zeros, since they count.
    """
    yield HEADER
    for part in period.parts:
        terms = part.terms
        for area in areas.get((terms.cycle, terms.method, terms.zone), ()):
            yield from _rows(part, area, usage.values.get(area, {}), usage.until)


def _rows(part: Part, area: str, values: Mapping[int, int], until: int) -> Iterator[Row]:
    for day in part.days:
        for slot in range(day.slots.start, min(day.slots.end, until), BUCKET):
            if any(other.start <= slot < other.end for other in day.others):
                continue
            mine = any(own.start <= slot < own.end for own in day.own)
            yield _row(part, day.date.isoformat(), area, slot, values.get(slot, 0) if mine else 0)


def _row(part: Part, day: str, area: str, slot: int, value: int) -> Row:
    at = datetime.fromtimestamp(slot, tz=UTC)
    return (
        at,
        at.astimezone(part.zone).isoformat(timespec="minutes"),
        day,
        part.terms.zone,
        part.terms.method,
        area,
        value,
        format(half_up(bits_per_second(Fraction(value)), 3), "f"),
    )
