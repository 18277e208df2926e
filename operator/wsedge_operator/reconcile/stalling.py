"""Since when an object waits for something that may never exist, and when that counts as failed.

Tools that wait for an object (kstatus, which is in Helm and Flux) read `Stalled=True` as failed and give up,
and any other object that is not ready as in progress. What only an edit of the object can correct has failed
at once. What the object refers to (a Secret, a Service, a plan) is often applied in the same second, in any
order: the object waits for it, and counts as failed only when that has lasted for five minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.websocket_domain import STALLED
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.reasons import Reason

PATIENCE: Final = timedelta(minutes=5)

# Reasons that nothing but another edit, of this object or of one that came before it, can end.
AT_ONCE: Final = frozenset(
    {Reason.DOMAIN_CONFLICT, Reason.INVALID_TIME_ZONE, Reason.PLAN_CONFLICT, Reason.UNREADABLE}
)
# Reasons that pass by themselves, however long they take.
PROGRESSING: Final = frozenset(
    {
        Reason.DRAINING,
        Reason.NO_RELAYS,
        Reason.RELAYS_STARTING,
        Reason.RELAYS_UPDATING,
        Reason.REMOVING,
        Reason.ROLLING_OUT,
    }
)


@dataclass(frozen=True, slots=True)
class Stall:
    """The condition `Stalled`, if the object waits for something, and when it turns by itself."""

    answer: ConditionAnswer | None = None
    turns_at: datetime | None = None


def stall(live: Manifest, ready: ConditionAnswer, now: datetime) -> Stall:
    """Return whether an object that answers `ready` is stalled at `now`."""
    if ready.true or ready.reason in PROGRESSING:
        return Stall()
    before = _before(live)
    same = before.get("reason") == ready.reason
    same = same and before.get("observedGeneration") == live["metadata"].get("generation", 0)
    if ready.reason in AT_ONCE or (same and before.get("status") == "True"):
        return Stall(ConditionAnswer(STALLED, True, ready.reason, ready.message))
    # Another reason, or another spec, has its time of its own.
    since = datetime.fromisoformat(before["lastTransitionTime"]) if same else now
    failed_at = since + PATIENCE
    if now >= failed_at:
        return Stall(ConditionAnswer(STALLED, True, ready.reason, ready.message))
    message = f"waited for until {instant_text(failed_at)}: {ready.message}"
    return Stall(ConditionAnswer(STALLED, False, ready.reason, message, since=since), failed_at)


def _before(live: Manifest) -> dict[str, Any]:
    found = (live.get("status") or {}).get("conditions") or ()
    return next((dict(entry) for entry in found if entry["type"] == STALLED), {})
