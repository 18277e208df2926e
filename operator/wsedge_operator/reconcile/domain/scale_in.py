"""Which relays go first when there shall be fewer: those that carry the fewest connections.

The ReplicaSet controller reads `controller.kubernetes.io/pod-deletion-cost` at the moment it deletes, so the
costs are written just before the smaller number, and at no other time: an idle cluster is not written to.
"""

from __future__ import annotations

from typing import Final

from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Cost, Manifest

COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"


def is_scale_in(deployment: Manifest | None, replicas: int | None) -> bool:
    """Tell whether `replicas` is fewer than the live Deployment has; None: somebody else decides them."""
    if deployment is None or replicas is None:
        return False
    return int(deployment["spec"].get("replicas") or 0) > replicas


def costs(snapshot: DomainSnapshot) -> list[Cost]:
    """Return the cost of each live pod that a relay answered for, where it is not written yet.

    A pod that did not answer keeps what it has: without an annotation that is 0, so it goes first.
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
