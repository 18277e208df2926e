"""Statements: lines by terms and area, and the same figures as a slow oracle finds in the raw rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.statistics.bill_oracle import InForce, RawRow, expected_lines
from support.statistics.billing import LONG_AFTER, in_force, period, row, spans, usage
from support.statistics.build import instant, seconds
from wsedge_statistics.billing.periods import names_between, period_named
from wsedge_statistics.billing.prices import Book, read_book
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.billing.statement import Late, Line, Statement, compose

LONG_AGO = "2020-01-01T00:00:00Z"
GB = 2**30
BOOK = read_book(
    b'{"currency": "CNY", "prices": ['
    b'{"method": "Traffic", "tiers": [{"upTo": 10240, "price": 0.24}, {"price": 0.23}]},'
    b'{"method": "DailyPeakBandwidth", "tiers": [{"upTo": 500, "price": 0.60}, {"price": 0.58}]},'
    b'{"method": "Month95Bandwidth", "area": "CN", "tiers": [{"price": 15}]}]}'
)


def statement(
    name: str, *history: InForce, rows: Sequence[RawRow] = (), book: Book | None = None, **more: Any
) -> Statement:
    rules = more.pop("rules", Rules())
    return compose(
        "team-a", period(name, *history), usage(rows, both=rules.direction == "both", **more), rules, book
    )


def only(found: Statement) -> Line:
    (line,) = found.lines
    return line


def test_areas_are_added_up_apart_and_domains_together() -> None:
    """Values of two domains add before the peak is taken; another area has a line of its own."""
    rows = [
        row("2026-06-01T00:00:00Z", 5, domain="a.example"),
        row("2026-06-01T00:00:00Z", 7, domain="b.example"),
        row("2026-06-01T00:05:00Z", 11),
        row("2026-06-01T00:05:00Z", 3, area="EU"),
    ]
    found = statement("2026-06-01", in_force(LONG_AGO, method="DailyPeakBandwidth"), rows=rows)
    assert [(line.area, int(line.figure.bytes), line.bytes) for line in found.lines] == [
        ("CN", 12, 23),
        ("EU", 3, 3),
    ]


def test_an_idle_period_has_a_line_of_zeros() -> None:
    """Without traffic the terms are still shown, with the area unknown."""
    line = only(statement("2026-06", in_force(LONG_AGO)))
    assert (line.area, int(line.figure.bytes), line.figure.n, line.unit) == ("unknown", 0, 8640, "Mbps")


def test_the_effective_factor_is_of_the_days_from_the_start() -> None:
    """From 5 April 26 of 30 days: 900 Mbps for 15 each cost 11,700."""
    slots = [instant("2026-04-06T00:00:00Z") + timedelta(minutes=5 * n) for n in range(26 * 288 // 20 + 1)]
    rows = [RawRow("a.example", "CN", slot, 900 * 37_500_000, 0) for slot in slots]
    line = only(statement("2026-04", in_force("2026-04-05T00:00:00Z"), rows=rows, book=BOOK))
    assert (int(line.quantity), line.factor) == (900, Decimal("0.86666667"))
    assert line.charge is not None
    assert line.charge.amount == Decimal("11700.00")


def test_without_idle_days_the_fee_is_for_the_days_with_traffic() -> None:
    """One day of traffic in thirty: its values alone are ranked, and the fee is 1/30."""
    rows = [row(f"2026-06-05T{hour:02}:00:00Z", 100) for hour in range(24)]
    rules = Rules(count_idle_days=False)
    line = only(statement("2026-06", in_force(LONG_AGO), rows=rows, rules=rules))
    assert (line.figure.n, line.figure.dropped, int(line.figure.bytes)) == (288, 14, 100)
    assert (line.figure.days, line.factor) == (1, Decimal("0.03333333"))


def test_a_gap_between_terms_is_not_billed_and_is_told() -> None:
    """Bytes after the end of the terms and before the next ones count in no line."""
    rows = [row("2026-04-05T00:00:00Z", 1), row("2026-04-15T00:00:00Z", 20), row("2026-04-25T00:00:00Z", 300)]
    found = statement(
        "2026-04",
        in_force(LONG_AGO, "2026-04-10T00:00:00Z", method="Traffic"),
        in_force("2026-04-20T00:00:00Z", method="Traffic"),
        rows=rows,
    )
    assert (only(found).bytes, found.bytes_without_terms) == (301, 20)


def test_bytes_of_the_neighbour_periods_are_not_told_as_without_terms() -> None:
    """Slots before and after the period are not of this statement."""
    rows = [row("2026-05-31T23:55:00Z", 1), row("2026-07-01T00:00:00Z", 1)]
    assert statement("2026-06", in_force(LONG_AGO), rows=rows).bytes_without_terms == 0


def test_late_bytes_are_of_the_line_they_belong_to() -> None:
    """Late counts show at the line of their area and slot."""
    late = (
        Late("CN", seconds("2026-06-01T00:00:00Z"), 5, 0),
        Late("EU", seconds("2026-06-01T00:00:00Z"), 7, 0),
        Late("CN", seconds("2026-07-01T00:00:00Z"), 9, 0),
    )
    rows = [row("2026-06-01T00:00:00Z", 50)]
    assert only(statement("2026-06", in_force(LONG_AGO), rows=rows, late=late)).late_bytes == 5


def test_a_daily_statement_continues_the_tiers_of_its_month() -> None:
    """10,200 GB on the days before, 90 GB today: 40 in the lower tier and 50 in the upper one."""
    rows = [row("2026-03-04T00:00:00Z", 10_200 * GB), row("2026-03-10T00:30:00Z", 90 * GB)]
    daily = in_force("2026-02-01T00:00:00Z", method="Traffic", cycle="Daily")
    charge = only(statement("2026-03-10", daily, rows=rows, book=BOOK)).charge
    assert charge is not None
    assert (int(charge.before), charge.amount) == (10_200, Decimal("21.10"))
    assert [share.quantity for share in charge.shares] == [40, 50]


def test_tiers_begin_anew_with_the_month() -> None:
    """Traffic of the month before fills no tier."""
    rows = [row("2026-02-28T00:00:00Z", 10_200 * GB), row("2026-03-01T00:30:00Z", 90 * GB)]
    daily = in_force("2026-02-01T00:00:00Z", method="Traffic", cycle="Daily")
    charge = only(statement("2026-03-01", daily, rows=rows, book=BOOK)).charge
    assert charge is not None
    assert (int(charge.before), charge.amount) == (0, Decimal("21.60"))


def test_the_tier_that_the_peak_reaches_prices_it() -> None:
    """700 Mbps cost 406."""
    rows = [row("2026-03-10T12:00:00Z", 700 * 37_500_000)]
    line = only(
        statement("2026-03-10", in_force(LONG_AGO, method="DailyPeakBandwidth"), rows=rows, book=BOOK)
    )
    assert line.charge is not None
    assert line.charge.amount == Decimal("406.00")


def test_a_line_without_a_price_has_no_charge() -> None:
    """The book has a price for CN, and none for EU."""
    rows = [row("2026-06-01T00:00:00Z", 1), row("2026-06-01T00:00:00Z", 1, area="EU")]
    found = statement("2026-06", in_force(LONG_AGO), rows=rows, book=BOOK)
    assert [line.charge is None for line in found.lines] == [False, True]
    assert found.book is not None
    assert [entry.method for entry in found.book.prices] == ["Month95Bandwidth"]


NOON = instant("2026-06-02T12:00:00Z")


def test_the_month_so_far_counts_its_past_slots_alone() -> None:
    """A day and a half: 432 values, whatever lies after."""
    rows = [row("2026-06-01T00:00:00Z", 5), row("2026-06-02T12:00:00Z", 9)]
    line = only(statement("2026-06", in_force(LONG_AGO), rows=rows, until=NOON))
    assert (line.figure.n, line.bytes, line.complete_until) == (432, 5, int(NOON.timestamp()))


def test_a_forecast_of_traffic_goes_on_as_so_far() -> None:
    """1.5 of 30 days had 3 GB: 60 GB at the end, priced by the same tiers."""
    rows = [row("2026-06-01T00:00:00Z", 3 * GB)]
    line = only(statement("2026-06", in_force(LONG_AGO, method="Traffic"), rows=rows, until=NOON, book=BOOK))
    assert (line.quantity, line.forecast) == (Fraction(3), Fraction(60))
    assert line.charge is not None
    assert line.forecast_charge is not None
    assert (line.charge.amount, line.forecast_charge.amount) == (Decimal("0.72"), Decimal("14.40"))


def test_a_forecast_of_a_mean_leaves_out_the_current_day() -> None:
    """The estimate is the method on the days that are over."""
    rows = [row("2026-06-01T00:00:00Z", 37_500_000), row("2026-06-02T00:00:00Z", 99 * 37_500_000)]
    line = only(
        statement("2026-06", in_force(LONG_AGO, method="MonthAveragePeakBandwidth"), rows=rows, until=NOON)
    )
    assert (line.quantity, line.forecast, line.forecast_charge) == (Fraction(1), Fraction(1), None)


def test_before_its_first_slot_a_period_has_no_forecast() -> None:
    """Nothing is known yet."""
    found = statement("2026-06", in_force(LONG_AGO, method="Traffic"), until=instant("2026-06-01T00:00:00Z"))
    assert (only(found).forecast, only(found).figure.n) == (None, 0)


def test_a_period_that_is_over_has_no_forecast() -> None:
    """Its figure is known."""
    assert (
        only(statement("2026-06", in_force(LONG_AGO), until=instant("2026-07-01T00:00:00Z"))).forecast is None
    )


ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Chatham",
]
METHODS = [
    ("Traffic", "Daily"),
    ("Traffic", "Monthly"),
    ("DailyPeakBandwidth", "Daily"),
    ("Month95Bandwidth", "Monthly"),
    ("MonthAveragePeakBandwidth", "Monthly"),
    ("Month4thPeakBandwidth", "Monthly"),
    ("MonthAverage95Bandwidth", "Monthly"),
    ("Month95NightHalfBandwidth", "Monthly"),
]
# Months in which days are missing, short, long or without a midnight, and leap months.
MONTHS = [
    (2011, 12),
    (2018, 11),
    (2018, 2),
    (2026, 3),
    (2026, 4),
    (2026, 9),
    (2026, 10),
    (2026, 11),
    (2028, 2),
    (2027, 2),
]
TIERS: list[tuple[Fraction | None, Fraction]] = [
    (Fraction(1), Fraction("0.31")),
    (Fraction(40), Fraction("0.27")),
    (None, Fraction("0.11")),
]
PRICES = [
    {
        "method": method,
        "tiers": [{"upTo": 1, "price": "0.31"}, {"upTo": 40, "price": "0.27"}, {"price": "0.11"}],
    }
    for method in dict.fromkeys(method for method, _ in METHODS)
]


@st.composite
def histories(draw: st.DrawFn, first: datetime) -> list[InForce]:
    """One to three terms around a month; they follow each other at once or after a gap."""
    start = first + timedelta(minutes=draw(st.integers(-60 * 24 * 40, 60 * 24 * 25)))
    found = []
    for _ in range(draw(st.integers(1, 3))):
        method, cycle = draw(st.sampled_from(METHODS))
        length = timedelta(minutes=draw(st.integers(10, 60 * 24 * 40)))
        end = None if draw(st.booleans()) else start + length
        found.append(InForce(cycle, method, draw(st.sampled_from(ZONES)), start, end))
        if end is None:
            break
        start = end + timedelta(minutes=draw(st.sampled_from([0, 0, 7, 60 * 24 * 3])))
    return found


@dataclass(frozen=True)
class Case:
    """Terms, and a pattern of raw rows of several domains, with idle days and single rows beside it."""

    history: tuple[InForce, ...]
    first: datetime
    step: int
    modulus: int
    every: int
    idle_days: frozenset[int]
    single: tuple[tuple[int, str, int], ...]
    now: int

    @property
    def rows(self) -> list[RawRow]:
        """The raw rows, from two days before the month to two after it."""
        pattern = [
            RawRow(f"{n % 3}.example", "CN", self.at(n - 576), 10**6 * (n * self.step % self.modulus), n % 5)
            for n in range(0, 288 * 35, self.every)
            if n // 288 not in self.idle_days
        ]
        return pattern + [RawRow("one.example", area, self.at(n), sent, 1) for n, area, sent in self.single]

    def at(self, slot: int) -> datetime:
        return self.first + timedelta(minutes=5 * slot)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    first = datetime(*draw(st.sampled_from(MONTHS)), 1, tzinfo=UTC)
    slots = st.integers(-288, 288 * 32)
    return Case(
        history=tuple(draw(histories(first))),
        first=first,
        step=draw(st.integers(1, 1000)),
        modulus=draw(st.integers(1, 400)),
        every=draw(st.sampled_from([1, 7, 97])),
        idle_days=draw(st.frozensets(st.integers(0, 34), max_size=10)),
        single=tuple(
            draw(
                st.lists(st.tuples(slots, st.sampled_from(["CN", "EU"]), st.integers(0, 10**10)), max_size=6)
            )
        ),
        now=draw(st.integers(0, 288 * 33)),
    )


# An example needs a quarter of a second: to make a failure smaller would take minutes.
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    case=cases(),
    gb=st.sampled_from([1024, 1000]),
    both=st.booleans(),
    overhead=st.sampled_from(["1", "1.10"]),
    count_idle=st.booleans(),
    running=st.booleans(),
    pick=st.integers(0, 40),
)
def test_every_figure_is_the_one_of_the_oracle(
    case: Case,
    gb: int,
    both: bool,
    overhead: str,
    count_idle: bool,
    running: bool,
    pick: int,
) -> None:
    """Over zones, DST, leap months, changed terms, idle days, areas: what a line shows, to the byte."""
    history, rows, now = case.history, case.rows, case.at(case.now)
    until = now if running else None
    names = names_between(spans(*history), int((now - timedelta(days=33)).timestamp()), int(now.timestamp()))
    if not names:
        return
    name = names[pick % len(names)]
    found = period_named(spans(*history), name)
    assert found is not None
    rules = Rules(gb, "both" if both else "sent", Decimal(overhead), count_idle)
    book = Book.model_validate({"currency": "CNY", "prices": PRICES})
    composed = compose("team-a", found, usage(rows, until=until, both=both), rules, book)
    wanted = expected_lines(
        history,
        rows,
        name,
        both=both,
        gb=gb,
        overhead=Decimal(overhead),
        count_idle=count_idle,
        until=until,
        tiers=TIERS,
    )
    lines = {(*_terms(line), line.area): line for line in composed.lines}
    assert lines.keys() == wanted.keys()
    for key, line in lines.items():
        expected = wanted[key]
        assert line.charge is not None
        assert (line.figure.bytes, line.quantity) == (expected.figure, expected.quantity), key
        assert (line.figure.n, line.figure.dropped) == (expected.n, expected.dropped), key
        assert (line.bytes, line.figure.days) == (expected.bytes, expected.counted_days), key
        assert (str(line.factor), line.charge.amount) == (expected.factor, expected.amount), key
        _check_deciding(line)


def _terms(line: Line) -> tuple[str, str, str]:
    terms = line.part.terms
    return (terms.cycle, terms.method, terms.zone)


def _check_deciding(line: Line) -> None:
    """The slots that a line names make its figure."""
    figure = line.figure
    if line.part.terms.method.startswith("MonthAverage"):
        total = sum((each.counted for each in figure.deciding), Fraction(0))
        assert figure.bytes == (total / figure.days if figure.days else 0)
    elif line.part.terms.method != "Traffic":
        assert figure.bytes == sum((each.counted for each in figure.deciding), Fraction(0))
        assert len(figure.deciding) <= 1


def test_long_after_is_after_all_periods() -> None:
    """The builders' end of time lies after every month that the tests bill."""
    assert period("2035-01", in_force(LONG_AGO)).end < LONG_AFTER


@pytest.mark.parametrize("method", [method for method, cycle in METHODS if cycle == "Monthly"])
def test_a_month_of_two_zones_counts_each_slot_once(method: str) -> None:
    """From Shanghai to UTC at the month's end: the bytes of both lines are those of the period."""
    change = "2026-04-30T16:00:00Z"
    rows = [row("2026-04-30T15:55:00Z", 1), row("2026-04-30T16:00:00Z", 20)]
    found = statement(
        "2026-04",
        in_force(LONG_AGO, change, zone="Asia/Shanghai", method=method, cycle="Monthly"),
        in_force(change, method=method, cycle="Monthly"),
        rows=rows,
    )
    assert [line.bytes for line in found.lines] == [1, 20]
