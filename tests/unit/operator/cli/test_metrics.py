"""Metrics of relays as `status` reads them: bounded trust, sums, growth."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from support.cpu import at_most_cpu_seconds
from wsedge_operator.cli import metrics

TEXT = """# HELP wsedge_relay_origin_healthy 0 for an origin whose health checks failed.
# TYPE wsedge_relay_origin_healthy gauge
wsedge_relay_origin_healthy{domain="chat.example.com",origin="10.0.0.1:80"} 1.0
wsedge_relay_origin_healthy{domain="chat.example.com",origin="10.0.0.2:80"} 0.0
wsedge_relay_handshakes_total{code="101",domain="chat.example.com"} 5 1700000000000
process_cpu_seconds_total 12
wsedge_relay_draining 0.0
wsedge_relay_broken x
wsedge_relay_{ 1
no metric
"""
CHAT = {"domain": "chat.example.com"}


def test_lines_of_relays_are_read_and_others_skipped() -> None:
    """A line that is no metric of a relay, or no number, is skipped."""
    found = metrics.read(TEXT)
    assert len(found) == 4
    assert metrics.by(found, "origin_healthy", "origin", **CHAT) == {"10.0.0.1:80": 1.0, "10.0.0.2:80": 0.0}
    assert metrics.by(found, "origin_healthy", "origin", domain="other") == {}
    assert metrics.total([found, found], "handshakes_total", **CHAT) == 10
    assert metrics.total([found], "draining") == 0


def test_what_the_usual_client_writes_is_read() -> None:
    """Escapes in labels, and numbers in its form."""
    registry = CollectorRegistry()
    Gauge("wsedge_relay_origin_healthy", "x", ["origin"], registry=registry).labels('a"b\\c\nd').set(1)
    Counter("wsedge_relay_opened", "x", registry=registry).inc(1e17)
    found = metrics.read(generate_latest(registry).decode())
    assert metrics.by(found, "origin_healthy", "origin") == {'a"b\\c\nd': 1.0}
    assert metrics.total([found], "opened_total") == 1e17


def test_a_number_that_no_relay_has_is_skipped() -> None:
    """NaN is in no order, and no integer; a sum of bounded numbers is finite."""
    for odd in ("NaN", "+Inf", "-Inf", "1e999", "1e300"):
        assert metrics.read(f"wsedge_relay_origin_connections {odd}\n") == {}
    assert metrics.read(f"wsedge_relay_sent_bytes_total {2**53}\n") == {("sent_bytes_total", ()): 2.0**53}


def test_a_long_line_is_read_about_once() -> None:
    """A pod may answer with anything: work that grows with the square of a megabyte takes hours."""
    with at_most_cpu_seconds(30):
        assert metrics.read("wsedge_relay_x{" + "a" * 1_000_000 + "} 1") == {("x", ()): 1.0}
        assert metrics.read("wsedge_relay_x{" + 'a="' * 300_000 + "} 1")


def test_a_counter_that_began_again_counts_from_zero() -> None:
    """A relay's container restarted between two scrapes; a new label counts from zero too."""
    before: metrics.Metrics = {("n", (("d", "a"),)): 5.0, ("n", (("d", "b"),)): 7.0}
    after: metrics.Metrics = {
        ("n", (("d", "a"),)): 8.0,
        ("n", (("d", "b"),)): 2.0,
        ("n", (("d", "c"),)): 1.0,
        ("m", ()): 9.0,
    }
    assert metrics.risen(before, after, "n") == 3 + 2 + 1
    assert metrics.risen(before, after, "n", d="a") == 3
