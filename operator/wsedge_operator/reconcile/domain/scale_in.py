"""Which relays are deleted first at a scale-in: those with the fewest open connections.

The ReplicaSet controller deletes the pods with the lowest `controller.kubernetes.io/pod-deletion-cost`
(Kubernetes docs, ReplicaSet). It reads the annotation when it deletes, so costs are written just before the
smaller number, and at no other time: frequent updates would load the API server.
"""

from __future__ import annotations

from typing import Final

from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Cost, Manifest

COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"


def is_scale_in(deployment: Manifest | None, replicas: int | None) -> bool:
    """Return whether `replicas` is less than that of the live Deployment; None: another client scales it."""
    if deployment is None or replicas is None:
        return False
    return int(deployment["spec"].get("replicas") or 0) > replicas


def costs(snapshot: DomainSnapshot) -> list[Cost]:
    """Return the cost of each live pod whose relay answered, if the pod does not have it yet.

    The annotation of a pod that did not answer is unchanged. Without one its cost is 0: it is deleted first.
    """
    found = []
    for pod in snapshot.pods:
        report = snapshot.relays.get(pod["metadata"]["uid"])
        if not pods.is_live(pod) or report is None or report.state is None:
            continue
        connections = report.state.openConnections
        annotations = pod["metadata"].get("annotations") or {}
        if annotations.get(COST_ANNOTATION) != str(connections):
            found.append(Cost(pod["metadata"]["namespace"], pod["metadata"]["name"], connections))
    return found
