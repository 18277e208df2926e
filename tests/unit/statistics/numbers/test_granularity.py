"""The granularity matrix."""

from __future__ import annotations

from datetime import timedelta

import pytest

from wsedge_statistics.numbers import granularity
from wsedge_statistics.numbers.granularity import Granularity

FIVE, HOUR, DAY = Granularity

MATRIX = {
    "five minutes": (timedelta(minutes=5), (FIVE, HOUR)),
    "exactly three days": (timedelta(days=3), (FIVE, HOUR)),
    "a second more than three days": (timedelta(days=3, seconds=1), (HOUR, DAY)),
    "four days": (timedelta(days=4), (HOUR, DAY)),
    "exactly thirty-one days": (timedelta(days=31), (HOUR, DAY)),
    "a second more than thirty-one days": (timedelta(days=31, seconds=1), (DAY,)),
    "thirty-two days": (timedelta(days=32), (DAY,)),
    "exactly ninety-three days": (timedelta(days=93), (DAY,)),
    "a second more than ninety-three days": (timedelta(days=93, seconds=1), ()),
}


@pytest.mark.parametrize(("span", "offered"), MATRIX.values(), ids=MATRIX.keys())
def test_a_span_offers_its_row_of_the_matrix(span: timedelta, offered: tuple[Granularity, ...]) -> None:
    """The granularities of a recent span are those of the product's matrix."""
    assert granularity.offered(span, timedelta(days=1)) == offered


REACH = {
    "five minutes reach back exactly ninety-three days": (1, 93, (FIVE, HOUR)),
    "a day beyond that only hours are left": (1, 94, (HOUR,)),
    "hours reach back exactly 186 days": (1, 186, (HOUR,)),
    "older short spans are answered by days": (1, 187, (DAY,)),
    "days reach back exactly 366 days": (40, 366, (DAY,)),
    "beyond 366 days nothing is offered": (40, 367, ()),
}


@pytest.mark.parametrize(("span", "age", "offered"), REACH.values(), ids=REACH.keys())
def test_old_ranges_offer_the_tiers_that_reach_them(
    span: int, age: int, offered: tuple[Granularity, ...]
) -> None:
    """Each granularity reaches back as far as its tier."""
    assert granularity.offered(timedelta(days=span), timedelta(days=age)) == offered
