"""A domain of which nothing was decided: all that there is stays.

Its spec cannot be read, or its namespace is not selected (any more).
"""

from __future__ import annotations

from datetime import datetime

from wsedge_operator.api.websocket_domain import CONFIGURATION_CURRENT, READY
from wsedge_operator.desired.service import HTTPS_SERVICE_PORT
from wsedge_operator.reconcile.conditions import Answer
from wsedge_operator.reconcile.domain.rollout import generation_of, rollout
from wsedge_operator.reconcile.domain.snapshot import Course, DomainSnapshot
from wsedge_operator.reconcile.outcome import Manifest, earliest
from wsedge_operator.reconcile.reasons import Reason


def keep(snapshot: DomainSnapshot, why: Answer, now: datetime) -> Course:
    """Return the course by which no child is touched; `why` answers whether the domain is ready."""
    course = Course(look_again_at=snapshot.standing.changes_at)
    course.generation = generation_of(snapshot.children.get("ConfigMap"))
    course.serves_tls = has_tls_port(snapshot.children.get("Service"))
    current, ready = Answer(CONFIGURATION_CURRENT, False, Reason.NO_RELAYS, "there are no relays"), why
    if course.generation is not None:
        state = rollout(snapshot, course.generation, now)
        course.pokes += state.pokes
        course.look_again_at = earliest(course.look_again_at, state.look_again_at)
        current = state.answer
        ready = Answer(READY, why.true, why.reason, f"{why.message}; the relays keep what they have")
    if snapshot.failure is not None:
        ready = Answer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    course.answers += [current, ready]
    return course


def has_tls_port(service: Manifest | None) -> bool:
    """Tell whether a live Service of relays has the port for wss."""
    ports = service["spec"].get("ports") or () if service is not None else ()
    return any(port["port"] == HTTPS_SERVICE_PORT for port in ports)
