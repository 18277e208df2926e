"""The operator's own metrics, `wsedge_operator_…`, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one operator process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "wsedge_operator_reconciles",
            "Reconciliations, by kind of key and result (done, failed).",
            ["kind", "result"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "wsedge_operator_reconcile_seconds",
            "Duration of a reconciliation, calls included.",
            ["kind"],
            registry=self.registry,
        )
        self.writes = Counter(
            "wsedge_operator_writes",
            "Writes to the API server, by kind and verb; none while nothing changes.",
            ["kind", "verb"],
            registry=self.registry,
        )
        self.failing = Gauge(
            "wsedge_operator_failing_objects",
            "Keys whose last reconciliation failed; each is retried.",
            registry=self.registry,
        )
        self.missing = Gauge(
            "wsedge_operator_missing_namespace",
            "1 for a served namespace that does not exist, or in which the operator lacks a right.",
            ["namespace"],
            registry=self.registry,
        )
        self.unreported = Counter(
            "wsedge_operator_untold_failures",
            "Failures that could be reported neither in a status nor in an Event; the log has them.",
            registry=self.registry,
        )
        self.queue = Gauge(
            "wsedge_operator_queue_length", "Keys that wait to be reconciled.", registry=self.registry
        )
        self.objects = Gauge(
            "wsedge_operator_cached_objects",
            "Objects in the cache, by kind.",
            ["kind"],
            registry=self.registry,
        )
        self.rollouts = Gauge(
            "wsedge_operator_rollouts",
            "Domains whose pods a change of the operator replaces, by state (waiting, rolling, failed,"
            " failed_alone).",
            ["state"],
            registry=self.registry,
        )
        self.leading = Gauge("wsedge_operator_leading", "1 while this process leads.", registry=self.registry)
