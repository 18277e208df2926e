"""The messages that the statistics accept."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from support.statistics.build import instant, row, usage
from wsedge_statistics.contract import bucket_of

BUCKETS = {
    "off the grid": ("2026-06-01T10:01:00Z", "must start on a whole five minutes"),
    "in another zone": ("2026-06-01T18:00:00+08:00", "must be in UTC"),
    "without a zone": ("2026-06-01T10:00:00", "timezone"),
}


@pytest.mark.parametrize(("bucket", "text"), BUCKETS.values(), ids=BUCKETS.keys())
def test_a_bucket_is_five_minutes_of_utc(bucket: str, text: str) -> None:
    """Any other bucket is refused with the rule."""
    with pytest.raises(ValidationError, match=text):
        usage(row(instant("2026-06-01T10:00:00Z")) | {"bucket": bucket})


def test_an_instant_lies_in_the_bucket_that_began_before_it() -> None:
    """bucket_of is the floor, also from another zone."""
    assert bucket_of(instant("2026-06-01T10:04:59.999999Z")) == instant("2026-06-01T10:00:00Z")
    assert bucket_of(instant("2026-06-01T18:05:00+08:00")) == instant("2026-06-01T10:05:00Z")
