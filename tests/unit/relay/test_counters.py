"""The data path's counts as metrics."""

from __future__ import annotations

from wsedge_relay.counters import DomainCounters, families


def test_close_codes_are_bounded() -> None:
    """A code that no rule names is counted as 0, however many different ones a peer sends."""
    counters = DomainCounters()
    for code in (1000, 1000, *range(4000, 4999)):
        counters.client.closed_with(code)
    assert counters.client.close_codes == {1000: 2, 0: 999}


def test_statuses_that_are_none_are_counted_as_500() -> None:
    """An origin cannot make up a status beyond those of HTTP."""
    counters = DomainCounters()
    counters.handshake(999, "origin answer")
    assert counters.handshakes == {(500, "origin answer"): 1}


def test_families_have_one_value_per_label_and_domain() -> None:
    """Every family's rows carry as many values as it has labels; counts come out as they went in."""
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
