"""The number of relays, and which client decides it.

    the operator scales ──another client scales the Deployment to 1..100──▶ the other client scales
         ▲                                                                         │
         └──────── spec.relay.replicas is edited, or another client scales to 0 ───┘

    the operator scales           it writes spec.relay.replicas
    the other client scales       the operator writes no number, and reports it by an Event and in Ready:
                                  a number written back would start and stop pods at each write of an
                                  autoscaler

A HorizontalPodAutoscaler and `kubectl scale` write the subresource `scale`, which the API server records in
`managedFields`. A client that forges that entry can only change the number of its own relays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from wsedge_operator.desired.names import ASKED_REPLICAS_ANNOTATION
from wsedge_operator.reconcile.outcome import Manifest

MOST_REPLICAS: Final = 100  # the maximum of spec.relay.replicas


@dataclass(frozen=True, slots=True)
class ScaledFromOutside:
    """The number of relays that another client wrote, its field manager, and whether that is news."""

    replicas: int
    manager: str
    is_new: bool = False

    def message(self, wanted: int) -> str:
        """Return the sentence for the Event and for Ready; `wanted` is spec.relay.replicas."""
        return (
            f"another client scaled the Deployment to {self.replicas} (field manager {self.manager}), and the"
            f" operator respects that although spec.relay.replicas is {wanted}; let an autoscaler scale the"
            " WebSocketDomain, not its Deployment"
        )


def scaled_from_outside(deployment: Manifest | None, wanted: int) -> ScaledFromOutside | None:
    """Return the number of another client; None if `wanted`, spec.relay.replicas, is to be written."""
    if deployment is None:
        return None
    replicas = int(deployment["spec"].get("replicas") or 0)
    manager = _scaling_manager(deployment)
    asked = (deployment["metadata"].get("annotations") or {}).get(ASKED_REPLICAS_ANNOTATION)
    if manager is None or not 1 <= replicas <= MOST_REPLICAS:
        # 0 is not respected: a domain is switched off by spec.websocket.enabled, which drains its relays.
        return None
    if asked is None:
        return ScaledFromOutside(replicas, manager, is_new=True) if replicas != wanted else None
    # No comparison with `replicas`: an autoscaler that happens to choose the number of the spec still scales.
    return ScaledFromOutside(replicas, manager) if asked == str(wanted) else None


def _scaling_manager(deployment: Manifest) -> str | None:
    entries: list[dict[str, Any]] = deployment["metadata"].get("managedFields") or []
    for entry in entries:
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("subresource") == "scale" and "f:replicas" in fields:
            return str(entry.get("manager") or "unknown")
    return None
