"""All metrics of the statistics, as a program with a ledger, relays, statements and a price book has them."""

from __future__ import annotations

from wsedge_statistics.metrics import Metrics
from wsedge_statistics.presence import Relays


def all_metrics() -> Metrics:
    """Return metrics with every gauge that a program adds."""
    metrics = Metrics()
    metrics.ledger.watch(size=lambda: 0, backlog=lambda: 0, writable=lambda: True)
    metrics.ledger.watch_disk(size=lambda: 0, free=lambda: 0)
    metrics.relays.watch(lambda: Relays(0, 0), lambda: 0)
    metrics.statements.watch_closing(lambda: True)
    metrics.statements.watch_prices(lambda: True)
    return metrics
