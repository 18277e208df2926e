"""What the ledger has of an account's period, and what late counts change about its closed statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.billing.adjustments import Adjustment, adjust
from wsedge_statistics.billing.document import (
    StatementDocument,
    rules_of,
    spans_in,
    standing_in,
)
from wsedge_statistics.billing.periods import BillingPeriod, period_named
from wsedge_statistics.billing.rules import AreaValues, Rules
from wsedge_statistics.billing.statement import Late, Line, Usage, compose
from wsedge_statistics.errors import LedgerBusyError
from wsedge_statistics.ledger import LateCounts, Ledger
from wsedge_statistics.numbers.granularity import REACH, Granularity
from wsedge_statistics.numbers.series import BUCKET, Dimension, Selection

# A tenant's relays name the areas. Each costs a statement 9,000 values a month, so that further ones are
# added up: an installation has about ten.
MOST_AREAS: Final = 32
FURTHER_AREAS: Final = "other"
# Late counts are accepted as long as five-minute rows are kept; the next closing is a month, the grace and
# differing clocks later.
LATE_REACH: Final = REACH[Granularity.FIVE_MINUTES] + timedelta(days=31 + 31)
_ATTEMPTS: Final = 5


def read_usage(ledger: Ledger, key: str, period: BillingPeriod, rules: Rules, until: int) -> Usage:
    """Return an account's values and late counts of a period, from one state of the ledger.

    Both are read apart: the values are taken once no late count came in beside them. Raises LedgerError.
    """
    start, end = period.values_from, period.end
    late = ledger.late(key, start, end)
    for _ in range(_ATTEMPTS):
        values = _values(ledger, key, start, end, rules)
        again = ledger.late(key, start, end)
        if again == late:
            break
        late = again
    else:
        raise LedgerBusyError("late counts come in all the time; try again")
    named = values.keys()
    return Usage(
        values,
        until,
        tuple(
            Late(
                each.area if each.area in named else FURTHER_AREAS,
                each.bucket,
                each.sent + (each.received if rules.direction == "both" else 0),
                each.received_at,
            )
            for each in late
        ),
    )


def _values(ledger: Ledger, key: str, start: int, end: int, rules: Rules) -> AreaValues:
    found: AreaValues = {}
    selection = Selection(start=start, end=end, account=key)
    for value in ledger.values(selection, (Dimension.AREA,)):
        (area,) = value.group
        if area not in found and len(found) >= MOST_AREAS:
            area = FURTHER_AREAS
        slots = found.setdefault(area, {})
        byte_count = value.sent + (value.received if rules.direction == "both" else 0)
        slots[value.bucket] = slots.get(value.bucket, 0) + byte_count
    return found


def at_closing(usage: Usage, document: StatementDocument) -> Usage:
    """Return the usage that a closed statement was computed from: without what came in after its closing."""
    closing = slot_of(document.closedAt or document.closesAfter)
    had = {(row.area, int(row.start.timestamp())): row.bytes for row in document.lateAtClosing}
    values = {area: dict(slots) for area, slots in usage.values.items()}
    for late in usage.late:
        if late.received_at >= closing and late.slot in values.get(late.area, {}):
            kept = had.get((late.area, late.slot), 0) if late.received_at == closing else 0
            values[late.area][late.slot] -= late.bytes - kept
    return Usage(values, usage.until, tuple(late for late in usage.late if late.received_at <= closing))


def pending_adjustments(
    ledger: Ledger, key: str, documents: Sequence[StatementDocument], *, stated_in: str, now: datetime
) -> list[Adjustment]:
    """Return what late counts since the last closing changed about closed statements.

    `documents` are all of the account, in the order of closing. Raises LedgerError or BillingError.
    """
    fresh = [late.bucket for late in late_since_closing(ledger, key, documents, now)]
    standing = standing_in(documents)
    found: list[Adjustment] = []
    for document, period in _recent(documents, now):
        if any(period.values_from <= slot < period.end for slot in fresh):
            stands = {line: each for line, each in standing.items() if line.period == period.name}
            found += adjust(stands, _computed(ledger, key, document, period), stated_in=stated_in)
    return found


def late_since_closing(
    ledger: Ledger, key: str, documents: Sequence[StatementDocument], now: datetime
) -> list[LateCounts]:
    """Return the late counts of closed periods that came in since the last closing. Raises LedgerError."""
    periods = [period for _, period in _recent(documents, now)]
    if not periods:
        return []
    since = slot_of(documents[-1].closedAt or documents[-1].closesAfter)
    first = min(period.values_from for period in periods)
    last = max(period.end for period in periods)
    return [late for late in ledger.late(key, first, last) if late.received_at >= since]


def _recent(
    documents: Sequence[StatementDocument], now: datetime
) -> list[tuple[StatementDocument, BillingPeriod]]:
    """Return the statements that late counts can still change, with their periods; supplements have none."""
    return [
        (document, period)
        for document in documents
        if document.end > now - LATE_REACH
        and (period := period_named(spans_in(document), document.period)) is not None
    ]


def _computed(ledger: Ledger, key: str, document: StatementDocument, period: BillingPeriod) -> Sequence[Line]:
    """Return the lines of a closed period as they are now, by the rules and prices it was closed with."""
    rules = rules_of(document)
    usage = read_usage(ledger, key, period, rules, period.end)
    return compose(document.account, period, usage, rules, document.prices).lines


def slot_of(instant: datetime) -> int:
    """Return the start of the slot that an instant lies in, UTC seconds."""
    return int(instant.timestamp()) // BUCKET * BUCKET
