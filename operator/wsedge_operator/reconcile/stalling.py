"""The condition `Stalled`: when an object that waits for something has failed.

kstatus, in Helm and Flux, reads `Stalled=True` as failed and stops waiting, and reads any other object that
is not ready as in progress.

    only another edit can correct it (STALLED_AT_ONCE)      Stalled=True at once
    relays start, update or drain (PROGRESSING)             never stalled
    any other reason                                        Stalled=False, and True after STALLED_AFTER

The last row has a delay because a Secret, a Service or a plan that an object refers to is often applied in
the same second, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from wsedge_operator.api.meta import instant_of, instant_text
from wsedge_operator.api.websocket_domain import STALLED
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.reasons import Reason

STALLED_AFTER: Final = timedelta(minutes=5)

# Reasons that end only with an edit of this object, of an older object that it conflicts with, or of another
# controller's objects.
STALLED_AT_ONCE: Final = frozenset(
    {
        Reason.DOMAIN_CONFLICT,
        Reason.INVALID_TIME_ZONE,
        Reason.PLAN_CONFLICT,
        Reason.UNREADABLE,
        # These have waited for five minutes already.
        Reason.LOAD_BALANCER_WITHOUT_ADDRESS,
        Reason.ROUTE_NOT_ANSWERED,
    }
)
# Reasons that end without an edit, however long that takes.
PROGRESSING: Final = frozenset(
    {
        Reason.DRAINING,
        Reason.LOAD_BALANCER_PENDING,
        Reason.NO_RELAYS,
        Reason.RELAYS_STARTING,
        Reason.RELAYS_UPDATING,
        Reason.REMOVING,
        Reason.ROLLING_OUT,
        Reason.ROUTE_PENDING,
    }
)


@dataclass(frozen=True, slots=True)
class Stall:
    """The condition `Stalled`, None if it does not apply, and the time at which it becomes True."""

    answer: ConditionAnswer | None = None
    changes_at: datetime | None = None


def stall(live: Manifest, ready: ConditionAnswer, now: datetime) -> Stall:
    """Return the condition `Stalled` at `now` of an object whose condition Ready is `ready`."""
    if ready.true or ready.reason in PROGRESSING:
        return Stall()
    before = _last_condition(live)
    same = before.get("reason") == ready.reason
    same = same and before.get("observedGeneration") == live["metadata"].get("generation", 0)
    if ready.reason in STALLED_AT_ONCE or (same and before.get("status") == "True"):
        return Stall(ConditionAnswer(STALLED, True, ready.reason, ready.message))
    # Another reason or another spec starts the five minutes anew.
    since = (instant_of(before["lastTransitionTime"]) if same else None) or now
    failed_at = since + STALLED_AFTER
    if now >= failed_at:
        return Stall(ConditionAnswer(STALLED, True, ready.reason, ready.message))
    message = f"counts as failed at {instant_text(failed_at)}: {ready.message}"
    return Stall(ConditionAnswer(STALLED, False, ready.reason, message, since=since), failed_at)


def _last_condition(live: Manifest) -> dict[str, Any]:
    found = (live.get("status") or {}).get("conditions") or ()
    return next((dict(entry) for entry in found if entry["type"] == STALLED), {})
