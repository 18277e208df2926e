"""The five-minute values of a statement as CSV: a row for each value that a figure was computed from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from wsedge_statistics.billing.periods import BillingPeriod, Part
from wsedge_statistics.billing.rules import bits_per_second, half_up
from wsedge_statistics.billing.statement import Usage
from wsedge_statistics.numbers.ranges import instant_text
from wsedge_statistics.numbers.series import BUCKET

HEADER: Final = ("start", "localTime", "day", "timeZone", "method", "area", "bytes", "bitsPerSecond")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def header_line() -> str:
    """Return the first line."""
    return _rows([HEADER])


def value_lines(
    period: BillingPeriod, usage: Usage, areas: Mapping[tuple[str, str, str], Sequence[str]]
) -> Iterator[str]:
    """Yield the lines of a CSV document, a day at a time; `areas` has those of each part's terms.

    Slots without traffic are rows of zeros, since they count.
    """
    yield header_line()
    for part in period.parts:
        terms = part.terms
        for area in areas.get((terms.cycle, terms.method, terms.zone), ()):
            values = usage.values.get(area, {})
            yield from (_rows(rows) for rows in _days(part, area, values, usage.until))


def _days(part: Part, area: str, values: Mapping[int, int], until: int) -> Iterator[list[tuple[str, ...]]]:
    for day in part.days:
        rows = []
        for slot in range(day.slots.start, min(day.slots.end, until), BUCKET):
            if any(other.start <= slot < other.end for other in day.others):
                continue
            mine = any(own.start <= slot < own.end for own in day.own)
            rows.append(_row(part, day.date.isoformat(), area, slot, values.get(slot, 0) if mine else 0))
        if rows:
            yield rows


def _row(part: Part, day: str, area: str, slot: int, value: int) -> tuple[str, ...]:
    at = datetime.fromtimestamp(slot, tz=UTC)
    rate = half_up(bits_per_second(Fraction(value)), 3)
    return (
        instant_text(at),
        at.astimezone(part.zone).isoformat(timespec="minutes"),
        day,
        part.terms.zone,
        part.terms.method,
        area,
        str(value),
        format(rate, "f"),
    )


def _rows(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return text.getvalue()
