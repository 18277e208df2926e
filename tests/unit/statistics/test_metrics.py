"""The statistics' own metrics."""

from __future__ import annotations

from wsedge_statistics.metrics import Metrics
from wsedge_statistics.presence import Relays


def test_gauges_read_the_ledger_at_each_scrape() -> None:
    """The text has the ledger's present size, backlog and state."""
    sizes = iter((10, 20))
    metrics = Metrics()
    metrics.ledger.watch(size=lambda: next(sizes), backlog=lambda: 3, writable=lambda: False)
    lines = metrics.text().decode().splitlines()
    assert "wsedge_statistics_ledger_bytes 10.0" in lines
    assert "wsedge_statistics_ledger_backlog 3.0" in lines
    assert "wsedge_statistics_ledger_writable 0.0" in lines
    assert "wsedge_statistics_ledger_bytes 20.0" in metrics.text().decode().splitlines()


def test_commits_and_failures_are_counted() -> None:
    """The writer of the ledger reports both."""
    metrics = Metrics()
    metrics.ledger.committed(jobs=3, seconds=0.25)
    metrics.ledger.committed(jobs=1, seconds=0.5)
    metrics.ledger.failed()
    lines = metrics.text().decode().splitlines()
    assert "wsedge_statistics_commit_seconds_sum 0.75" in lines
    assert 'wsedge_statistics_commit_writes_bucket{le="2.0"} 1.0' in lines
    assert "wsedge_statistics_commit_writes_count 2.0" in lines
    assert "wsedge_statistics_commit_failures_total 1.0" in lines


def test_the_disk_is_watched_at_each_scrape() -> None:
    """Free space is known at once, the growth after an hour."""
    metrics = Metrics()
    metrics.ledger.watch_disk(size=lambda: 10, free=lambda: 480)
    lines = metrics.text().decode().splitlines()
    assert "wsedge_statistics_disk_free_bytes 480.0" in lines
    assert "wsedge_statistics_ledger_growth_bytes_per_day NaN" in lines
    assert "wsedge_statistics_disk_days_left NaN" in lines


def test_relays_are_counted_by_state_at_each_scrape() -> None:
    """Those that report, and those that fell silent."""
    metrics, relays = Metrics(), [Relays(2, 1)]
    metrics.relays.watch(lambda: relays[-1], lambda: 4)
    relays.append(Relays(3, 0))
    lines = metrics.text().decode().splitlines()
    assert 'wsedge_statistics_relays{state="reporting"} 3.0' in lines
    assert 'wsedge_statistics_relays{state="silent"} 0.0' in lines
    assert "wsedge_statistics_incomplete_buckets 4.0" in lines
