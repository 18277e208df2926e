"""The data path's counts as metrics."""

from __future__ import annotations

import pytest

from wsedge_relay.telemetry.counters import SECONDS, DomainCounters, Ending, Histogram
from wsedge_relay.telemetry.families import distributions, families


def test_close_codes_are_bounded() -> None:
    """A code that no specification defines is counted as 0, so a peer cannot create label values."""
    counters = DomainCounters()
    for code in (1000, 1000, *range(4000, 4999)):
        counters.client.closed_with(code)
    assert counters.client.close_codes == {1000: 2, 0: 999}


def test_statuses_that_are_none_are_counted_as_500() -> None:
    """An origin cannot create label values beyond the statuses of HTTP."""
    counters = DomainCounters()
    counters.handshake(999, "origin answer")
    assert counters.handshakes == {(500, "origin answer"): 1}


def test_families_have_one_value_per_label_and_domain() -> None:
    """Rows have one value per label, and the counts are those that were counted."""
    counters = DomainCounters()
    counters.handshake(101, "")
    counters.handshake(403, "origin answer")
    counters.handshake(404, "origin answer")
    counters.origin_failed("refused")
    counters.origin.closed_with(1011)
    counters.client.violated("masking")
    counters.client.pings = 3
    made = {family.name: family for family in families({"a.example": counters})}
    for family in made.values():
        assert all(len(values) == len(family.labels) for values, _ in family.rows)
    assert made["handshake_refusals"].rows == [(("a.example", "origin answer"), 2)]
    assert made["origin_failures"].rows == [(("a.example", "refused"), 1)]
    assert made["close_frames"].rows == [(("a.example", "origin", "1011"), 1)]
    assert made["frame_violations"].rows == [(("a.example", "client", "masking"), 1)]
    assert made["pings"].rows == [(("a.example", "client"), 3), (("a.example", "origin"), 0)]


TIMES = {
    "nothing": (0.0, 0),
    "a stepped clock": (-5.0, 0),
    "exactly a bound": (SECONDS[3], 3),
    "just above a bound": (SECONDS[3] * 1.001, 4),
    "more than all": (31.0, len(SECONDS)),
}


@pytest.mark.parametrize(("seconds", "bucket"), TIMES.values(), ids=TIMES.keys())
def test_a_time_is_in_the_bucket_that_it_does_not_pass(seconds: float, bucket: int) -> None:
    """A bucket's bound belongs to it, as in Prometheus (le)."""
    histogram = Histogram()
    histogram.observe(seconds)
    assert [index for index, times in enumerate(histogram.counts) if times] == [bucket]
    assert histogram.sum == max(0.0, seconds)


def test_endings_are_counted_by_side_and_reason() -> None:
    """Codes are limited to the known codes of Close frames."""
    counters = DomainCounters()
    for code in (1000, 1000, 4711):
        counters.ended(Ending("client", "close", code))
    counters.ended(Ending("relay", "maximum age", 1001))
    made = {family.name: family for family in families({"a.example": counters})}
    assert made["ended_connections"].rows == [
        (("a.example", "client", "close", "0"), 1),
        (("a.example", "client", "close", "1000"), 2),
        (("a.example", "relay", "maximum age", "1001"), 1),
    ]


def test_every_histogram_has_one_row_per_label_and_domain() -> None:
    """Round-trip times are by side, the other times by domain."""
    counters = DomainCounters()
    made = {one.name: one.rows for one in distributions({"a.example": counters})}
    assert made["rtt_seconds"] == [
        (("a.example", "client"), counters.client.rtt),
        (("a.example", "origin"), counters.origin.rtt),
    ]
    assert made["frame_bytes"] == [
        (("a.example", "client"), counters.client.frame_bytes),
        (("a.example", "origin"), counters.origin.frame_bytes),
    ]
    assert made["handshake_seconds"] == [(("a.example",), counters.handshake_seconds)]
    assert made["origin_connect_seconds"] == [(("a.example",), counters.connect_seconds)]


def test_plain_requests_are_counted_by_status_and_time() -> None:
    """A status of a passed request and the seconds until its answer began."""
    counters = DomainCounters()
    for status, seconds in ((200, 0.02), (200, 0.04), (502, 5.0)):
        counters.request(status, seconds)
    made = {family.name: family for family in families({"a.example": counters})}
    assert made["passed_requests"].rows == [(("a.example", "200"), 2), (("a.example", "502"), 1)]
    assert counters.request_seconds.sum == pytest.approx(5.06)
    assert sum(counters.request_seconds.counts) == 3


def test_unfinished_answers_are_counted_by_reason() -> None:
    """Rows are in the order of the reasons."""
    counters = DomainCounters()
    for reason in ("stalled", "client", "stalled"):
        counters.cut(reason)
    made = {family.name: family for family in families({"a.example": counters})}
    assert made["cut_answers"].rows == [(("a.example", "client"), 1), (("a.example", "stalled"), 2)]
