"""What to do for a WebSocketDomain.

A domain is served while it is accepted (it owns its name, see `claims`, in a namespace that is selected),
switched on, and its account's plan is in force.

    nothing ──accepted, on, plan in force──▶ served ──off, plan ended or name lost──▶ draining ──▶ withdrawn
    no child,                                 │  ▲                                                     │
    not even a Service                        │  │ readable and selected again                         │
                                              ▼  │                                                     │
                                             kept ──off, plan ended or name lost──▶ draining           │
    served ◀──accepted, on, plan in force──────────────────────────────────────────────────────────────┘

    served      `serving`: children as the spec asks for. While a Secret or a Service of the spec cannot be
                used, the last good configuration stays, and the condition names the field.
    kept        `keeping`: the spec cannot be read, or the namespace is not selected any more. No child is
                changed: nothing that serves is withdrawn but by a decision that was understood.
    draining    `withdrawing`: relays close their connections, then all children but the Service are deleted
    withdrawn   the Service stays, since its address is in DNS records and load balancers
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wsedge_operator.api import websocket_domain as api
from wsedge_operator.api.meta import API_VERSION, instant_text
from wsedge_operator.api.reading import part_at, read, unknown_fields
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.names import child_name, selector_labels
from wsedge_operator.desired.service import HTTP_SERVICE_PORT, HTTPS_SERVICE_PORT
from wsedge_operator.errors import UnreadableError
from wsedge_operator.reconcile.conditions import ConditionAnswer, accepted_with, conditions
from wsedge_operator.reconcile.domain.claims import claimed_name, first_served, owner_of
from wsedge_operator.reconcile.domain.keeping import keep
from wsedge_operator.reconcile.domain.serving import serve
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.domain.withdrawing import is_draining, withdraw
from wsedge_operator.reconcile.outcome import EventNote, Outcome, Status, earliest, is_going
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.reconcile.selection import NOT_SELECTED
from wsedge_operator.reconcile.stalling import PROGRESSING, stall


def decide(snapshot: DomainSnapshot, now: datetime) -> Outcome:
    """Return what to do for the WebSocketDomain of `snapshot` at `now` (aware)."""
    if snapshot.live["metadata"].get("deletionTimestamp"):
        # The garbage collector deletes the children with their owner; the pods drain on SIGTERM.
        return Outcome()
    try:
        spec = read(api.WebSocketDomain, snapshot.live).spec
    except UnreadableError as error:
        accepted, draft = _unread(snapshot, error, now)
    else:
        accepted = _conflict(snapshot) or _unselected(snapshot) or _acceptance(snapshot, spec)
        if accepted.true and spec.websocket.enabled and snapshot.standing.effective:
            draft = serve(snapshot, spec, now)
        else:
            draft = _keep_or_withdraw(snapshot, accepted, now, enabled=spec.websocket.enabled)
    draft.answers[:0] = [accepted, snapshot.standing.answer(api.PLAN_EFFECTIVE)]
    return _finish(snapshot, draft, now)


def _unread(
    snapshot: DomainSnapshot, error: UnreadableError, now: datetime
) -> tuple[ConditionAnswer, OutcomeDraft]:
    """Decide without the spec as a whole: by the owner of the name, the switch and the plan."""
    message = f"this version of the operator cannot read the object, and changes nothing of it: {error}"
    unread = ConditionAnswer(api.ACCEPTED, None, Reason.UNREADABLE, message)
    accepted = _conflict(snapshot) or _unselected(snapshot) or unread
    enabled = part_at(snapshot.live, "spec", "websocket", "enabled") is not False
    if accepted.true is None and enabled and snapshot.standing.effective:
        return accepted, keep(snapshot, ConditionAnswer(api.READY, False, Reason.UNREADABLE, message), now)
    return accepted, _keep_or_withdraw(snapshot, accepted, now, enabled=enabled)


def _keep_or_withdraw(
    snapshot: DomainSnapshot, accepted: ConditionAnswer, now: datetime, *, enabled: bool
) -> OutcomeDraft:
    """Withdraw a domain that is not to be served; where only its namespace's labels say so, keep it."""
    is_unselected = accepted.reason == Reason.NAMESPACE_NOT_SELECTED
    if is_unselected and enabled and snapshot.standing.effective and _serves(snapshot):
        return keep(snapshot, ConditionAnswer(api.READY, False, accepted.reason, accepted.message), now)
    return withdraw(snapshot, _unserved(snapshot, accepted, enabled=enabled), now)


def _serves(snapshot: DomainSnapshot) -> bool:
    """Tell whether there are relays that no decision has withdrawn yet."""
    program = snapshot.children.get("Deployment")
    return program is not None and not is_going(program) and not is_draining(snapshot)


def _unselected(snapshot: DomainSnapshot) -> ConditionAnswer | None:
    """Answer that the namespace is not one that the operator serves, or None."""
    if snapshot.selected:
        return None
    return ConditionAnswer(api.ACCEPTED, False, Reason.NAMESPACE_NOT_SELECTED, NOT_SELECTED)


def _conflict(snapshot: DomainSnapshot) -> ConditionAnswer | None:
    """Answer that another WebSocketDomain owns the name, or None.

    An owner in another namespace is not named: this tenant has no right to learn of it.
    """
    metadata = snapshot.live["metadata"]
    owner = owner_of(snapshot.claims)
    if owner is None or owner.uid == metadata["uid"]:
        return None
    name = claimed_name(snapshot.live)
    whose = f'WebSocketDomain "{owner.name}"'
    if owner.namespace != metadata["namespace"]:
        whose = "a WebSocketDomain of another namespace; the cluster's administrator knows which"
    return ConditionAnswer(
        api.ACCEPTED, False, Reason.DOMAIN_CONFLICT, f"spec.domain: {name} belongs to {whose}"
    )


def _acceptance(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> ConditionAnswer:
    message = f"{spec.domain} belongs to this WebSocketDomain"
    return accepted_with(unknown_fields(api.WebSocketDomain, snapshot.live), message)


def _unserved(snapshot: DomainSnapshot, accepted: ConditionAnswer, *, enabled: bool) -> ConditionAnswer:
    """Answer whether it is well that the domain is not served: switched off, or waiting for a date."""
    if accepted.true is False:
        return ConditionAnswer(api.READY, False, accepted.reason, accepted.message)
    if not enabled:
        return ConditionAnswer(api.READY, True, Reason.DISABLED, "switched off (spec.websocket.enabled)")
    standing = snapshot.standing
    return ConditionAnswer(api.READY, standing.is_scheduled, standing.reason, standing.message)


def _finish(snapshot: DomainSnapshot, draft: OutcomeDraft, now: datetime) -> Outcome:
    live = snapshot.live
    stalled = stall(live, next(answer for answer in draft.answers if answer.type == api.READY), now)
    also = (_name_kept(snapshot, draft, now), stalled.answer)
    answers = [*draft.answers, *(answer for answer in also if answer is not None)]
    written, turned = conditions(live, answers, now)
    status = _status(snapshot, draft, written)
    metadata = live["metadata"]
    changed = status != (live.get("status") or {})
    return Outcome(
        ask=tuple(draft.ask),
        restore=tuple(draft.restore),
        costs=tuple(draft.costs),
        apply=tuple(draft.apply),
        delete=tuple(draft.delete),
        pokes=tuple(draft.pokes),
        status=(Status(API_VERSION, api.KIND, metadata["namespace"], metadata["name"], status),)
        if changed
        else (),
        notes=(*draft.notes, *_notes(live, turned, now)),
        reconcile_at=earliest(draft.reconcile_at, stalled.turns_at),
    )


def _name_kept(snapshot: DomainSnapshot, draft: OutcomeDraft, now: datetime) -> ConditionAnswer | None:
    since = first_served(snapshot.live) or (now if draft.serves else None)
    if since is None:
        return None
    message = f"served since {instant_text(since)}: the name stays this object's until it is deleted"
    return ConditionAnswer(api.NAME_KEPT, True, Reason.HAS_BEEN_SERVED, message, since=since)


def _status(snapshot: DomainSnapshot, draft: OutcomeDraft, written: list[dict[str, Any]]) -> dict[str, Any]:
    metadata = snapshot.live["metadata"]
    name = metadata["name"]
    labels = selector_labels(name)
    program, service = (snapshot.children.get(kind) for kind in ("Deployment", "Service"))
    status: dict[str, Any] = {
        "observedGeneration": metadata.get("generation", 0),
        "conditions": written,
        "replicas": int(((program or {}).get("status") or {}).get("replicas") or 0),
        "selector": ",".join(f"{key}={labels[key]}" for key in sorted(labels)),
    }
    if draft.generation is not None:
        status["configuration"] = draft.generation
        if service is not None and service["spec"].get("clusterIP"):
            status["address"] = {
                "service": child_name(name),
                "clusterIP": service["spec"]["clusterIP"],
                "httpPort": HTTP_SERVICE_PORT,
                **({"httpsPort": HTTPS_SERVICE_PORT} if draft.serves_tls else {}),
            }
    return status


def _notes(live: Any, turned: list[ConditionAnswer], now: datetime) -> list[EventNote]:
    """Return an Event for each turn of Ready, whose reason tells why, and for fields that are ignored."""
    return [
        EventNote(
            regarding=live,
            type="Normal" if answer.reason in PROGRESSING or _is_well(answer) else "Warning",
            reason=answer.reason,
            message=answer.message,
            turn=f"{answer.type} {answer.status} {instant_text(now)}",
        )
        for answer in turned
        if answer.type == api.READY or answer.reason == Reason.UNKNOWN_FIELDS
    ]


def _is_well(answer: ConditionAnswer) -> bool:
    return answer.true is True and answer.reason != Reason.UNKNOWN_FIELDS
