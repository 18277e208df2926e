"""The granularity matrix: which lengths of slots a span offers, and how far back each reaches. Pure.

Rule of the product: a span of up to 3 days offers 5 minutes and 1 hour, up to 31 days 1 hour and 1 day,
up to 93 days (3 months) 1 day. Five-minute answers reach 93 days back, hourly 186, daily 366.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

DEFAULT_SPAN: Final = timedelta(hours=24)
FINE_SPAN: Final = timedelta(days=3)
MIDDLE_SPAN: Final = timedelta(days=31)
LONGEST_SPAN: Final = timedelta(days=93)


class Granularity(StrEnum):
    """The length of a slot."""

    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"


REACH: Final = {
    Granularity.FIVE_MINUTES: timedelta(days=93),
    Granularity.HOUR: timedelta(days=186),
    Granularity.DAY: timedelta(days=366),
}
MATRIX: Final = (
    (FINE_SPAN, (Granularity.FIVE_MINUTES, Granularity.HOUR)),
    (MIDDLE_SPAN, (Granularity.HOUR, Granularity.DAY)),
    (LONGEST_SPAN, (Granularity.DAY,)),
)


def offered(span: timedelta, age: timedelta) -> tuple[Granularity, ...]:
    """Return the granularities of a span that starts `age` ago, finest first.

    Where the span's own granularities do not reach back that far, 1 day is offered.
    Empty: the span is too long or too old.
    """
    by_span = next((choices for longest, choices in MATRIX if span <= longest), ())
    reaching = tuple(choice for choice in by_span if age <= REACH[choice])
    if by_span and not reaching and age <= REACH[Granularity.DAY]:
        return (Granularity.DAY,)
    return reaching
