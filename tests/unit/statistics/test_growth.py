"""The growth of the ledger, from its sizes over the last day."""

from __future__ import annotations

import math

import pytest

from wsedge_statistics.growth import Growth

DAY, HOUR = 86_400, 3600
# sizes by hour, bytes per day, days until 480 bytes are used
SIZES: dict[str, tuple[dict[float, int], float, float]] = {
    "nothing noted": ({}, math.nan, math.nan),
    "less than an hour": ({0: 0, 0.9: 100}, math.nan, math.nan),
    "two hours": ({0: 0, 1: 10, 2: 20}, 240, 2),
    "no growth": ({0: 50, 5: 50}, 0, math.inf),
    "a shrinking ledger": ({0: 50, 5: 40}, -48, math.inf),
    "the last day alone": ({0: 0, 10: 1000, 30: 1000, 34: 1240}, 240, 2),
    "between two notes": ({0: 0, 2: 20, 2.1: 900}, 240, 2),
}


@pytest.mark.parametrize(("sizes", "rate", "days"), SIZES.values(), ids=SIZES.keys())
def test_the_rate_is_that_of_the_last_day(sizes: dict[float, int], rate: float, days: float) -> None:
    """And the days follow from the free space."""
    growth = Growth()
    for hour, size in sizes.items():
        growth.note(size, now=hour * HOUR)
    assert growth.per_day() == pytest.approx(rate, nan_ok=True)
    assert growth.days_until(480) == pytest.approx(days, nan_ok=True)


def test_a_pause_longer_than_a_day_begins_anew() -> None:
    """Nobody scraped meanwhile."""
    growth = Growth()
    growth.note(0, now=0)
    growth.note(10, now=3 * DAY)
    assert math.isnan(growth.per_day())
