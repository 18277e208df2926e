"""What the dashboards show. Types, help texts and so each query's form are of the programs' tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a metric, added up `by` labels.

    `over` replaces the sum. `beside` is a metric whose program the series are of: all programs have
    `process_…`. `since` shows the age of a time instead of it.
    """

    title: str
    metric: str
    by: tuple[str, ...] = ()
    unit: str = "short"
    over: str = "sum"
    beside: str = ""
    since: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard: rows of panels by title. `variables` are labels to choose from, of `chosen_from`."""

    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    chosen_from: str
    variables: tuple[str, ...] = ()


def _process(beside: str, by: tuple[str, ...]) -> tuple[str, tuple[Panel, ...]]:
    """Return the row about the processes of a program."""
    return (
        "Processes",
        (
            Panel("CPU", "process_cpu_seconds_total", by, "percentunit", beside=beside),
            Panel("Memory", "process_resident_memory_bytes", by, "bytes", beside=beside),
            Panel("Open files", "process_open_fds", by, beside=beside),
        ),
    )


_RELAY: Final = "wsedge_relay_"
# A tenant can let a pod name any domain, but no other namespace than its own: never by domain alone.
_DOMAIN: Final = ("namespace", "domain")
_POD: Final = ("namespace", "pod")
RELAYS: Final = Dashboard(
    uid="wsedge-relays",
    title="wsedge: relays",
    chosen_from=f"{_RELAY}open_connections",
    variables=("namespace", "domain"),
    rows=(
        (
            "Connections",
            (
                Panel("Open connections", f"{_RELAY}open_connections", _DOMAIN),
                Panel("Opened per second", f"{_RELAY}opened_connections_total", _DOMAIN, "ops"),
                Panel("Handshakes by HTTP status", f"{_RELAY}handshakes_total", ("code",), "ops"),
                Panel("Ends", f"{_RELAY}ended_connections_total", ("by", "reason", "code"), "ops"),
            ),
        ),
        (
            "Traffic",
            (
                Panel("To clients", f"{_RELAY}sent_bytes_total", _DOMAIN, "Bps"),
                Panel("From clients", f"{_RELAY}received_bytes_total", _DOMAIN, "Bps"),
                Panel("Messages", f"{_RELAY}data_messages_total", ("side", "type"), "ops"),
                Panel("Frame sizes", f"{_RELAY}frame_bytes", ("side",), "bytes"),
            ),
        ),
        (
            "Times",
            (
                Panel("Handshakes", f"{_RELAY}handshake_seconds", (), "s"),
                Panel("Round trips of heartbeats", f"{_RELAY}rtt_seconds", ("side",), "s"),
                Panel("Connecting to origins", f"{_RELAY}origin_connect_seconds", (), "s"),
            ),
        ),
        (
            "Origins",
            (
                Panel("Failures", f"{_RELAY}origin_failures_total", (*_DOMAIN, "reason"), "ops"),
                Panel("Healthy", f"{_RELAY}origin_healthy", (*_DOMAIN, "origin"), over="min"),
                Panel("In use", f"{_RELAY}origin_connections", (*_DOMAIN, "origin")),
                Panel("Ejections", f"{_RELAY}origin_ejections_total", (*_DOMAIN, "origin"), "ops"),
            ),
        ),
        (
            "What goes wrong",
            (
                Panel("Refused", f"{_RELAY}handshake_refusals_total", (*_DOMAIN, "reason"), "ops"),
                Panel("Silent sides", f"{_RELAY}dead_legs_total", (*_DOMAIN, "side"), "ops"),
                Panel("Sides that accept no bytes", f"{_RELAY}stalled_legs_total", (*_DOMAIN, "side"), "ops"),
                Panel("Throttled", f"{_RELAY}throttles_total", (*_DOMAIN, "side"), "ops"),
            ),
        ),
        (
            "Usage reports",
            (
                Panel("Acknowledged", f"{_RELAY}usage_reports_taken_total", _POD, "ops"),
                Panel("Failed", f"{_RELAY}usage_reports_failed_total", _POD, "ops"),
                Panel("Rows that wait", f"{_RELAY}usage_rows_waiting", _POD),
                Panel("Clock ahead of the statistics", f"{_RELAY}usage_clock_ahead_seconds", _POD, "s"),
            ),
        ),
        (
            "Pods",
            (
                Panel("Accept connections", f"{_RELAY}ready", _POD, over="min"),
                Panel("Configuration refused", f"{_RELAY}config_refused", _POD),
                Panel("Workers", f"{_RELAY}workers", _POD),
                Panel("Restarts of workers", f"{_RELAY}worker_restarts_total", _POD, "ops"),
            ),
        ),
        _process(f"{_RELAY}ready", _POD),
    ),
)

_OPERATOR: Final = "wsedge_operator_"
OPERATOR: Final = Dashboard(
    uid="wsedge-operator",
    title="wsedge: operator",
    chosen_from=f"{_OPERATOR}leading",
    rows=(
        (
            "Work",
            (
                Panel("Leads", f"{_OPERATOR}leading", ("pod",)),
                Panel("Reconciliations", f"{_OPERATOR}reconciles_total", ("kind", "result"), "ops"),
                Panel("Time of a reconciliation", f"{_OPERATOR}reconcile_seconds", ("kind",), "s"),
                Panel(
                    "Age of the last success",
                    f"{_OPERATOR}last_success_seconds",
                    ("kind",),
                    "s",
                    "max",
                    "",
                    True,
                ),
            ),
        ),
        (
            "Queue and writes",
            (
                Panel("Keys that wait", f"{_OPERATOR}queue_length"),
                Panel("First key has waited", f"{_OPERATOR}queue_oldest_seconds", (), "s", "max"),
                Panel("Keys that fail", f"{_OPERATOR}failing_objects"),
                Panel("Writes", f"{_OPERATOR}writes_total", ("kind", "verb"), "ops"),
            ),
        ),
        (
            "The cluster as it sees it",
            (
                Panel("Objects in the cache", f"{_OPERATOR}cached_objects", ("kind",), over="max"),
                Panel(
                    "Watches that began again", f"{_OPERATOR}watch_restarts_total", ("kind", "reason"), "ops"
                ),
                Panel("Domains whose pods are replaced", f"{_OPERATOR}rollouts", ("state",)),
                Panel("Failures that could not be reported", f"{_OPERATOR}untold_failures_total", (), "ops"),
            ),
        ),
        _process(f"{_OPERATOR}leading", ("pod",)),
    ),
)

_STATISTICS: Final = "wsedge_statistics_"
STATISTICS: Final = Dashboard(
    uid="wsedge-statistics",
    title="wsedge: statistics",
    chosen_from=f"{_STATISTICS}ledger_writable",
    rows=(
        (
            "Reports",
            (
                Panel("Committed", f"{_STATISTICS}ingested_reports_total", (), "ops"),
                Panel("Rows", f"{_STATISTICS}ingested_rows_total", (), "ops"),
                Panel("Behind their bucket", f"{_STATISTICS}ingest_lag_seconds", (), "s"),
                Panel("Refused", f"{_STATISTICS}ingest_refused_total", ("reason",), "ops"),
            ),
        ),
        (
            "Relays and questions",
            (
                Panel("Relays", f"{_STATISTICS}relays", ("state",)),
                Panel("Incomplete buckets", f"{_STATISTICS}incomplete_buckets"),
                Panel("Questions", f"{_STATISTICS}queries_total", ("endpoint",), "ops"),
                Panel("Time of a question", f"{_STATISTICS}query_seconds", ("endpoint",), "s"),
                Panel("Refused rows", f"{_STATISTICS}refused_rows_total", ("reason",), "ops"),
            ),
        ),
        (
            "Ledger",
            (
                Panel("Size", f"{_STATISTICS}ledger_bytes", (), "bytes"),
                Panel("Free on its disk", f"{_STATISTICS}disk_free_bytes", (), "bytes"),
                Panel("Growth per day", f"{_STATISTICS}ledger_growth_bytes_per_day", (), "bytes"),
                Panel("Days until the disk is full", f"{_STATISTICS}disk_days_left", (), over="min"),
                Panel("Time of a commit", f"{_STATISTICS}commit_seconds", (), "s"),
                Panel("Writes that wait", f"{_STATISTICS}ledger_backlog"),
                Panel("Writable", f"{_STATISTICS}ledger_writable", (), over="min"),
                Panel("Damaged places met", f"{_STATISTICS}ledger_damage_total", (), "ops"),
            ),
        ),
        (
            "Statements",
            (
                Panel("Overdue", f"{_STATISTICS}statements_overdue"),
                Panel("Attempts that failed", f"{_STATISTICS}statement_failures_total", (), "ops"),
                Panel("Closes statements", f"{_STATISTICS}closing_alive", (), over="min"),
                Panel("Deletions behind", f"{_STATISTICS}deletions_behind_seconds", (), "s", "max"),
            ),
        ),
        _process(f"{_STATISTICS}ledger_writable", ("pod",)),
    ),
)

ALL: Final = (RELAYS, OPERATOR, STATISTICS)
