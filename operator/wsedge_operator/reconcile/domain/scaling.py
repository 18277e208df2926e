"""The number of relays, and what decides it: spec.relay.replicas, relay.autoscaling, or another client.

    the operator scales ──another client scales the Deployment to 1..100──▶ the other client scales
         ▲                                                                         │
         └──────── spec.relay.replicas is edited, or another client scales to 0 ───┘

    the operator scales           it writes spec.relay.replicas
    the other client scales       the operator writes no number, and reports it by an Event and in Ready:
                                  a number written back would start and stop pods at each write of an
                                  autoscaler

A HorizontalPodAutoscaler and `kubectl scale` write the subresource `scale`, which the API server records in
`managedFields`. A client that forges that entry can only change the number of its own relays.

With relay.autoscaling the Deployment has the number, and nothing else stores it. Another client that writes
it is not respected: the next evaluation starts from its number, as that of a HorizontalPodAutoscaler does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.spec.relay import Relay
from wsedge_operator.desired.names import ASKED_REPLICAS_ANNOTATION
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad, autoscale
from wsedge_operator.reconcile.domain.memory import ScalingMemory
from wsedge_operator.reconcile.outcome import EventNote, Manifest
from wsedge_operator.reconcile.reasons import Reason

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


@dataclass(frozen=True, slots=True)
class Size:
    """The number of relays.

    replicas    the number to write; None: another client scales the Deployment, `outside`
    wanted      the number that makes the domain ready
    memory      what the next evaluation of relay.autoscaling needs
    answer      the condition ScalingActive
    changed_at  the instant of a change by relay.autoscaling
    """

    replicas: int | None
    wanted: int
    outside: ScaledFromOutside | None = None
    memory: ScalingMemory | None = None
    answer: ConditionAnswer | None = None
    notes: tuple[EventNote, ...] = ()
    changed_at: datetime | None = None


def size_of(
    owner: Manifest,
    relay: Relay,
    deployment: Manifest | None,
    load: RelayLoad | None,
    memory: ScalingMemory | None,
    now: datetime,
) -> Size:
    """Return the number of relays of the WebSocketDomain `owner`."""
    rules = relay.autoscaling
    if rules is not None:
        current = int(deployment["spec"].get("replicas") or 0) if deployment is not None else None
        scaled = autoscale(rules, current, load, memory, now)
        answer = scaled.answer(rules)
        if scaled.change is None:
            return Size(scaled.replicas, scaled.replicas, memory=scaled.memory, answer=answer)
        text = f"{scaled.change}."
        note = EventNote(owner, "Normal", Reason.SCALED, text, f"{scaled.replicas} at {instant_text(now)}")
        return Size(
            scaled.replicas,
            scaled.replicas,
            memory=scaled.memory,
            answer=answer,
            notes=(note,),
            changed_at=now,
        )
    outside = scaled_from_outside(deployment, relay.replicas)
    if outside is None:
        return Size(relay.replicas, relay.replicas)
    notes: tuple[EventNote, ...] = ()
    if outside.is_new:
        text = outside.message(relay.replicas)
        text = f"{text[:1].upper()}{text[1:]}."
        occurrence = f"asked {relay.replicas} {outside.manager}"
        notes = (EventNote(owner, "Warning", Reason.SCALED_FROM_OUTSIDE, text, occurrence),)
    return Size(None, outside.replicas, outside, notes=notes)


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
