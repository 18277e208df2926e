"""What to do for a WebSocketDomain.

It is served while it is accepted (the oldest claim on its domain), switched on, and its account's plan is in
force. Before that nothing of it exists in the cluster, not even a Service. After that its relays drain, then
all of it goes. What cannot be resolved (a Secret, a Service) keeps the last good configuration in place and
is told by field path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from wsedge_operator.api import websocket_domain as api
from wsedge_operator.api.meta import API_VERSION, instant_text
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired import network
from wsedge_operator.desired.names import child_name, selector_labels
from wsedge_operator.reconcile.conditions import Answer, conditions
from wsedge_operator.reconcile.outcome import Note, Outcome, Status
from wsedge_operator.reconcile.serving import serve
from wsedge_operator.reconcile.snapshot import Course, DomainSnapshot
from wsedge_operator.reconcile.withdrawing import withdraw

DISABLED: Final = "Disabled"


def decide(snapshot: DomainSnapshot, now: datetime) -> Outcome:
    """Return what to do for the WebSocketDomain of `snapshot` at `now` (aware)."""
    if snapshot.live["metadata"].get("deletionTimestamp"):
        # Its children have an owner that goes: the garbage collector takes them, the pods drain on SIGTERM.
        return Outcome()
    plan = snapshot.standing.answer(api.PLAN_EFFECTIVE)
    try:
        spec = api.WebSocketDomain.model_validate(snapshot.live).spec
    except ValidationError as error:
        accepted = Answer(api.ACCEPTED, False, "Invalid", _text(error))
        course = withdraw(snapshot, Answer(api.READY, False, "Invalid", accepted.message), now)
    else:
        accepted = _accepted(snapshot, spec)
        if accepted.true and spec.websocket.enabled and snapshot.standing.effective:
            course = serve(snapshot, spec, now)
        else:
            course = withdraw(snapshot, _unserved(snapshot, accepted, spec), now)
    course.answers[:0] = [accepted, plan]
    return _finish(snapshot, course, now)


def _accepted(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> Answer:
    uid = snapshot.live["metadata"]["uid"]
    owner = min(snapshot.claims, key=lambda claim: claim.age, default=None)
    if owner is None or owner.uid == uid:
        return Answer(api.ACCEPTED, True, "Accepted", f"{spec.domain} belongs to this WebSocketDomain")
    message = (
        f"spec.domain: {spec.domain} belongs to WebSocketDomain {owner.namespace}/{owner.name}, which has"
        f" claimed it since {instant_text(owner.created)}"
    )
    return Answer(api.ACCEPTED, False, "DomainConflict", message)


def _unserved(snapshot: DomainSnapshot, accepted: Answer, spec: WebSocketDomainSpec) -> Answer:
    """Answer whether it is well that the domain is not served: switched off, or waiting for a date."""
    if not accepted.true:
        return Answer(api.READY, False, accepted.reason, accepted.message)
    if not spec.websocket.enabled:
        return Answer(api.READY, True, DISABLED, "switched off (spec.websocket.enabled)")
    standing = snapshot.standing
    return Answer(api.READY, standing.is_scheduled, standing.reason, standing.message)


def _text(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, part['loc'])) or 'object'}: {part['msg']}" for part in error.errors()
    )


def _finish(snapshot: DomainSnapshot, course: Course, now: datetime) -> Outcome:
    live = snapshot.live
    answers = [*course.answers, *([course.stalled] if course.stalled is not None else [])]
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
        look_again_at=course.look_again_at,
    )


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
                "httpPort": network.HTTP_SERVICE_PORT,
                **({"httpsPort": network.HTTPS_SERVICE_PORT} if course.serves_tls else {}),
            }
    return status


def _notes(live: Any, turned: list[Answer], now: datetime) -> list[Note]:
    """Return an Event for a refusal, and for each turn of Ready, whose reason tells why."""
    return [
        Note(
            regarding=live,
            type="Normal" if answer.true or answer.reason in _COURSE else "Warning",
            reason=answer.reason,
            message=answer.message,
            turn=f"{answer.type} {answer.status} {instant_text(now)}",
        )
        for answer in turned
        if answer.type == api.READY
    ]


# Reasons for not being ready that pass by themselves.
_COURSE: Final = frozenset(
    {"RelaysStarting", "RelaysUpdating", "RollingOut", "NoRelays", "Draining", "Removing"}
)
