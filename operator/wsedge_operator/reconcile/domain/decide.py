"""What to do for a WebSocketDomain.

It is served while it is accepted (it owns its name, see `claims`), switched on, and its account's plan is in
force. Before that nothing of it exists in the cluster, not even a Service. After that its relays drain, then
all of it goes but the Service. While something cannot be resolved (a Secret, a Service), the last good
configuration stays and the condition names the field. While the object cannot be read, all that there is
stays: nothing that serves is withdrawn but by a decision that was understood. In a namespace that is not
selected nothing is made, and what serves stays as it is until the switch, the plan's end or the deletion.
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
from wsedge_operator.reconcile.conditions import Answer, accepted_with, conditions
from wsedge_operator.reconcile.domain.claims import claimed_name, first_served, owner_of
from wsedge_operator.reconcile.domain.keeping import keep
from wsedge_operator.reconcile.domain.serving import serve
from wsedge_operator.reconcile.domain.snapshot import Course, DomainSnapshot
from wsedge_operator.reconcile.domain.withdrawing import is_draining, withdraw
from wsedge_operator.reconcile.outcome import Note, Outcome, Status, earliest, is_going
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.reconcile.selection import NOT_SELECTED
from wsedge_operator.reconcile.stalling import ON_COURSE, stall


def decide(snapshot: DomainSnapshot, now: datetime) -> Outcome:
    """Return what to do for the WebSocketDomain of `snapshot` at `now` (aware)."""
    if snapshot.live["metadata"].get("deletionTimestamp"):
        # Its children have an owner that goes: the garbage collector takes them, the pods drain on SIGTERM.
        return Outcome()
    try:
        spec = read(api.WebSocketDomain, snapshot.live).spec
    except UnreadableError as error:
        accepted, course = _unread(snapshot, error, now)
    else:
        accepted = _conflict(snapshot) or _unselected(snapshot) or _acceptance(snapshot, spec)
        if accepted.true and spec.websocket.enabled and snapshot.standing.effective:
            course = serve(snapshot, spec, now)
        else:
            course = _keep_or_withdraw(snapshot, accepted, now, enabled=spec.websocket.enabled)
    course.answers[:0] = [accepted, snapshot.standing.answer(api.PLAN_EFFECTIVE)]
    return _finish(snapshot, course, now)


def _unread(snapshot: DomainSnapshot, error: UnreadableError, now: datetime) -> tuple[Answer, Course]:
    """Decide as far as that can be without the spec: by the name's owner, the switch and the plan."""
    message = f"this version of the operator cannot read the object, and changes nothing of it: {error}"
    unread = Answer(api.ACCEPTED, None, Reason.UNREADABLE, message)
    accepted = _conflict(snapshot) or _unselected(snapshot) or unread
    enabled = part_at(snapshot.live, "spec", "websocket", "enabled") is not False
    if accepted.true is None and enabled and snapshot.standing.effective:
        return accepted, keep(snapshot, Answer(api.READY, False, Reason.UNREADABLE, message), now)
    return accepted, _keep_or_withdraw(snapshot, accepted, now, enabled=enabled)


def _keep_or_withdraw(snapshot: DomainSnapshot, accepted: Answer, now: datetime, *, enabled: bool) -> Course:
    """Withdraw a domain that is not to be served; where only its namespace's labels say so, keep it."""
    is_unselected = accepted.reason == Reason.NAMESPACE_NOT_SELECTED
    if is_unselected and enabled and snapshot.standing.effective and _serves(snapshot):
        return keep(snapshot, Answer(api.READY, False, accepted.reason, accepted.message), now)
    return withdraw(snapshot, _unserved(snapshot, accepted, enabled=enabled), now)


def _serves(snapshot: DomainSnapshot) -> bool:
    """Tell whether there are relays that no decision has withdrawn yet."""
    program = snapshot.children.get("Deployment")
    return program is not None and not is_going(program) and not is_draining(snapshot)


def _unselected(snapshot: DomainSnapshot) -> Answer | None:
    """Answer that the namespace is not one that the operator serves, or None."""
    if snapshot.selected:
        return None
    return Answer(api.ACCEPTED, False, Reason.NAMESPACE_NOT_SELECTED, NOT_SELECTED)


def _conflict(snapshot: DomainSnapshot) -> Answer | None:
    """Answer that another WebSocketDomain owns the name, or None.

    One of another namespace is not named: whose it is does not concern this tenant.
    """
    metadata = snapshot.live["metadata"]
    owner = owner_of(snapshot.claims)
    if owner is None or owner.uid == metadata["uid"]:
        return None
    name = claimed_name(snapshot.live)
    whose = f'WebSocketDomain "{owner.name}"'
    if owner.namespace != metadata["namespace"]:
        whose = "a WebSocketDomain of another namespace; the cluster's administrator knows which"
    return Answer(api.ACCEPTED, False, Reason.DOMAIN_CONFLICT, f"spec.domain: {name} belongs to {whose}")


def _acceptance(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Answer:
    message = f"{spec.domain} belongs to this WebSocketDomain"
    return accepted_with(unknown_fields(api.WebSocketDomain, snapshot.live), message)


def _unserved(snapshot: DomainSnapshot, accepted: Answer, *, enabled: bool) -> Answer:
    """Answer whether it is well that the domain is not served: switched off, or waiting for a date."""
    if accepted.true is False:
        return Answer(api.READY, False, accepted.reason, accepted.message)
    if not enabled:
        return Answer(api.READY, True, Reason.DISABLED, "switched off (spec.websocket.enabled)")
    standing = snapshot.standing
    return Answer(api.READY, standing.is_scheduled, standing.reason, standing.message)


def _finish(snapshot: DomainSnapshot, course: Course, now: datetime) -> Outcome:
    live = snapshot.live
    stalled = stall(live, next(answer for answer in course.answers if answer.type == api.READY), now)
    also = (_name_kept(snapshot, course, now), stalled.answer)
    answers = [*course.answers, *(answer for answer in also if answer is not None)]
    written, turned = conditions(live, answers, now)
    status = _status(snapshot, course, written)
    metadata = live["metadata"]
    changed = status != (live.get("status") or {})
    return Outcome(
        ask=tuple(course.ask),
        restore=tuple(course.restore),
        costs=tuple(course.costs),
        apply=tuple(course.apply),
        delete=tuple(course.delete),
        pokes=tuple(course.pokes),
        status=(Status(API_VERSION, api.KIND, metadata["namespace"], metadata["name"], status),)
        if changed
        else (),
        notes=(*course.notes, *_notes(live, turned, now)),
        look_again_at=earliest(course.look_again_at, stalled.turns_at),
    )


def _name_kept(snapshot: DomainSnapshot, course: Course, now: datetime) -> Answer | None:
    since = first_served(snapshot.live) or (now if course.serves else None)
    if since is None:
        return None
    message = f"served since {instant_text(since)}: the name stays this object's until it is deleted"
    return Answer(api.NAME_KEPT, True, Reason.HAS_BEEN_SERVED, message, since=since)


def _status(snapshot: DomainSnapshot, course: Course, written: list[dict[str, Any]]) -> dict[str, Any]:
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
    if course.generation is not None:
        status["configuration"] = course.generation
        if service is not None and service["spec"].get("clusterIP"):
            status["address"] = {
                "service": child_name(name),
                "clusterIP": service["spec"]["clusterIP"],
                "httpPort": HTTP_SERVICE_PORT,
                **({"httpsPort": HTTPS_SERVICE_PORT} if course.serves_tls else {}),
            }
    return status


def _notes(live: Any, turned: list[Answer], now: datetime) -> list[Note]:
    """Return an Event for each turn of Ready, whose reason tells why, and for fields that are ignored."""
    return [
        Note(
            regarding=live,
            type="Normal" if answer.reason in ON_COURSE or _is_well(answer) else "Warning",
            reason=answer.reason,
            message=answer.message,
            turn=f"{answer.type} {answer.status} {instant_text(now)}",
        )
        for answer in turned
        if answer.type == api.READY or answer.reason == Reason.UNKNOWN_FIELDS
    ]


def _is_well(answer: Answer) -> bool:
    return answer.true is True and answer.reason != Reason.UNKNOWN_FIELDS
