"""A statement as an HTML page to print: text in tables, no script, every value escaped."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Final

from wsedge_statistics.billing.document import (
    AdjustmentLine,
    DecidingSlot,
    StandingFigure,
    StatementDocument,
    StatementLine,
)
from wsedge_statistics.numbers.ranges import instant_text

_STYLE: Final = """
body { font: 11pt/1.4 sans-serif; margin: 2em auto; max-width: 60em; color: #000; background: #fff; }
table { border-collapse: collapse; width: 100%; margin: 0 0 1.5em; }
th, td { border: 1px solid #888; padding: .25em .5em; text-align: left; vertical-align: top; }
th { width: 16em; font-weight: normal; background: #eee; }
caption { text-align: left; font-weight: bold; padding: .5em 0; }
@media print { body { margin: 0; } table { page-break-inside: avoid; } }
"""


def page_of(document: StatementDocument) -> str:
    """Return the page of a statement."""
    title = f"Statement {document.period}, account {document.account}"
    parts = [
        _table("Statement", _head(document)),
        *(
            _table(f"{line.method}, area {line.area}", _line(line, document.currency))
            for line in document.lines
        ),
        *(
            _table(f"Adjustment of {each.period}, area {each.area}", _adjustment(each, document.currency))
            for each in document.adjustments
        ),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def _table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>\n" for name, value in rows)
    return f"<table>\n<caption>{escape(caption)}</caption>\n{cells}</table>\n"


def _head(document: StatementDocument) -> list[tuple[str, str]]:
    closed = document.closedAt
    rows = [
        ("Account", document.account),
        ("Period", f"{document.period} ({_span(document.start, document.end)})"),
        ("State", document.state if closed is None else f"{document.state} at {instant_text(closed)}"),
        ("Counts complete until", instant_text(document.completeUntil)),
        ("GB", f"{document.rules.gbBase}³ bytes"),
        ("Direction", document.rules.direction),
        ("Overhead factor", _number(document.rules.overheadFactor)),
        ("Idle days", "count" if document.rules.countIdleDays else "do not count"),
        ("Bytes without terms", f"{document.bytesWithoutTerms} (not billed)"),
    ]
    if document.amount is not None:
        rows.append(("Amount", f"{_number(document.amount)} {document.currency}"))
        rows.append(("Lines without a price", str(document.unpricedLines)))
    return rows


def _line(line: StatementLine, currency: str | None) -> list[tuple[str, str]]:
    rows = [
        ("Terms", f"{line.cycle}, {line.method}, {line.timeZone}"),
        ("In force", _span(line.start, line.end)),
        ("Days", f"{line.effectiveDays} effective of {line.daysOfPeriod}, {line.countedDays} counted"),
        ("Values", f"{line.values}, of which {line.dropped} dropped"),
        ("Deciding slot", "; ".join(_slot(slot) for slot in line.deciding) or "none"),
        ("Bytes", f"{line.bytes}, of which {line.lateBytes} late"),
        ("Figure in bytes", _number(line.figureBytes)),
        ("Bits per second", "" if line.bitsPerSecond is None else _number(line.bitsPerSecond)),
        ("Billed quantity", f"{_number(line.quantity)} {line.unit}"),
        ("Factor", _number(line.factor)),
        ("Counts complete until", instant_text(line.completeUntil)),
        ("All values", line.csv),
    ]
    if line.price is not None:
        for share in line.price.shares:
            where = "" if share.fromHour is None else f", from {instant_text(share.fromHour)}"
            rows.append(("Priced", f"{_number(share.quantity)} {line.unit} at {_number(share.price)}{where}"))
        rows.append(("Amount", _money(line.price.amount, currency)))
    if line.forecast is not None:
        money = "" if line.forecast.amount is None else f", {_money(line.forecast.amount, currency)}"
        rows.append(
            ("Forecast", f"{_number(line.forecast.quantity)} {line.unit}{money}. {line.forecast.basis}")
        )
    return rows


def _adjustment(line: AdjustmentLine, currency: str | None) -> list[tuple[str, str]]:
    return [
        ("Terms", f"{line.cycle}, {line.method}, {line.timeZone}"),
        ("Closed figure", _figure(line.closed, line.unit, currency)),
        ("New figure", _figure(line.new, line.unit, currency)),
        ("Late bytes", str(line.lateBytes)),
        ("Difference", "" if line.amount is None else _money(line.amount, currency)),
    ]


def _figure(figure: StandingFigure, unit: str, currency: str | None) -> str:
    money = "" if figure.amount is None else f", {_money(figure.amount, currency)}"
    return f"{_number(figure.quantity)} {unit}, {figure.bytes} bytes{money} (statement {figure.statedIn})"


def _slot(slot: DecidingSlot) -> str:
    return f"{instant_text(slot.start)}: {slot.bytes} bytes, {_number(slot.bitsPerSecond)} bit/s"


def _money(amount: Decimal, currency: str | None) -> str:
    return f"{_number(amount)} {currency or ''}".strip()


def _span(start: datetime, end: datetime) -> str:
    return f"{instant_text(start)} to {instant_text(end)}"


def _number(value: Decimal) -> str:
    return format(value, "f")
