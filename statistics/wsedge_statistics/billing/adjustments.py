"""Adjustments: what late counts change about closed statements. Pure.

A closed statement never changes. Its figures are computed anew with the rules and prices that it was closed
with, and each line that differs becomes an adjustment of the statement that closes next:

    closed 2026-11 ──late counts──▶ adjustment in 2026-12 ──late counts──▶ adjustment in 2027-01
    (the figure)                    (closed figure, new)                   (that new figure, new)

The figure that stands of a line is that of its last adjustment, else the closed one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from wsedge_statistics.billing.rules import QUANTITY_PLACES, half_up
from wsedge_statistics.billing.statement import Line, unit_of


class LineKey(NamedTuple):
    """What a line is about."""

    period: str
    cycle: str
    method: str
    zone: str
    area: str


@dataclass(frozen=True, slots=True)
class Standing:
    """The figure of a line, as shown, and the name of the statement that says so."""

    quantity: Decimal
    bytes: int
    amount: Decimal | None
    stated_in: str


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A line whose figure differs from the one that stands. `late_bytes` is the growth of its bytes."""

    key: LineKey
    unit: str
    closed: Standing
    new: Standing

    @property
    def late_bytes(self) -> int:
        """How much the bytes of the line grew."""
        return self.new.bytes - self.closed.bytes

    @property
    def amount(self) -> Decimal | None:
        """The difference to pay; None when either figure has no price."""
        if self.new.amount is None or self.closed.amount is None:
            return None
        return self.new.amount - self.closed.amount


def key_of(line: Line) -> LineKey:
    """Return what a line is about."""
    terms = line.part.terms
    return LineKey(line.period, terms.cycle, terms.method, terms.zone, line.area)


def standing_of(line: Line, stated_in: str) -> Standing:
    """Return the figure of a line as it is shown."""
    amount = None if line.charge is None else line.charge.amount
    return Standing(half_up(line.quantity, QUANTITY_PLACES), line.bytes, amount, stated_in)


def adjust(
    standing: Mapping[LineKey, Standing], computed: Iterable[Line], *, stated_in: str
) -> list[Adjustment]:
    """Return the adjustments of closed periods, whose lines were computed anew, for a statement.

    `standing` has the figures of the same periods. A line that was not in them (another area) was 0; a line
    that is no more (the terms of the period were corrected) becomes 0.
    """
    now = {key_of(line): standing_of(line, stated_in) for line in computed}
    found = []
    for key in sorted(standing.keys() | now.keys()):
        new, closed = now.get(key), standing.get(key)
        if closed is None:
            assert new is not None  # noqa: S101  for mypy: the key is of one of the two
            closed = _nothing(new, key.period)
        new = new or _nothing(closed, stated_in)
        if (new.quantity, new.bytes, new.amount) != (closed.quantity, closed.bytes, closed.amount):
            found.append(Adjustment(key, unit_of(key.method), closed, new))
    return found


def _nothing(other: Standing, stated_in: str) -> Standing:
    """Return the figure of a line that does not exist; it costs nothing where the other one has a price."""
    amount = None if other.amount is None else other.amount * 0
    return Standing(other.quantity * 0, 0, amount, stated_in)
