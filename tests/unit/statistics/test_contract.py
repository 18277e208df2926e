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


@pytest.mark.parametrize("name", ["*", "::1", "2001:db8::7", "_chat.my_app", "localhost", "192.0.2.7"])
def test_every_name_that_a_relay_may_serve_is_counted(name: str) -> None:
    """A relay outside a cluster may serve addresses and every name."""
    counted = row(instant("2026-06-01T10:00:00Z")) | {"domain": name}
    assert usage(counted).rows[0].domain == name


@pytest.mark.parametrize("name", ["", "A.example", "a b", "*.example", "[::1]", "a.example:80", "-a"])
def test_what_is_no_name_of_a_domain_is_refused(name: str) -> None:
    """Names are labels of answers and keys of the ledger."""
    with pytest.raises(ValidationError):
        usage(row(instant("2026-06-01T10:00:00Z")) | {"domain": name})


@pytest.mark.parametrize(
    "name", ["shanghai", "x", "level3", "local area network", "fareastone telecom", "A-b_c.d 3"]
)
def test_a_region_and_an_isp_have_one_word_or_more(name: str) -> None:
    """DCDN names some networks by several words."""
    counted = row(instant("2026-06-01T10:00:00Z"), region=name, isp=name)
    assert usage(counted).rows[0].isp == usage(counted).rows[0].region == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a  b",
        "a\tb",
        "a\nb",
        "a\n",
        "a\u00a0b",
        "a\u2028b",
        "-a",
        "a -1",
        "=1+1",
        "a =1",
        "a,b",
        'a"',
        "a" * 65,
    ],
)
def test_no_name_of_a_region_breaks_a_line_a_field_or_a_formula(name: str) -> None:
    """Names become columns of tables and fields of logs."""
    with pytest.raises(ValidationError):
        usage(row(instant("2026-06-01T10:00:00Z"), region=name))
