"""A statement: the lines of a period, by terms and billing area. Pure.

The same computation serves a period that is over and one that is not: only slots that began before `until`
count. So the open statement is the method applied to the period so far, which is also what the product calls
an estimate. Areas are added up apart, and a part without any traffic has one line, of the area `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from wsedge_statistics.billing.methods import DAILY_PEAK, TRAFFIC, DayValues, Figure, measure
from wsedge_statistics.billing.periods import BillingPeriod, Interval, Part
from wsedge_statistics.billing.prices import Book, Share, Tier, progressive, reached
from wsedge_statistics.billing.rules import (
    FACTOR_PLACES,
    ZERO,
    AreaValues,
    Rules,
    gigabytes,
    half_up,
    megabits_per_second,
)
from wsedge_statistics.numbers.series import BUCKET, HOUR

NO_AREA: Final = "unknown"  # as clients without a known place
_NIGHT_ENDS: Final = 8


@dataclass(frozen=True, slots=True)
class Late:
    """Bytes that came in long after their slot; `received_at` is the start of the slot in which they did."""

    area: str
    slot: int
    bytes: int
    received_at: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the ledger has of an account: values from `BillingPeriod.values_from` on, and late counts.

    All slots before `until` are complete; `values` may have later ones, which do not count.
    """

    values: AreaValues
    until: int
    late: tuple[Late, ...] = ()


@dataclass(frozen=True, slots=True)
class Charge:
    """A priced quantity: its shares by tier, and the amount, rounded once."""

    shares: tuple[Share, ...]
    before: Fraction
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a method in one billing area.

    `bytes` and `late_bytes` are of all slots of the terms. `charge` is None without a price for the line.
    `forecast` is the quantity that is expected at the period's end, None once the period is over.
    """

    period: str
    part: Part
    area: str
    figure: Figure
    bytes: int
    late_bytes: int
    quantity: Fraction
    factor: Decimal
    complete_until: int
    charge: Charge | None
    forecast: Fraction | None
    forecast_charge: Charge | None

    @property
    def unit(self) -> str:
        """The unit of the quantity."""
        return unit_of(self.part.terms.method)


@dataclass(frozen=True, slots=True)
class Statement:
    """The lines of a period. `bytes_without_terms` passed while no terms were in force; nobody pays them."""

    account: str
    period: BillingPeriod
    rules: Rules
    book: Book | None
    lines: tuple[Line, ...]
    until: int
    bytes_without_terms: int


@dataclass(frozen=True, slots=True)
class _Prices:
    """What prices the quantities of one line. `before` are the GB of the month that fill the lower tiers."""

    tiers: tuple[Tier, ...]
    before: Fraction
    factor: Decimal
    decimals: int

    def charge(self, method: str, quantity: Fraction, hours: Iterable[tuple[int, Fraction]]) -> Charge:
        """Price a quantity, which for traffic is that of the `hours`."""
        if method == TRAFFIC:
            shares = tuple(progressive(self.before, hours, self.tiers))
        else:
            shares = (reached(quantity, self.tiers),)
        exact = sum((share.amount for share in shares), ZERO) * Fraction(self.factor)
        return Charge(shares, self.before, half_up(exact, self.decimals))


def unit_of(method: str) -> str:
    """Return the unit that a method bills."""
    return "GB" if method == TRAFFIC else "Mbps"


def compose(account: str, period: BillingPeriod, usage: Usage, rules: Rules, book: Book | None) -> Statement:
    """Return the statement of a period, of its slots before `usage.until`."""
    lines = [
        _line(period.name, part, area, usage, rules, book)
        for part in period.parts
        for area in _areas(part, usage)
    ]
    methods = {part.terms.method for part in period.parts}
    return Statement(
        account=account,
        period=period,
        rules=rules,
        book=None if book is None else book.only(methods),
        lines=tuple(lines),
        until=usage.until,
        bytes_without_terms=_without_terms(period, usage),
    )


def day_values(part: Part, values: Mapping[int, int], until: int) -> list[DayValues]:
    """Return the effective days that have begun before `until`, with the values of the part's own slots."""
    days = []
    for day in part.days:
        if count := day.count(until):
            own = {slot: value for slot in _slots(day.own, until) if (value := values.get(slot))}
            days.append(DayValues(day.date, count, own, complete=day.slots.end <= until))
    return days


def _areas(part: Part, usage: Usage) -> list[str]:
    own = part.own
    found = {
        area
        for area, values in usage.values.items()
        if any(value and slot < usage.until and _within(slot, own) for slot, value in values.items())
    }
    return sorted(found) or [NO_AREA]


def _line(period: str, part: Part, area: str, usage: Usage, rules: Rules, book: Book | None) -> Line:
    values, method = usage.values.get(area, {}), part.terms.method
    days = day_values(part, values, usage.until)
    counted = [day for day in days if rules.count_idle_days or day.values]
    figure = measure(method, counted, is_night=lambda slot: _is_night(slot, part))
    quantity = _quantity(figure.bytes, part, rules)
    factor = _factor(part, len(counted), rules)
    forecast = None if usage.until >= part.effective.end else _forecast(part, days, quantity)
    prices = _prices(part, area, values, factor, rules, book)
    own = part.own
    late = (late.bytes for late in usage.late if late.area == area and _within(late.slot, own))
    return Line(
        period=period,
        part=part,
        area=area,
        figure=figure,
        bytes=sum(sum(day.values.values()) for day in days),
        late_bytes=sum(late),
        quantity=quantity,
        factor=factor,
        complete_until=min(usage.until, part.effective.end),
        charge=None if prices is None else prices.charge(method, quantity, _by_hour(days, rules)),
        forecast=forecast,
        forecast_charge=None
        if prices is None or forecast is None
        else prices.charge(method, forecast, [(usage.until, forecast)]),
    )


def _quantity(byte_count: Fraction, part: Part, rules: Rules) -> Fraction:
    convert = gigabytes if part.terms.method == TRAFFIC else megabits_per_second
    return convert(byte_count, rules)


def _factor(part: Part, counted: int, rules: Rules) -> Decimal:
    """Return the part of the month that the fee is for; monthly methods alone have one."""
    if part.terms.method in (TRAFFIC, DAILY_PEAK):
        return half_up(Fraction(1), FACTOR_PLACES)
    days = len(part.days) if rules.count_idle_days else counted
    return half_up(Fraction(days, part.natural_days), FACTOR_PLACES)


def _forecast(part: Part, days: Sequence[DayValues], quantity: Fraction) -> Fraction | None:
    """Return the quantity at the end of the period.

    Traffic: as many bytes per slot as so far. Bandwidth: the method on the period so far, as the product
    estimates. None before the first slot.
    """
    past = sum(day.slots for day in days)
    if part.terms.method != TRAFFIC or not past:
        return quantity if past else None
    return quantity * sum(day.count(day.slots.end) for day in part.days) / past


def _prices(
    part: Part, area: str, values: Mapping[int, int], factor: Decimal, rules: Rules, book: Book | None
) -> _Prices | None:
    tiers = None if book is None else book.tiers(part.terms.method, area)
    if book is None or tiers is None:
        return None
    earlier = sum(values.get(slot, 0) for slot in _slots(part.earlier, part.effective.start))
    return _Prices(tiers, gigabytes(Fraction(earlier), rules), factor, book.decimals)


def _by_hour(days: Iterable[DayValues], rules: Rules) -> list[tuple[int, Fraction]]:
    """Return the GB of each hour that has traffic."""
    hours: dict[int, int] = {}
    for day in days:
        for slot, value in day.values.items():
            hours[slot // HOUR * HOUR] = hours.get(slot // HOUR * HOUR, 0) + value
    return [(hour, gigabytes(Fraction(total), rules)) for hour, total in sorted(hours.items())]


def _without_terms(period: BillingPeriod, usage: Usage) -> int:
    start, end, covered = period.start, min(period.end, usage.until), period.covered
    return sum(
        value
        for values in usage.values.values()
        for slot, value in values.items()
        if start <= slot < end and not _within(slot, covered)
    )


def _is_night(slot: int, part: Part) -> bool:
    return datetime.fromtimestamp(slot, tz=UTC).astimezone(part.zone).hour < _NIGHT_ENDS


def _within(slot: int, intervals: Iterable[Interval]) -> bool:
    return any(interval.start <= slot < interval.end for interval in intervals)


def _slots(intervals: Iterable[Interval], until: int) -> Iterable[int]:
    for interval in intervals:
        yield from range(interval.start, min(interval.end, until), BUCKET)
