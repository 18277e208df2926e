"""The operator's own metrics, `wsedge_operator_…`, for Prometheus.

No label has the name of an account or a domain: the number of series is the same with one domain and with
thousands. What can be read at a scrape is read then, and costs nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from wsedge_operator.kube.kinds import Kind

PREFIX: Final = "wsedge_operator_"


class Described(NamedTuple):
    """A metric as docs/observability.md shows it; `name` is without prefix and `_total`."""

    name: str
    type: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The metrics of one operator process, in a registry of its own; `table` describes them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.table: list[Described] = []
        self._of_work()
        self._of_reading()
        self._of_process()

    def _of_work(self) -> None:
        self.reconciles = self._counter(
            "reconciles", "Reconciliations, by kind of key and result (done, failed).", "kind", "result"
        )
        self.seconds = self._histogram(
            "reconcile_seconds", "Duration of a reconciliation, calls included.", "kind"
        )
        self.succeeded = self._gauge(
            "last_success_seconds",
            "Time of the last reconciliation that succeeded (Unix time), by kind of key. The directory is"
            " reconciled at least every minute; other kinds when something changes.",
            "kind",
        )
        self.failing = self._gauge(
            "failing_objects", "Keys whose last reconciliation failed; each is retried."
        )
        self.queue = self._gauge("queue_length", "Keys that wait to be reconciled.")
        self.oldest = self._gauge(
            "queue_oldest_seconds", "How long the first key of the queue has waited; 0 when none waits."
        )
        self.writes = self._counter(
            "writes",
            "Writes to the API server, by kind and verb; none while nothing changes.",
            "kind",
            "verb",
        )
        self.unreported = self._counter(
            "untold_failures",
            "Failures that could be reported neither in a status nor in an Event; the log has them.",
        )
        self.rollouts = self._gauge(
            "rollouts",
            "Domains whose pods a change of the operator replaces, by state (waiting, rolling, failed,"
            " failed_alone).",
            "state",
        )

    def _of_reading(self) -> None:
        self.objects = self._gauge("cached_objects", "Objects in the cache, by kind.", "kind")
        self.missing = self._gauge(
            "missing_namespace",
            "1 for a served namespace that does not exist, or in which the operator lacks a right.",
            "namespace",
        )
        self.watches = self._counter(
            "watch_restarts",
            "Watches that began again, by kind and reason: ended (the API server closes each after minutes),"
            " expired (listed again), refused (a right is missing), failed.",
            "kind",
            "reason",
        )

    def _of_process(self) -> None:
        self.leading = self._gauge("leading", "1 while this process leads.")
        ProcessCollector(registry=self.registry)

    def watch_queue(self, oldest: Callable[[], float]) -> None:
        """Read how long the first key has waited at each scrape."""
        self.oldest.set_function(oldest)

    def watch_restarted(self, kind: Kind, why: str) -> None:
        """Count a watch that begins again."""
        self.watches.labels(kind.kind, why).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.table.append(Described(name, "counter", labels, text))
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.table.append(Described(name, "gauge", labels, text))
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        self.table.append(Described(name, "histogram", labels, text))
        return Histogram(PREFIX + name, text, labels, registry=self.registry)
