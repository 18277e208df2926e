"""Builders for statements: terms in force, raw rows, and what a ledger would answer about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from support.statistics.bill_oracle import InForce, RawRow
from support.statistics.build import instant
from wsedge_statistics.billing.periods import BillingPeriod, Span, period_named, spans_of
from wsedge_statistics.billing.rules import AreaValues
from wsedge_statistics.billing.statement import Late, Usage
from wsedge_statistics.contract import Period

LONG_AFTER = 1 << 40


def in_force(
    start: str,
    end: str | None = None,
    *,
    method: str = "Month95Bandwidth",
    cycle: str | None = None,
    zone: str = "UTC",
) -> InForce:
    natural = "Daily" if method == "DailyPeakBandwidth" else "Monthly"
    return InForce(cycle or natural, method, zone, instant(start), None if end is None else instant(end))


def contract_period(terms: InForce) -> Period:
    document: dict[str, Any] = {
        "terms": {"billingCycle": terms.cycle, "meteringMethod": terms.method, "timeZone": terms.zone},
        "start": terms.start,
        "end": terms.end,
    }
    return Period.model_validate(document)


def spans(*history: InForce) -> tuple[Span, ...]:
    return spans_of(contract_period(terms) for terms in history)


def period(name: str, *history: InForce) -> BillingPeriod:
    found = period_named(spans(*history), name)
    assert found is not None
    return found


def row(start: str, sent: int, *, area: str = "CN", received: int = 0, domain: str = "a.example") -> RawRow:
    return RawRow(domain, area, instant(start), sent, received)


def values_of(rows: Iterable[RawRow], *, both: bool = False) -> AreaValues:
    found: AreaValues = {}
    for each in rows:
        slots = found.setdefault(each.area, {})
        at = int(each.bucket.timestamp())
        slots[at] = slots.get(at, 0) + each.sent + (each.received if both else 0)
    return found


def usage(
    rows: Sequence[RawRow], *, until: datetime | None = None, both: bool = False, late: tuple[Late, ...] = ()
) -> Usage:
    end = LONG_AFTER if until is None else int(until.timestamp())
    return Usage(values_of(rows, both=both), end, late)
