"""Whatever comes in late, and whenever: what stands after the adjustments is what the raw rows say."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.statistics.bill_oracle import InForce, RawRow, expected_lines, round_half_up
from support.statistics.build import instant
from support.statistics.desk import GB, Desk, terms
from wsedge_statistics.billing.document import read_document, standing_in

FIRST = instant("2026-10-01T00:00:00Z")
BOOK = (
    '{"currency": "CNY", "prices": ['
    '{"method": "Traffic", "tiers": [{"upTo": 5, "price": "0.31"}, {"price": "0.27"}]},'
    '{"method": "Month95Bandwidth", "tiers": [{"price": "0.7"}]},'
    '{"method": "MonthAveragePeakBandwidth", "tiers": [{"upTo": 5, "price": "0.9"}, {"price": "0.8"}]},'
    '{"method": "DailyPeakBandwidth", "tiers": [{"price": "0.5"}]}]}'
)
TIERS: dict[str, list[tuple[Fraction | None, Fraction]]] = {
    "Traffic": [(Fraction(5), Fraction("0.31")), (None, Fraction("0.27"))],
    "Month95Bandwidth": [(None, Fraction("0.7"))],
    "MonthAveragePeakBandwidth": [(Fraction(5), Fraction("0.9")), (None, Fraction("0.8"))],
    "DailyPeakBandwidth": [(None, Fraction("0.5"))],
}
METHODS = [
    ("Traffic", "Daily"),
    ("Traffic", "Monthly"),
    ("Month95Bandwidth", "Monthly"),
    ("MonthAveragePeakBandwidth", "Monthly"),
    ("DailyPeakBandwidth", "Daily"),
]
ZONES = ["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]
# Hours from FIRST of the counts' slot, hours until they come in, GB, and the area.
COUNTS = st.tuples(
    st.integers(0, 24 * 40), st.integers(0, 24 * 50), st.integers(1, 4), st.sampled_from(["CN", "EU"])
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.json"
    path.write_text(BOOK)
    return path


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS),
    zone=st.sampled_from(ZONES),
    counts=st.lists(COUNTS, min_size=1, max_size=8),
    ends=st.booleans(),
)
@example(  # a late day fills the lower tier, which moves the amount of a later day that is closed
    method=("Traffic", "Daily"), zone="UTC", counts=[(48, 240, 4, "CN"), (120, 0, 4, "CN")], ends=False
)
@example(  # the same after the end of the terms: a supplement
    method=("Traffic", "Daily"), zone="UTC", counts=[(48, 1100, 4, "CN"), (120, 0, 4, "CN")], ends=True
)
def test_what_stands_is_what_the_raw_rows_say(
    book: Path, method: tuple[str, str], zone: str, counts: list[tuple[int, int, int, str]], ends: bool
) -> None:
    """Closed statements never change, and with their adjustments they are the bill of all counts."""
    name, cycle = method
    end = "2026-11-01T00:00:00Z" if ends else None
    desk = Desk(terms(name, cycle=cycle, zone=zone, start=text(FIRST), end=end), prices=book)
    rows, bodies = [], dict[str, str]()
    arrivals = sorted(counts, key=lambda each: each[0] + each[1])
    desk.now = FIRST
    desk.count(text(FIRST), 0)
    for number, (hour, delay, gigabytes, area) in enumerate(arrivals):
        at = FIRST + timedelta(hours=hour)
        desk.at(text(at + timedelta(hours=delay, minutes=7)))
        desk.count(text(at), gigabytes * GB, epoch=f"{number:08x}", area=area)
        rows.append(RawRow("chat.example.com", area, at, gigabytes * GB, 0))
    for weeks in range(1, 9):
        desk.at(text(FIRST + timedelta(days=90 + 7 * weeks)))
        stored = {each.period: each.body for each in desk.ledger.statements("team-a")}
        assert bodies.items() <= stored.items()
        bodies = stored
    closed = desk.ledger.statements("team-a")
    documents = sorted((read_document(each.body) for each in closed), key=lambda each: each.end)
    documents.sort(key=lambda each: each.closedAt or each.end)
    standing = standing_in(documents)
    history = [InForce(cycle, name, zone, FIRST, instant(end) if end else None)]
    owed = Decimal(0)
    for period, keys in itertools.groupby(sorted(standing), key=lambda key: key.period):
        wanted = expected_lines(history, rows, period, tiers=TIERS[name])
        for key in keys:
            found = standing[key]
            expected = wanted.pop((key.cycle, key.method, key.zone, key.area), None)
            if expected is None:  # an area of an idle period, before its counts came in
                assert (found.bytes, found.amount) == (0, Decimal("0.00"))
                continue
            assert found.bytes == expected.bytes, key
            assert found.quantity == round_half_up(expected.quantity, 9), key
            assert found.amount == expected.amount, key
            owed += expected.amount or 0
        assert wanted == {}, period
    assert sum((document.amount or Decimal(0) for document in documents), Decimal(0)) == owed
