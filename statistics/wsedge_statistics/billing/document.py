"""A statement as JSON: what is stored when a period closes, and what answers show. Pure.

Decimals are text, so that no reader rounds them. A closed document has what its figures depend on besides the
five-minute values: terms, rules and prices. So late counts can be compared with it whatever changes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema

from wsedge_statistics.billing import adjustments
from wsedge_statistics.billing.adjustments import Adjustment, LineKey, Standing
from wsedge_statistics.billing.methods import DAILY_PEAK, TRAFFIC, Deciding
from wsedge_statistics.billing.periods import FOREVER, Interval, Span, Terms
from wsedge_statistics.billing.prices import Book, Share
from wsedge_statistics.billing.rules import QUANTITY_PLACES, Rules, bits_per_second, half_up
from wsedge_statistics.billing.statement import Charge, Late, Line, Statement
from wsedge_statistics.contract import MeteringMethod
from wsedge_statistics.errors import StatementDamagedError
from wsedge_statistics.numbers.ranges import instant_text

VERSION: Final = 1
_RATE_PLACES: Final = 3
_FORECAST: Final = {
    TRAFFIC: "The rest of the period has as many bytes per five minutes as the period so far.",
    DAILY_PEAK: "The highest value of the day so far.",
}
_FORECAST_OF_MONTH: Final = "The method applied to the month so far; means leave out the current day."

_Instant = Annotated[
    datetime,
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "example": "2026-11-22T10:05:00Z"}),
]
# Plain notation: text such as 0E-9 is a number that people do not read.
_Number = Annotated[
    Decimal,
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "example": "109.440000000"}),
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DecidingSlot(_Model):
    """A slot that decided a figure."""

    day: date
    start: _Instant
    bytes: int
    countedBytes: _Number = Field(
        description="half of the bytes for a night slot of Month95NightHalfBandwidth"
    )
    bitsPerSecond: _Number


class PricedShare(_Model):
    """The part of a quantity that one price applies to."""

    quantity: _Number
    price: _Number
    fromHour: _Instant | None = Field(None, description="the hour in which the tier was entered (Traffic)")


class Price(_Model):
    """How an amount was computed: shares times prices times factor, rounded once, half up."""

    quantityBefore: _Number = Field(description="GB of the same month before, which fill the lower tiers")
    shares: tuple[PricedShare, ...]
    amount: _Number


class Forecast(_Model):
    """What is expected at the end of the period."""

    quantity: _Number
    amount: _Number | None
    basis: str


class StatementLine(_Model):
    """A method in one billing area, with everything that the figure was computed from."""

    period: str
    cycle: Literal["Daily", "Monthly"]
    method: MeteringMethod
    timeZone: str
    area: str
    start: _Instant = Field(description="the first slot of these terms in the period")
    end: _Instant
    effectiveDays: int = Field(description="natural days on which the terms were in force")
    countedDays: int = Field(description="days that the method used")
    daysOfPeriod: int
    values: int = Field(description="five-minute values that were ranked or summed, zeros included")
    dropped: int
    deciding: tuple[DecidingSlot, ...] = Field(
        description="the slot that decided, or for a mean one of each day; none where that value is 0"
    )
    bytes: int = Field(description="all bytes of the line's slots")
    lateBytes: int = Field(description="of these, bytes that came in late, before the statement closed")
    figureBytes: _Number = Field(description="the figure in bytes: in all (Traffic) or of one slot")
    bitsPerSecond: _Number | None = Field(description="figureBytes * 8 / 300; none for Traffic")
    gbBytes: int = Field(description="bytes of a GB")
    direction: Literal["sent", "both"]
    overheadFactor: _Number
    quantity: _Number = Field(description="the billed quantity, overhead included")
    unit: Literal["GB", "Mbps"]
    factor: _Number = Field(description="the part of the month that the fee is for")
    price: Price | None = Field(None, description="none without a price for this line")
    forecast: Forecast | None = Field(None, description="only of a period that is not over")
    completeUntil: _Instant
    csv: str = Field(description="the path of all five-minute values")


class StandingFigure(_Model):
    """The figure of a line, and the statement that says so."""

    statedIn: str
    quantity: _Number
    bytes: int
    amount: _Number | None


class AdjustmentLine(_Model):
    """A closed line whose figure changed: the closed figure, the new one, and the difference."""

    period: str
    cycle: Literal["Daily", "Monthly"]
    method: MeteringMethod
    timeZone: str
    area: str
    unit: Literal["GB", "Mbps"]
    closed: StandingFigure
    new: StandingFigure
    lateBytes: int
    amount: _Number | None = Field(description="new amount minus closed amount")


class TermsInForce(_Model):
    """Terms that the statement depends on, with the slots that belong to them."""

    cycle: Literal["Daily", "Monthly"]
    method: MeteringMethod
    timeZone: str
    start: _Instant
    end: _Instant | None


class RulesInForce(_Model):
    """The settings that the figures depend on."""

    gbBase: Literal[1024, 1000]
    direction: Literal["sent", "both"]
    overheadFactor: _Number
    countIdleDays: bool


class LateRow(_Model):
    """Late bytes that came in within the five minutes of the closing, and are in the statement."""

    area: str
    start: _Instant
    bytes: int


class StatementDocument(_Model):
    """A statement. A closed one never changes; what comes in later is an adjustment of a later statement."""

    version: Literal[1] = VERSION
    account: str
    period: str
    state: Literal["Open", "Closed"]
    start: _Instant
    end: _Instant
    closedAt: _Instant | None
    closesAfter: _Instant = Field(description="the period's end and the grace for late counts")
    completeUntil: _Instant
    terms: tuple[TermsInForce, ...]
    rules: RulesInForce
    prices: Book | None
    lines: tuple[StatementLine, ...]
    adjustments: tuple[AdjustmentLine, ...]
    currency: str | None
    amount: _Number | None = Field(
        description="lines with a price and adjustments; none without a price book"
    )
    unpricedLines: int = Field(description="lines that the price book has no price for")
    bytesWithoutTerms: int = Field(description="bytes while no terms were in force; they are not billed")
    lateAtClosing: tuple[LateRow, ...] = ()


def document_of(
    statement: Statement,
    changed: Sequence[Adjustment],
    *,
    closes_after: int,
    closed_at: int | None = None,
    at_closing: Iterable[Late] = (),
) -> StatementDocument:
    """Return a statement as a document; `closed_at` None is an open one."""
    period, book = statement.period, statement.book
    lines = tuple(_line(line, statement.rules) for line in statement.lines)
    return StatementDocument(
        account=statement.account,
        period=period.name,
        state="Open" if closed_at is None else "Closed",
        start=_at(period.start),
        end=_at(period.end),
        closedAt=None if closed_at is None else _at(closed_at),
        closesAfter=_at(closes_after),
        completeUntil=_at(min(statement.until, period.end)),
        terms=tuple(_terms(span) for span in period.spans),
        rules=_rules(statement.rules),
        prices=book,
        lines=lines,
        adjustments=tuple(_adjustment(each) for each in changed),
        currency=None if book is None else book.currency,
        amount=None if book is None else _amount(lines, changed),
        unpricedLines=0 if book is None else sum(line.price is None for line in lines),
        bytesWithoutTerms=statement.bytes_without_terms,
        lateAtClosing=tuple(LateRow(area=e.area, start=_at(e.slot), bytes=e.bytes) for e in at_closing),
    )


def supplement_of(
    last: StatementDocument, changed: Sequence[Adjustment], *, number: int, closed_at: int
) -> StatementDocument:
    """Return a statement of adjustments alone, after the last one of an account whose terms have ended.

    There is no later period whose statement could have them.
    """
    return last.model_copy(
        update={
            "period": f"{last.period.partition('.')[0]}.{number}",
            "closedAt": _at(closed_at),
            "terms": (),
            "lines": (),
            "adjustments": tuple(_adjustment(each) for each in changed),
            "amount": None if last.prices is None else _amount((), changed),
            "unpricedLines": 0,
            "bytesWithoutTerms": 0,
            "lateAtClosing": (),
        }
    )


def read_document(text: str) -> StatementDocument:
    """Parse a stored statement. Raises StatementDamagedError."""
    try:
        return StatementDocument.model_validate_json(text)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise StatementDamagedError(f"a stored statement cannot be read: {reason}") from None


def rules_of(document: StatementDocument) -> Rules:
    """Return the rules that a document was computed with."""
    rules = document.rules
    return Rules(rules.gbBase, rules.direction, rules.overheadFactor, rules.countIdleDays)


def spans_in(document: StatementDocument) -> tuple[Span, ...]:
    """Return the terms that a document was computed with."""
    return tuple(
        Span(
            Terms(each.cycle, each.method, each.timeZone),
            Interval(_seconds(each.start), FOREVER if each.end is None else _seconds(each.end)),
        )
        for each in document.terms
    )


def standing_in(documents: Iterable[StatementDocument]) -> dict[LineKey, Standing]:
    """Return the figures that stand after closed statements, which are given in the order of closing."""
    standing: dict[LineKey, Standing] = {}
    for document in documents:
        for line in document.lines:
            amount = None if line.price is None else line.price.amount
            standing[_key(line)] = Standing(line.quantity, line.bytes, amount, document.period)
        for changed in document.adjustments:
            new = changed.new
            standing[_key(changed)] = Standing(new.quantity, new.bytes, new.amount, new.statedIn)
    return standing


def _key(line: StatementLine | AdjustmentLine) -> LineKey:
    return LineKey(line.period, line.cycle, line.method, line.timeZone, line.area)


def _line(line: Line, rules: Rules) -> StatementLine:
    terms, figure = line.part.terms, line.figure
    rate = None if terms.method == TRAFFIC else half_up(bits_per_second(figure.bytes), _RATE_PLACES)
    return StatementLine.model_validate(
        {
            "period": line.period,
            "cycle": terms.cycle,
            "method": terms.method,
            "timeZone": terms.zone,
            "area": line.area,
            "start": _at(line.part.effective.start),
            "end": _at(line.part.effective.end),
            "effectiveDays": len(line.part.days),
            "countedDays": figure.days,
            "daysOfPeriod": line.part.natural_days,
            "values": figure.n,
            "dropped": figure.dropped,
            "deciding": tuple(_deciding(each) for each in figure.deciding),
            "bytes": line.bytes,
            "lateBytes": line.late_bytes,
            "figureBytes": _shown(figure.bytes),
            "bitsPerSecond": rate,
            "gbBytes": rules.gb_base**3,
            "direction": rules.direction,
            "overheadFactor": rules.overhead,
            "quantity": _shown(line.quantity),
            "unit": line.unit,
            "factor": line.factor,
            "price": None if line.charge is None else _price(line.charge),
            "forecast": _forecast(line),
            "completeUntil": _at(line.complete_until),
            "csv": f"/v1/statements/{line.period}?format=csv",
        }
    )


def _deciding(slot: Deciding) -> DecidingSlot:
    return DecidingSlot(
        day=slot.date,
        start=_at(slot.slot),
        bytes=slot.bytes,
        countedBytes=half_up(slot.counted, 1),
        bitsPerSecond=half_up(bits_per_second(slot.counted), _RATE_PLACES),
    )


def _price(charge: Charge) -> Price:
    return Price(
        quantityBefore=_shown(charge.before),
        shares=tuple(_share(share) for share in charge.shares),
        amount=charge.amount,
    )


def _share(share: Share) -> PricedShare:
    hour = None if share.hour is None else _at(share.hour)
    return PricedShare(quantity=_shown(share.quantity), price=share.price, fromHour=hour)


def _forecast(line: Line) -> Forecast | None:
    if line.forecast is None:
        return None
    charge = line.forecast_charge
    return Forecast(
        quantity=_shown(line.forecast),
        amount=None if charge is None else charge.amount,
        basis=_FORECAST.get(line.part.terms.method, _FORECAST_OF_MONTH),
    )


def _adjustment(changed: Adjustment) -> AdjustmentLine:
    key = changed.key
    return AdjustmentLine.model_validate(
        {
            "period": key.period,
            "cycle": key.cycle,
            "method": key.method,
            "timeZone": key.zone,
            "area": key.area,
            "unit": changed.unit,
            "closed": _standing(changed.closed),
            "new": _standing(changed.new),
            "lateBytes": changed.late_bytes,
            "amount": changed.amount,
        }
    )


def _standing(figure: Standing) -> StandingFigure:
    return StandingFigure(
        statedIn=figure.stated_in, quantity=figure.quantity, bytes=figure.bytes, amount=figure.amount
    )


def _amount(lines: Iterable[StatementLine], changed: Iterable[adjustments.Adjustment]) -> Decimal:
    priced = (line.price.amount for line in lines if line.price is not None)
    owed = (each.amount for each in changed if each.amount is not None)
    return sum(priced, Decimal(0)) + sum(owed, Decimal(0))


def _terms(span: Span) -> TermsInForce:
    terms, slots = span.terms, span.slots
    return TermsInForce.model_validate(
        {
            "cycle": terms.cycle,
            "method": terms.method,
            "timeZone": terms.zone,
            "start": _at(slots.start),
            "end": None if slots.end == FOREVER else _at(slots.end),
        }
    )


def _rules(rules: Rules) -> RulesInForce:
    return RulesInForce.model_validate(
        {
            "gbBase": rules.gb_base,
            "direction": rules.direction,
            "overheadFactor": rules.overhead,
            "countIdleDays": rules.count_idle_days,
        }
    )


def _shown(value: Fraction) -> Decimal:
    return half_up(value, QUANTITY_PLACES)


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
