"""The statistics' own metrics. No label contains an account or a domain, so their number is bounded."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from wsedge_statistics.growth import Growth
from wsedge_statistics.presence import Relays


class Metrics:
    """Counters and gauges of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        prefix = "wsedge_statistics"
        self.reports = Counter(f"{prefix}_ingested_reports", "Reports committed.", registry=self.registry)
        self.rows = Counter(f"{prefix}_ingested_rows", "Rows of committed reports.", registry=self.registry)
        self.refused = Counter(
            f"{prefix}_ingest_refused", "Reports refused, by reason.", ["reason"], registry=self.registry
        )
        self.unknown_fields = Counter(
            f"{prefix}_ingested_with_unknown_fields",
            "Messages with unknown fields, which this version ignored, by kind of message.",
            ["message"],
            registry=self.registry,
        )
        self.refused_rows = Counter(
            f"{prefix}_refused_rows",
            "Rows of refused reports, by reason; relays keep rows refused as foreign-rows or account-full.",
            ["reason"],
            registry=self.registry,
        )
        self.closed_connections = Counter(
            f"{prefix}_closed_connections",
            "Connections that were closed before their client was done, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.queries = Counter(
            f"{prefix}_queries", "Questions answered, by endpoint.", ["endpoint"], registry=self.registry
        )
        self.rpc_calls = Counter(
            f"{prefix}_rpc_calls",
            "Calls of the DCDN-compatible RPC, by operation and by the code of the answer.",
            ["action", "code"],
            registry=self.registry,
        )
        self.access_keys = Gauge(
            f"{prefix}_access_keys", "Access keys of the RPC that were read.", registry=self.registry
        )
        self.query_seconds = Histogram(
            f"{prefix}_query_seconds",
            "Time to read an answer from the ledger, by endpoint.",
            ["endpoint"],
            registry=self.registry,
        )
        self.lag_seconds = Histogram(
            f"{prefix}_ingest_lag_seconds",
            "Time from the end of a report's oldest bucket to the report; 0 within the bucket.",
            buckets=(1, 5, 10, 30, 60, 120, 300, 900, 3600, 21_600, 86_400),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            f"{prefix}_commit_seconds", "Time of one commit, fsync included.", registry=self.registry
        )
        self.commit_jobs = Histogram(
            f"{prefix}_commit_writes",
            "Writes in one commit.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.deletion_lag = Gauge(
            f"{prefix}_deletions_behind_seconds",
            "Deletions of old counts are so far behind the clock: it jumped, or no reports arrive.",
            registry=self.registry,
        )
        self.damage_met = False
        self.damage = Counter(
            f"{prefix}_ledger_damage",
            "Reads and writes that met a damaged place of the ledger; others are carried out.",
            registry=self.registry,
        )
        self.commit_failures = Counter(
            f"{prefix}_commit_failures",
            "Commits that failed; nothing of them was stored.",
            registry=self.registry,
        )
        self.statements_closed = Counter(
            f"{prefix}_statements_closed", "Statements closed, by cycle.", ["cycle"], registry=self.registry
        )
        self.statement_adjustments = Counter(
            f"{prefix}_statement_adjustments",
            "Lines of closed statements that late counts adjusted in a later statement.",
            registry=self.registry,
        )
        self.statement_failures = Counter(
            f"{prefix}_statement_failures",
            "Attempts to close an account's statements that failed.",
            registry=self.registry,
        )
        self.statements_overdue = Gauge(
            f"{prefix}_statements_overdue",
            "Statements that are due by the own clock, and cannot be closed.",
            registry=self.registry,
        )

    def watch(
        self, *, size: Callable[[], int], backlog: Callable[[], int], writable: Callable[[], bool]
    ) -> None:
        """Add gauges that read the ledger at each scrape."""
        prefix = "wsedge_statistics_ledger"
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("bytes", "Bytes of the ledger on disk.", size),
            ("backlog", "Writes that wait for a commit.", backlog),
            ("writable", "1 when the last commit succeeded.", writable),
        )
        for name, text, read in gauges:
            Gauge(f"{prefix}_{name}", text, registry=self.registry).set_function(read)

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

        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("disk_free_bytes", "Bytes that the ledger may still use on its disk.", free),
            (
                "ledger_growth_bytes_per_day",
                "Growth of the ledger over the last day; NaN in the first hour.",
                lambda: noted().per_day(),
            ),
            (
                "disk_days_left",
                "Days until the disk is full at this growth; +Inf while the ledger does not grow.",
                lambda: noted().days_until(free()),
            ),
        )
        for name, text, read in gauges:
            Gauge(f"wsedge_statistics_{name}", text, registry=self.registry).set_function(read)

    def watch_relays(self, relays: Callable[[], Relays]) -> None:
        """Add gauges of the relays that report and of those that fell silent."""
        gauge = Gauge(
            "wsedge_statistics_relays",
            "Relays (pods) that promised another report; silent: they did not keep the promise, for a day.",
            ["state"],
            registry=self.registry,
        )
        gauge.labels("reporting").set_function(lambda: relays().reporting)
        gauge.labels("silent").set_function(lambda: relays().silent)

    def watch_closing(self, alive: Callable[[], bool]) -> None:
        """Add a gauge of the thread that closes statements."""
        gauge = Gauge(
            "wsedge_statistics_closing_alive",
            "1 while statements are closed; 0 after a defect, until the program is restarted.",
            registry=self.registry,
        )
        gauge.set_function(alive)

    def watch_prices(self, valid: Callable[[], bool]) -> None:
        """Add a gauge of the price book, read at each scrape."""
        gauge = Gauge(
            "wsedge_statistics_price_book_valid",
            "1 when the price book can be used; otherwise the last good one is in force.",
            registry=self.registry,
        )
        gauge.set_function(valid)

    def committed(self, *, jobs: int, seconds: float) -> None:
        """Count a commit; the ledger's writer calls it."""
        self.commit_seconds.observe(seconds)
        self.commit_jobs.observe(jobs)

    def deletions_behind(self, seconds: float) -> None:
        """Set how far deletions are behind the clock; the ledger calls it."""
        self.deletion_lag.set(seconds)

    def damaged(self) -> None:
        """Count a read or write that met damage; the ledger calls it."""
        self.damage.inc()
        self.damage_met = True

    def failed(self) -> None:
        """Count a failed commit; the ledger's writer calls it."""
        self.commit_failures.inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
