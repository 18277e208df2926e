"""A statement as JSON."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from support.statistics.billing import in_force, period, row, usage
from support.statistics.build import instant, seconds
from wsedge_statistics.billing.adjustments import Adjustment, LineKey, Standing
from wsedge_statistics.billing.document import (
    document_of,
    read_document,
    rules_of,
    spans_in,
    supplement_of,
)
from wsedge_statistics.billing.periods import period_named
from wsedge_statistics.billing.prices import Book, read_book
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.billing.statement import Late, compose
from wsedge_statistics.errors import StatementDamagedError

LONG_AGO = "2020-01-01T00:00:00Z"
BOOK = read_book(
    b'{"currency": "CNY", "prices": ['
    b'{"method": "DailyPeakBandwidth", "area": "CN", "tiers": [{"price": "0.6"}]},'
    b'{"method": "Traffic", "tiers": [{"price": 1}]}]}'
)
RULES = Rules(1000, "both", Decimal("1.10"), False)
DAY = period(
    "2026-06-02",
    in_force(LONG_AGO, "2026-06-02T00:00:00Z", method="Traffic"),
    in_force("2026-06-02T00:00:00Z", method="DailyPeakBandwidth", zone="UTC"),
)
ROWS = [row("2026-06-02T10:00:00Z", 37_500_000, received=1), row("2026-06-02T10:05:00Z", 5, area="EU")]
ADJUSTED = Adjustment(
    LineKey("2026-06-01", "Daily", "DailyPeakBandwidth", "UTC", "CN"),
    "Mbps",
    Standing(Decimal("1.5"), 7, Decimal("0.90"), "2026-06-01"),
    Standing(Decimal("2.5"), 9, Decimal("1.50"), "2026-06-02"),
)


def test_a_closed_statement_shows_all_that_its_figures_depend_on() -> None:
    """Each line has values, dropped, the deciding slot, units, factors, late bytes and completeness."""
    late = (Late("CN", seconds("2026-06-02T10:00:00Z"), 3, 0),)
    found = document_of(
        compose("team-a", DAY, usage(ROWS, both=True, late=late), RULES, BOOK),
        [ADJUSTED],
        closes_after=DAY.end + 86400,
        closed_at=DAY.end + 86460,
        at_closing=late,
    )
    shown = json.loads(found.model_dump_json())
    line = shown["lines"][0]
    assert line == {
        "period": "2026-06-02",
        "cycle": "Daily",
        "method": "DailyPeakBandwidth",
        "timeZone": "UTC",
        "area": "CN",
        "start": "2026-06-02T00:00:00Z",
        "end": "2026-06-03T00:00:00Z",
        "effectiveDays": 1,
        "countedDays": 1,
        "daysOfPeriod": 1,
        "values": 288,
        "dropped": 0,
        "deciding": [
            {
                "day": "2026-06-02",
                "start": "2026-06-02T10:00:00Z",
                "bytes": 37_500_001,
                "countedBytes": "37500001.0",
                "bitsPerSecond": "1000000.027",
            }
        ],
        "bytes": 37_500_001,
        "lateBytes": 3,
        "figureBytes": "37500001.000000000",
        "bitsPerSecond": "1000000.027",
        "gbBytes": 10**9,
        "direction": "both",
        "overheadFactor": "1.10",
        "quantity": "1.100000029",
        "unit": "Mbps",
        "factor": "1.00000000",
        "price": {
            "quantityBefore": "0.000000000",
            "shares": [{"quantity": "1.100000029", "price": "0.6", "fromHour": None}],
            "amount": "0.66",
        },
        "forecast": None,
        "completeUntil": "2026-06-03T00:00:00Z",
        "csv": "/v1/statements/2026-06-02?format=csv",
    }
    assert (shown["state"], shown["closedAt"], shown["closesAfter"]) == (
        "Closed",
        "2026-06-04T00:01:00Z",
        "2026-06-04T00:00:00Z",
    )
    assert (shown["currency"], shown["amount"], shown["unpricedLines"]) == ("CNY", "1.26", 1)
    assert shown["adjustments"][0]["amount"] == "0.60"
    assert shown["adjustments"][0]["lateBytes"] == 2
    assert shown["lateAtClosing"] == [{"area": "CN", "start": "2026-06-02T10:00:00Z", "bytes": 3}]


def test_a_stored_statement_reads_back_with_its_rules_and_terms() -> None:
    """The same rules and the same period follow from the text alone."""
    stored = document_of(compose("team-a", DAY, usage(ROWS), RULES, BOOK), [ADJUSTED], closes_after=DAY.end)
    found = read_document(stored.model_dump_json())
    assert found == stored
    assert rules_of(found) == RULES
    assert period_named(spans_in(found), "2026-06-02") == DAY


def test_terms_with_an_end_and_earlier_traffic_read_back() -> None:
    """The tiers of a month depend on earlier terms, which are stored too."""
    given = period(
        "2026-06",
        in_force(LONG_AGO, "2026-06-11T00:00:00Z", method="Traffic"),
        in_force("2026-06-11T00:00:00Z", "2026-06-12T00:00:00Z"),
        in_force("2026-06-12T00:00:00Z", method="Traffic", zone="Asia/Shanghai"),
    )
    stored = document_of(compose("team-a", given, usage([]), Rules(), None), [], closes_after=given.end)
    assert period_named(spans_in(stored), "2026-06") == given


def test_an_open_statement_says_what_its_forecast_is() -> None:
    """Traffic goes on as so far; the others are the method on the period so far."""
    rows = [row("2026-06-01T00:00:00Z", 3 * 2**30)]
    now = instant("2026-06-02T12:00:00Z")
    bases = {}
    for method in ("Traffic", "Month95Bandwidth"):
        given = period("2026-06", in_force(LONG_AGO, method=method))
        book = BOOK if method == "Traffic" else None
        shown = document_of(
            compose("team-a", given, usage(rows, until=now), Rules(), book), [], closes_after=given.end
        )
        forecast = shown.lines[0].forecast
        assert forecast is not None
        bases[method] = (format(forecast.quantity, "f"), forecast.amount, forecast.basis)
        assert (shown.state, shown.closedAt) == ("Open", None)
    assert bases == {
        "Traffic": (
            "60.000000000",
            Decimal("60.00"),
            "The rest of the period has as many bytes per five minutes as the period so far.",
        ),
        "Month95Bandwidth": (
            "0.000000000",
            None,
            "The method applied to the month so far; means leave out the current day.",
        ),
    }


@pytest.mark.parametrize(("book", "amount"), [(BOOK, Decimal("0.60")), (None, None)])
def test_a_supplement_has_adjustments_alone(book: Book | None, amount: Decimal | None) -> None:
    """It is named after the last statement, owes the differences, and reads back."""
    last = document_of(compose("team-a", DAY, usage(ROWS), RULES, book), [], closes_after=DAY.end)
    first = supplement_of(last, [ADJUSTED], number=1, closed_at=DAY.end + 90_000)
    second = supplement_of(first, [ADJUSTED], number=2, closed_at=DAY.end + 190_000)
    assert [first.period, second.period] == ["2026-06-02.1", "2026-06-02.2"]
    assert (first.lines, len(first.adjustments), first.amount) == ((), 1, amount)
    assert read_document(second.model_dump_json()) == second


def test_without_a_price_book_there_is_no_money() -> None:
    """No currency, no amount, and no line that lacks a price."""
    found = document_of(compose("team-a", DAY, usage(ROWS), Rules(), None), [], closes_after=DAY.end)
    assert (found.currency, found.amount, found.unpricedLines) == (None, None, 0)


def test_an_adjustment_without_a_price_adds_nothing_to_the_amount() -> None:
    """Figures that never had a price change no amount."""
    unpriced = Adjustment(
        ADJUSTED.key,
        "Mbps",
        Standing(Decimal(1), 7, None, "2026-06-01"),
        Standing(Decimal(2), 9, None, "2026-06-02"),
    )
    found = document_of(compose("team-a", DAY, usage(ROWS), Rules(), BOOK), [unpriced], closes_after=DAY.end)
    assert (found.amount, found.adjustments[0].amount) == (Decimal("0.60"), None)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}'])
def test_a_damaged_statement_is_told(text: str) -> None:
    """A stored text that is no statement is an error with its reason."""
    with pytest.raises(StatementDamagedError, match="a stored statement cannot be read"):
        read_document(text)
