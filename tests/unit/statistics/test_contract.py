"""The messages that the statistics take in."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from support.statistics.build import instant, row, usage
from wsedge_statistics.contract import bucket_of
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import RowFault, RowsRefusedError, UnknownDomainError
from wsedge_statistics.identity.callers import LAPTOP, check_source
from wsedge_statistics.numbers.series import add

BUCKETS = {
    "off the grid": ("2026-06-01T10:01:00Z", "not the start of a five-minute bucket"),
    "in another zone": ("2026-06-01T18:00:00+08:00", "give UTC"),
    "without a zone": ("2026-06-01T10:00:00", "timezone"),
}


@pytest.mark.parametrize(("bucket", "text"), BUCKETS.values(), ids=BUCKETS.keys())
def test_a_bucket_is_five_minutes_of_utc(bucket: str, text: str) -> None:
    """Everything else is refused with the rule."""
    with pytest.raises(ValidationError, match=text):
        usage(row(instant("2026-06-01T10:00:00Z")) | {"bucket": bucket})


def test_an_instant_lies_in_the_bucket_that_began_before_it() -> None:
    """bucket_of is the floor, also from another zone."""
    assert bucket_of(instant("2026-06-01T10:04:59.999999Z")) == instant("2026-06-01T10:00:00Z")
    assert bucket_of(instant("2026-06-01T18:05:00+08:00")) == instant("2026-06-01T10:05:00Z")


def test_a_laptops_report_needs_no_pod() -> None:
    """Without an issuer any source is believed."""
    check_source(LAPTOP, usage(pod="nowhere"))


def test_no_directory_knows_nobody() -> None:
    """Before the first Directory no domain has an owner."""
    assert DirectoryView.of(None).owner("chat.example.com") is None


def test_errors_say_what_and_where() -> None:
    """The text of an error names the row and the field, or the domain."""
    faults = [RowFault(3, "bucket", "too old"), RowFault(None, "version", "unknown")]
    assert str(RowsRefusedError(faults)) == "row 3, bucket: too old (and 1 more)"
    assert str(RowsRefusedError(faults[1:])) == "version: unknown"
    assert "'a.example'" in str(UnknownDomainError("a.example"))


def test_zeros_leave_no_trace_in_a_series() -> None:
    """Only what was counted is kept."""
    series: dict[str, dict[int, int]] = {}
    for value in (0, 2, 3):
        add(series, "sent", 300, value)
    assert series == {"sent": {300: 5}}
