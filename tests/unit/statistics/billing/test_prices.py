"""The price book: what it refuses, progressive and reached tiers."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.statistics.bill_oracle import fee
from wsedge_statistics.billing.prices import MAX_BYTES, Book, Share, Tier, progressive, reached, read_book
from wsedge_statistics.errors import PriceBookError

TRAFFIC_TIERS = [{"upTo": 10240, "price": 0.24}, {"price": 0.23}]


def book(*prices: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"currency": "CNY", "prices": list(prices), **more}).encode()


def tiers(*pairs: tuple[int | None, str]) -> list[Tier]:
    return [
        Tier(upTo=None if border is None else Decimal(border), price=Decimal(price))
        for border, price in pairs
    ]


PRODUCT = tiers((10240, "0.24"), (51200, "0.23"), (None, "0.21"))


def test_an_hour_that_crosses_a_border_is_split_at_it() -> None:
    """10,200 GB, then an hour of 90 GB: 40 at 0.24 and 50 at 0.23, together 21.10."""
    shares = progressive(Fraction(10200), [(3600, Fraction(90))], PRODUCT)
    assert [(int(share.quantity), share.price) for share in shares] == [
        (40, Decimal("0.24")),
        (50, Decimal("0.23")),
    ]
    assert sum(share.amount for share in shares) == Fraction("21.10")


def test_the_hours_of_a_month_cost_the_same_as_the_month() -> None:
    """10,290 GB in all cost 2,469.10; the share of each tier says in which hour it was entered."""
    hours = [(3600 * index, Fraction(10290, 100)) for index in range(100)]
    shares = progressive(Fraction(0), hours, PRODUCT)
    assert sum(share.amount for share in shares) == Fraction("2469.1")
    assert [share.hour for share in shares] == [0, 3600 * 99]


def test_a_border_that_is_met_exactly_enters_no_tier() -> None:
    """Traffic up to the border is all of the lower tier, and the next byte of the upper one."""
    (share,) = progressive(Fraction(0), [(0, Fraction(10240))], PRODUCT)
    assert share.price == Decimal("0.24")
    (share,) = progressive(Fraction(10240), [(0, Fraction(1, 10**9))], PRODUCT)
    assert share.price == Decimal("0.23")


def test_no_traffic_has_no_share() -> None:
    """Nothing passed, nothing is priced."""
    assert (
        progressive(Fraction(5), [], PRODUCT) == progressive(Fraction(5), [(0, Fraction(0))], PRODUCT) == []
    )


PEAKS = {
    "below the border": (400, "0.60"),
    "on the border": (500, "0.60"),
    "above the border": (1000, "0.58"),
}


@pytest.mark.parametrize(("peak", "price"), PEAKS.values(), ids=PEAKS.keys())
def test_the_tier_that_a_peak_reaches_prices_all_of_it(peak: int, price: str) -> None:
    """The whole peak has one price."""
    share = reached(Fraction(peak), tiers((500, "0.60"), (5000, "0.58"), (None, "0.56")))
    assert share == Share(Fraction(peak), Decimal(price), peak * Fraction(price))


QUANTITIES = st.fractions(min_value=0, max_value=200, max_denominator=1000)


@given(QUANTITIES, st.lists(QUANTITIES, max_size=8), st.lists(st.integers(1, 150), max_size=4, unique=True))
def test_tiers_as_slices_of_the_whole(before: Fraction, hours: list[Fraction], borders: list[int]) -> None:
    """Hour by hour costs the same as the slices of the whole quantity, whatever the borders."""
    pairs = [(border, f"0.{9 - index}") for index, border in enumerate(sorted(borders))]
    given_tiers = tiers(*pairs, (None, "0.1"))
    shares = progressive(before, [(3600 * i, q) for i, q in enumerate(hours)], given_tiers)
    plain = [(None if t.upTo is None else Fraction(t.upTo), Fraction(t.price)) for t in given_tiers]
    assert sum((share.amount for share in shares), Fraction(0)) == fee(
        "Traffic", sum(hours, Fraction(0)), before, plain
    )
    assert sum((share.quantity for share in shares), Fraction(0)) == sum(hours, Fraction(0))


def test_numbers_of_the_book_are_decimals() -> None:
    """0.1 is a tenth and not the nearest binary fraction."""
    found = read_book(book({"method": "Month95Bandwidth", "tiers": [{"price": 0.1}]}))
    assert found.tiers("Month95Bandwidth", "CN") == (Tier(price=Decimal("0.1")),)
    assert found.decimals == 2


def test_an_entry_of_an_area_goes_before_that_of_all_areas() -> None:
    """An area without an entry has the price of all areas, a method without any has none."""
    found = read_book(
        book(
            {"method": "Traffic", "tiers": [{"price": "2"}]},
            {"method": "Traffic", "area": "CN", "tiers": [{"price": "1"}]},
            {"method": "DailyPeakBandwidth", "area": "CN", "tiers": [{"price": "3"}]},
        )
    )
    assert [each.price for each in found.tiers("Traffic", "CN") or ()] == [Decimal(1)]
    assert [each.price for each in found.tiers("Traffic", "EU") or ()] == [Decimal(2)]
    assert found.tiers("DailyPeakBandwidth", "EU") is None


def test_a_book_can_be_narrowed_to_methods() -> None:
    """A statement keeps the prices of its own methods."""
    found = read_book(
        book(
            {"method": "Traffic", "tiers": TRAFFIC_TIERS},
            {"method": "Month95Bandwidth", "tiers": [{"price": 1}]},
        )
    )
    assert [entry.method for entry in found.only({"Traffic"}).prices] == ["Traffic"]


def test_a_book_as_json_reads_back() -> None:
    """A stored statement has the book that priced it."""
    found = read_book(book({"method": "Traffic", "area": "CN", "tiers": TRAFFIC_TIERS}))
    assert Book.model_validate_json(found.model_dump_json()) == found


def month95(*given_tiers: Any) -> bytes:
    return book({"method": "Month95Bandwidth", "tiers": list(given_tiers)})


REFUSED = {
    "no JSON": (b"{", "not JSON"),
    "no object": (b"[]", "valid dictionary"),
    "no number": (b'{"currency": "CNY", "decimals": NaN, "prices": []}', "NaN is not a number"),
    "JSON that is nested without end": (b"[" * 100_000, "not JSON"),
    "more than a ConfigMap holds": (b" " * (MAX_BYTES + 1), "larger than"),
    "an unknown field": (book(surcharge=1), "surcharge: Extra inputs"),
    "an unknown method": (book({"method": "Month96", "tiers": [{"price": 1}]}), "prices.0.method"),
    "no tier": (month95(), "prices.0.tiers"),
    "a negative price": (month95({"price": -1}), "prices.0.tiers.0.price"),
    "a price of true": (month95({"price": True}), "give a number"),
    "a price beyond all money": (month95({"price": "1e999999999"}), "prices.0.tiers.0.price"),
    "a price of infinitely many digits": (month95({"price": "0.0000000000001"}), "prices.0.tiers.0.price"),
    "a border on the last tier": (month95({"upTo": 5, "price": 1}), "the last tier must have no upTo"),
    "a tier without a border before the last": (
        month95({"price": 1}, {"price": 2}),
        "each tier but the last needs an upTo",
    ),
    "borders that do not ascend": (
        month95({"upTo": 5, "price": 1}, {"upTo": 5, "price": 2}, {"price": 3}),
        "each tier but the last needs an upTo",
    ),
    "two entries for one area": (
        book(
            {"method": "Traffic", "area": "CN", "tiers": TRAFFIC_TIERS},
            {"method": "Traffic", "area": "CN", "tiers": TRAFFIC_TIERS},
        ),
        "Traffic has two entries for area CN",
    ),
    "two entries for all areas": (
        book({"method": "Traffic", "tiers": TRAFFIC_TIERS}, {"method": "Traffic", "tiers": TRAFFIC_TIERS}),
        "Traffic has two entries for all areas",
    ),
    "a currency that is none": (book(currency="yuan"), "currency"),
    "text that is not UTF-8": (b"\xff\xfe\xff", "not JSON"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_book_that_cannot_be_used_is_refused(text: bytes, reason: str) -> None:
    """A wrong book names the field: a price that was meant otherwise would be billed."""
    with pytest.raises(PriceBookError, match=reason):
        read_book(text)
