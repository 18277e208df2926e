"""The statistics' own metrics. No label contains an account or a domain, so their number is bounded.

The counters of each part of the program are a family of their own; docs/statistics.md has a table of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from wsedge_statistics.growth import Growth
from wsedge_statistics.presence import Relays

_PREFIX: Final = "wsedge_statistics"
_LAG_BUCKETS: Final = (1, 5, 10, 30, 60, 120, 300, 900, 3600, 21_600, 86_400)
_GROUP_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Family:
    """Metrics on a registry, under the program's prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read at each scrape."""
        self._gauge(name, text).set_function(read)


class IngestMetrics(_Family):
    """Reports of relays, and what was refused of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.reports = self._counter("ingested_reports", "Reports committed.")
        self.rows = self._counter("ingested_rows", "Rows of committed reports.")
        self.refused = self._counter("ingest_refused", "Reports refused, by reason.", "reason")
        self.refused_rows = self._counter(
            "refused_rows",
            "Rows of refused reports, by reason; relays keep rows refused as foreign-rows or account-full.",
            "reason",
        )
        self.unknown_fields = self._counter(
            "ingested_with_unknown_fields",
            "Messages with unknown fields, which this version ignored, by kind of message.",
            "message",
        )
        self.lag_seconds = self._histogram(
            "ingest_lag_seconds",
            "Time from the end of a report's oldest bucket to the report; 0 within the bucket.",
            buckets=_LAG_BUCKETS,
        )


class QuestionMetrics(_Family):
    """Questions, calls of the RPC, and the connections that they come on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.answered = self._counter("queries", "Questions answered, by endpoint.", "endpoint")
        self.seconds = self._histogram(
            "query_seconds", "Time to read an answer from the ledger, by endpoint.", "endpoint"
        )
        self.rpc_calls = self._counter(
            "rpc_calls",
            "Calls of the DCDN-compatible RPC, by operation and by the code of the answer.",
            "action",
            "code",
        )
        self.access_keys = self._gauge("access_keys", "Access keys of the RPC that were read.")
        self.closed_connections = self._counter(
            "closed_connections",
            "Connections that were closed before their client was done, by reason.",
            "reason",
        )


class LedgerMetrics(_Family):
    """Commits, deletions and damage. The ledger calls the methods."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.damage_met = False
        self._commit_seconds = self._histogram("commit_seconds", "Time of one commit, fsync included.")
        self._commit_writes = self._histogram(
            "commit_writes", "Writes in one commit.", buckets=_GROUP_BUCKETS
        )
        self._commit_failures = self._counter(
            "commit_failures", "Commits that failed; nothing of them was stored."
        )
        self._deletion_lag = self._gauge(
            "deletions_behind_seconds",
            "Deletions of old counts are so far behind the clock: it jumped, or no reports arrive.",
        )
        self._damage = self._counter(
            "ledger_damage",
            "Reads and writes that met a damaged place of the ledger; others are carried out.",
        )

    def committed(self, *, jobs: int, seconds: float) -> None:
        """Count a commit."""
        self._commit_seconds.observe(seconds)
        self._commit_writes.observe(jobs)

    def failed(self) -> None:
        """Count a failed commit."""
        self._commit_failures.inc()

    def damaged(self) -> None:
        """Count a read or write that met damage."""
        self._damage.inc()
        self.damage_met = True

    def deletions_behind(self, seconds: float) -> None:
        """Set how far deletions are behind the clock."""
        self._deletion_lag.set(seconds)

    def watch(
        self, *, size: Callable[[], int], backlog: Callable[[], int], writable: Callable[[], bool]
    ) -> None:
        """Add gauges that read the ledger at each scrape."""
        self._watch("ledger_bytes", "Bytes of the ledger on disk.", size)
        self._watch("ledger_backlog", "Writes that wait for a commit.", backlog)
        self._watch("ledger_writable", "1 when the last commit succeeded.", writable)

    def watch_disk(
        self,
        *,
        size: Callable[[], int],
        free: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Add gauges of the ledger's growth and of its disk, read at each scrape."""
        growth = Growth()

        def noted() -> Growth:
            growth.note(size(), now=monotonic())
            return growth

        self._watch("disk_free_bytes", "Bytes that the ledger may still use on its disk.", free)
        self._watch(
            "ledger_growth_bytes_per_day",
            "Growth of the ledger over the last day; NaN in the first hour.",
            lambda: noted().per_day(),
        )
        self._watch(
            "disk_days_left",
            "Days until the disk is full at this growth; +Inf while the ledger does not grow.",
            lambda: noted().days_until(free()),
        )


class RelayMetrics(_Family):
    """The relays that report, and the counts that are missing."""

    def watch(self, relays: Callable[[], Relays], incomplete: Callable[[], int]) -> None:
        """Add gauges of the relays, and of the buckets that lack the counts of silent relays."""
        gauge = self._gauge(
            "relays",
            "Relays (pods) that promised another report; silent: they did not keep the promise, for a day.",
            "state",
        )
        gauge.labels("reporting").set_function(lambda: relays().reporting)
        gauge.labels("silent").set_function(lambda: relays().silent)
        self._watch(
            "incomplete_buckets",
            "Buckets before completeUntil for which the counts of a silent relay may be missing.",
            incomplete,
        )


class StatementMetrics(_Family):
    """The closing of statements, and their prices."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.closed = self._counter("statements_closed", "Statements closed, by cycle.", "cycle")
        self.adjustments = self._counter(
            "statement_adjustments",
            "Lines of closed statements that late counts adjusted in a later statement.",
        )
        self.failures = self._counter(
            "statement_failures", "Attempts to close an account's statements that failed."
        )
        self.overdue = self._gauge(
            "statements_overdue", "Statements that are due by the own clock, and cannot be closed."
        )

    def watch_closing(self, alive: Callable[[], bool]) -> None:
        """Add a gauge of the thread that closes statements."""
        self._watch(
            "closing_alive",
            "1 while statements are closed; 0 after a defect, until the program is restarted.",
            alive,
        )

    def watch_prices(self, valid: Callable[[], bool]) -> None:
        """Add a gauge of the price book, read at each scrape."""
        self._watch(
            "price_book_valid",
            "1 when the price book can be used; otherwise the last good one is in force.",
            valid,
        )


class Metrics:
    """The metrics of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.ingest = IngestMetrics(self.registry)
        self.questions = QuestionMetrics(self.registry)
        self.ledger = LedgerMetrics(self.registry)
        self.relays = RelayMetrics(self.registry)
        self.statements = StatementMetrics(self.registry)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
