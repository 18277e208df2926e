"""A slow oracle of statements: every figure anew from raw rows, slot by slot, as the rules on paper say it.

It shares no code with `wsedge_statistics.billing`: it walks over all slots around a period, asks the zone for
the local date of each, and ranks by counting how many values are larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from zoneinfo import ZoneInfo

from wsedge_statistics.contract import zone_named

FIVE = timedelta(minutes=5)
MONTHLY_FEE = {
    "Month95Bandwidth",
    "MonthAveragePeakBandwidth",
    "Month4thPeakBandwidth",
    "MonthAverage95Bandwidth",
    "Month95NightHalfBandwidth",
}


@dataclass(frozen=True)
class RawRow:
    """One row of one source."""

    domain: str
    area: str
    bucket: datetime
    sent: int
    received: int


@dataclass(frozen=True)
class InForce:
    """Terms with their exact instants."""

    cycle: str
    method: str
    zone: str
    start: datetime
    end: datetime | None

    @property
    def terms(self) -> tuple[str, str, str]:
        return (self.cycle, self.method, self.zone)


@dataclass(frozen=True)
class Expected:
    """What a line must show; `deciding` are the slots that may be named, by day for means."""

    n: int
    dropped: int
    figure: Fraction
    bytes: int
    factor: str
    quantity: Fraction
    counted_days: int
    amount: Decimal | None


def zone_of(name: str) -> ZoneInfo:
    found = zone_named(name)
    assert found is not None
    return found


def in_force(history: Sequence[InForce], slot: datetime) -> InForce | None:
    """Return the terms that a slot belongs to: those in force when it ends."""
    found = [t for t in history if t.start < slot + FIVE and (t.end is None or slot < t.end)]
    return found[-1] if found else None


def walk(first: date, last: date) -> Iterable[datetime]:
    """Yield all slots of UTC around some days."""
    slot = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=2)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=3)
    while slot < end:
        yield slot
        slot += FIVE


def round_half_up(value: Fraction, places: int) -> Decimal:
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def drop_and_take(values: Sequence[Fraction], dropped: int) -> Fraction:
    """Return the smallest value that at most `dropped` others surpass: the highest of what is left."""
    fitting = [v for v in set(values) if sum(other > v for other in values) <= dropped]
    return min(fitting, default=Fraction(0))


def expected_lines(
    history: Sequence[InForce],
    rows: Sequence[RawRow],
    name: str,
    *,
    both: bool = False,
    gb: int = 1024,
    overhead: Decimal = Decimal(1),
    count_idle: bool = True,
    until: datetime | None = None,
    tiers: Sequence[tuple[Fraction | None, Fraction]] | None = None,
) -> dict[tuple[str, str, str, str], Expected]:
    """Return the lines of a period by cycle, method, zone and area."""
    monthly = len(name) == 7
    start = date.fromisoformat(f"{name}-01" if monthly else name)
    end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1) if monthly else start
    slots = list(walk(start.replace(day=1), end))
    owner = {slot: in_force(history, slot) for slot in slots}
    lines = {}
    for terms in dict.fromkeys(t.terms for t in history):
        cycle, method, zone_name = terms
        of_day = method == "DailyPeakBandwidth" or (method == "Traffic" and cycle == "Daily")
        if of_day == monthly:
            continue
        zone = zone_of(zone_name)
        local = {slot: slot.astimezone(zone).date() for slot in slots}
        days: dict[date, list[datetime]] = {}
        for slot in slots:
            if start <= local[slot] <= end:
                days.setdefault(local[slot], []).append(slot)
        mine = {slot for slot in slots if (found := owner[slot]) is not None and found.terms == terms}
        effective = {day: own for day, own in days.items() if mine & set(own)}
        if not effective:
            continue
        areas = sorted(
            {
                row.area
                for row in rows
                if row.bucket in mine
                and start <= local[row.bucket] <= end
                and (until is None or row.bucket < until)
                and row.sent + (row.received if both else 0)
            }
        )
        for area in areas or ["unknown"]:
            value: dict[datetime, int] = {}
            for row in rows:
                if row.area == area:
                    value[row.bucket] = value.get(row.bucket, 0) + row.sent + (row.received if both else 0)
            table = {}
            over = {}
            for day, all_slots in effective.items():
                counted = [
                    slot
                    for slot in all_slots
                    if (slot in mine or owner[slot] is None) and (until is None or slot < until)
                ]
                if counted:
                    table[day] = {slot: value.get(slot, 0) if slot in mine else 0 for slot in counted}
                    over[day] = until is None or all_slots[-1] < until
            total = sum(sum(day.values()) for day in table.values())
            if not count_idle:
                table = {day: values for day, values in table.items() if any(values.values())}
            n, dropped, figure, used = measure(method, table, over, zone)
            quantity = (
                figure * Fraction(overhead) / gb**3
                if method == "Traffic"
                else figure * 8 / 300 * Fraction(overhead) / 1_000_000
            )
            if method in MONTHLY_FEE:
                kept = len(effective) if count_idle else len(table)
                factor = round_half_up(Fraction(kept, len(days)), 8)
            else:
                factor = Decimal("1.00000000")
            amount = None
            if tiers is not None:
                first_mine = min(slot for own in effective.values() for slot in own if slot in mine)
                before = sum(
                    count
                    for slot, count in value.items()
                    if slot < first_mine
                    and (found := owner.get(slot)) is not None
                    and found.method == "Traffic"
                    and slot.astimezone(zone).date() >= start.replace(day=1)
                )
                exact = fee(method, quantity, Fraction(before) * Fraction(overhead) / gb**3, tiers)
                amount = round_half_up(exact * Fraction(factor), 2)
            lines[*terms, area] = Expected(n, dropped, figure, total, str(factor), quantity, used, amount)
    return lines


def fee(
    method: str, quantity: Fraction, before: Fraction, tiers: Sequence[tuple[Fraction | None, Fraction]]
) -> Fraction:
    """Price as the tables of the product do: a sum of slices, or the tier that a peak reaches."""
    if method != "Traffic":
        return next(price for border, price in tiers if border is None or quantity <= border) * quantity
    total, low = Fraction(0), Fraction(0)
    for border, price in tiers:
        high = before + quantity if border is None else min(border, before + quantity)
        total += max(Fraction(0), high - max(low, before)) * price
        low = high if border is None else border
    return total


def measure(
    method: str, table: dict[date, dict[datetime, int]], over: dict[date, bool], zone: ZoneInfo
) -> tuple[int, int, Fraction, int]:
    """Return n, dropped, the figure in bytes and how many days were used."""
    everything = [Fraction(v) for day in table.values() for v in day.values()]
    n = len(everything)
    match method:
        case "Traffic":
            return n, 0, sum(everything, Fraction(0)), len(table)
        case "DailyPeakBandwidth":
            return n, 0, max(everything, default=Fraction(0)), len(table)
        case "Month95Bandwidth":
            dropped = int(Fraction(5, 100) * n)
            return n, dropped, drop_and_take(everything, dropped), len(table)
        case "Month95NightHalfBandwidth":
            halved = [
                Fraction(v, 2 if slot.astimezone(zone).hour < 8 else 1)
                for day in table.values()
                for slot, v in day.items()
            ]
            dropped = int(Fraction(5, 100) * n)
            return n, dropped, drop_and_take(halved, dropped), len(table)
        case "Month4thPeakBandwidth":
            peaks = sorted((max(day.values()) for day in table.values()), reverse=True)
            fourth = Fraction(peaks[3]) if len(peaks) >= 4 else Fraction(0)
            return len(peaks), min(3, len(peaks)), fourth, len(peaks)
    whole = [list(values.values()) for day, values in table.items() if over[day]]
    n = sum(len(values) for values in whole)
    if method == "MonthAveragePeakBandwidth":
        found, dropped = [Fraction(max(values)) for values in whole], 0
    else:
        floors = [len(values) * 5 // 100 for values in whole]
        found = [
            drop_and_take([Fraction(v) for v in values], floor)
            for values, floor in zip(whole, floors, strict=True)
        ]
        dropped = sum(floors)
    mean = sum(found, Fraction(0)) / len(found) if found else Fraction(0)
    return n, dropped, mean, len(whole)
