"""What late counts change about closed statements."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from support.statistics.bill_oracle import RawRow
from support.statistics.billing import in_force, period, row, usage
from wsedge_statistics.billing.adjustments import Adjustment, LineKey, Standing, adjust
from wsedge_statistics.billing.document import StatementDocument, document_of, read_document, standing_in
from wsedge_statistics.billing.prices import read_book
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.billing.statement import Statement, compose

LONG_AGO = "2020-01-01T00:00:00Z"
GB = 2**30
BOOK = read_book(
    b'{"currency": "CNY", "prices": ['
    b'{"method": "Traffic", "tiers": [{"upTo": 10, "price": 2}, {"price": 1}]}]}'
)
KEY = LineKey("2026-06-01", "Daily", "Traffic", "UTC", "CN")


def bill(name: str, *rows: RawRow) -> Statement:
    daily = in_force(LONG_AGO, method="Traffic", cycle="Daily")
    return compose("team-a", period(name, daily), usage(rows), Rules(), BOOK)


def close(found: Statement, changed: Sequence[Adjustment] = ()) -> StatementDocument:
    text = document_of(found, changed, closes_after=found.period.end, closed_at=found.period.end + 86400)
    return read_document(text.model_dump_json())


def figure(quantity: str, byte_count: int, amount: str | None, stated_in: str) -> Standing:
    return Standing(Decimal(quantity), byte_count, None if amount is None else Decimal(amount), stated_in)


def test_late_counts_name_the_closed_figure_and_the_new_one() -> None:
    """One GB that came in late after closing: a line with both figures and the difference."""
    closed = close(bill("2026-06-01", row("2026-06-01T00:00:00Z", GB)))
    later = bill("2026-06-01", row("2026-06-01T00:00:00Z", GB), row("2026-06-01T00:05:00Z", GB))
    (found,) = adjust(standing_in([closed]), later.lines, stated_in="2026-06-03")
    assert found == Adjustment(
        KEY,
        "GB",
        figure("1.000000000", GB, "2.00", "2026-06-01"),
        figure("2.000000000", 2 * GB, "4.00", "2026-06-03"),
    )
    assert (found.late_bytes, found.amount) == (GB, Decimal("2.00"))


def test_an_adjustment_stands_until_the_next_one() -> None:
    """Further late counts are compared with the last adjustment, not with the closed figure again."""
    first = row("2026-06-01T00:00:00Z", GB)
    closed = close(bill("2026-06-01", first))
    changed = adjust(
        standing_in([closed]),
        bill("2026-06-01", first, row("2026-06-01T00:05:00Z", GB)).lines,
        stated_in="2026-06-03",
    )
    second = close(bill("2026-06-03"), changed)
    standing = {
        key: each for key, each in standing_in([closed, second]).items() if key.period == "2026-06-01"
    }
    assert standing == {KEY: figure("2.000000000", 2 * GB, "4.00", "2026-06-03")}
    again = adjust(
        standing, bill("2026-06-01", first, row("2026-06-01T00:05:00Z", 3 * GB)).lines, stated_in="2026-06-04"
    )
    assert [(each.closed.stated_in, each.amount) for each in again] == [("2026-06-03", Decimal("4.00"))]


def test_nothing_late_adjusts_nothing() -> None:
    """The same values give the same figures, also through the stored text."""
    found = bill("2026-06-01", row("2026-06-01T00:00:00Z", GB // 3))
    assert adjust(standing_in([close(found)]), found.lines, stated_in="2026-06-03") == []


def test_a_late_area_was_nothing_before() -> None:
    """A line of another area begins at zero, and the line of the idle day is no difference."""
    closed = close(bill("2026-06-01"))
    later = bill("2026-06-01", row("2026-06-01T00:00:00Z", GB, area="EU"))
    (found,) = adjust(standing_in([closed]), later.lines, stated_in="2026-06-03")
    assert (found.key.area, found.closed) == ("EU", figure("0E-9", 0, "0.00", "2026-06-01"))


def test_a_line_that_is_no_more_becomes_nothing() -> None:
    """Figures that fall to zero are paid back."""
    closed = close(bill("2026-06-01", row("2026-06-01T00:00:00Z", GB)))
    found = adjust(standing_in([closed]), bill("2026-06-01").lines, stated_in="2026-06-03")
    assert [(each.key.area, each.new.bytes, each.amount) for each in found] == [("CN", 0, Decimal("-2.00"))]


def test_late_counts_of_an_earlier_day_move_the_tiers_of_a_later_one() -> None:
    """A day's figure stays and its amount changes, since the day before filled the lower tier."""
    today = row("2026-06-02T00:00:00Z", 5 * GB)
    closed = close(bill("2026-06-02", today))
    later = bill("2026-06-02", today, row("2026-06-01T00:00:00Z", 8 * GB))
    (found,) = adjust(standing_in([closed]), later.lines, stated_in="2026-06-04")
    assert (found.late_bytes, found.amount) == (0, Decimal("-3.00"))


def test_late_bytes_that_change_no_percentile_are_told() -> None:
    """The figure stays, the bytes grew: the line says so, with nothing to pay."""
    rows = [row("2026-06-01T00:00:00Z", 5)]
    monthly = period("2026-06", in_force(LONG_AGO))
    closed = close(compose("team-a", monthly, usage(rows), Rules(), None))
    later = compose("team-a", monthly, usage([*rows, row("2026-06-02T00:00:00Z", 7)]), Rules(), None)
    (found,) = adjust(standing_in([closed]), later.lines, stated_in="2026-07")
    assert (found.late_bytes, found.new.quantity, found.amount) == (7, found.closed.quantity, None)
