"""How many relays there shall be, and who decides that.

    spec.relay.replicas ──▶ the operator writes it
    somebody scales the Deployment itself (a HorizontalPodAutoscaler, kubectl scale), to 1 or more ──▶
        respected and told: writing it back would make and kill pods with each turn of an autoscaler
    spec.relay.replicas is edited after that ──▶ the operator writes it, once

Both an autoscaler and kubectl go through the subresource `scale`, which the API server notes in
`managedFields`. Whoever forges that entry decides about the number of his own relays alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from wsedge_operator.desired.names import ASKED_REPLICAS_ANNOTATION
from wsedge_operator.reconcile.outcome import Manifest

MOST_REPLICAS: Final = 100  # as of spec.relay.replicas


@dataclass(frozen=True, slots=True)
class Scaled:
    """A Deployment that was scaled from outside: to how many, by which field manager, and if just now."""

    replicas: int
    manager: str
    is_new: bool = False

    def told(self, wanted: int) -> str:
        """Return what a person should know of it."""
        return (
            f"the Deployment was scaled from outside to {self.replicas} (field manager {self.manager}), which"
            f" is left so although spec.relay.replicas is {wanted}; let an autoscaler scale the"
            " WebSocketDomain, not its Deployment"
        )


def scaled_from_outside(deployment: Manifest | None, wanted: int) -> Scaled | None:
    """Return how somebody else has scaled the live Deployment, where that is to be respected."""
    if deployment is None:
        return None
    replicas = int(deployment["spec"].get("replicas") or 0)
    manager = _scaling_manager(deployment)
    asked = (deployment["metadata"].get("annotations") or {}).get(ASKED_REPLICAS_ANNOTATION)
    if manager is None or not 1 <= replicas <= MOST_REPLICAS:
        # Nobody scales to nothing in silence: the relays of a domain that is switched on come back.
        return None
    if asked is None:
        return Scaled(replicas, manager, is_new=True) if replicas != wanted else None
    # An autoscaler that comes by our number is no reason to write it: it will go on from there.
    return Scaled(replicas, manager) if asked == str(wanted) else None


def _scaling_manager(deployment: Manifest) -> str | None:
    entries: list[dict[str, Any]] = deployment["metadata"].get("managedFields") or []
    for entry in entries:
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("subresource") == "scale" and "f:replicas" in fields:
            return str(entry.get("manager") or "unknown")
    return None
