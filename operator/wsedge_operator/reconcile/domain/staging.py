"""Whether the pods of a domain are replaced now, or wait for the domain's turn (see `reconcile.rollouts`).

    the template is that of the live Deployment     nothing to replace
    the spec asks for other pods than before        now: a user's edit does not wait
    no relay is available                           now: there is nothing to protect
    the operator's change is being rolled out       now: it replaces what the change before left unfinished
    another client changed the template             now: what it wrote must not stay until the turn comes
    the domain has its turn                         now, with a mark in `wsedge.io/rollout`
    otherwise                                       the Deployment keeps its template; all else is written

While the domain waits, the live template is the desired one. `held` is its digest at the first decision of
this process: any other template after that was written by another client. A process that has seen the
template of its own version in the Deployment lets it wait no more: its part of the template does not change
while it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.exact import parts, template_differences
from wsedge_operator.desired.names import (
    ASKED_PODS_ANNOTATION,
    ROLLOUT_ANNOTATION,
    TEMPLATE_ANNOTATION,
)
from wsedge_operator.desired.pods_digest import asked_digest, digest, template_digest
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.rollouts import LONGEST, Mark, is_complete, is_healthy, mark_of

# The process has seen the template of its own version, so it holds none any more.
SETTLED: Final = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """The Deployment to write.

    held           for the next snapshot: the digest of the template that waits for its turn, or SETTLED
    waits          whether the template stays until the domain's turn
    starts         whether the manifest begins a rollout of the operator's change
    ends           whether it removes the mark of a rollout that is complete
    reconcile_at   when to look at that rollout again without an event
    """

    manifest: dict[str, Any]
    held: str | None
    waits: bool = False
    starts: bool = False
    ends: bool = False
    reconcile_at: datetime | None = None


def stage(
    snapshot: DomainSnapshot, spec: WebSocketDomainSpec, wanted: dict[str, Any], now: datetime
) -> Staged:
    """Return the Deployment to write, where `wanted` is the one of this version of the operator."""
    live = snapshot.children.get("Deployment")
    made = {TEMPLATE_ANNOTATION: template_digest(wanted), ASKED_PODS_ANNOTATION: asked_digest(spec)}
    if live is None:
        return Staged(_annotated(wanted, made), snapshot.held)
    before = live["metadata"].get("annotations") or {}
    mark = mark_of(live)
    if _has_template(live, wanted, made[TEMPLATE_ANNOTATION]):
        # A complete rollout loses its mark: a later change of another field (the number of relays) makes the
        # Deployment look incomplete for a moment, and must not look like a rollout.
        rolls = mark is not None and not is_complete(live)
        kept = {ROLLOUT_ANNOTATION: str(mark)} if rolls else {}
        again = _end_of_turn(mark, now) if rolls else None
        ends = mark is not None and not rolls
        return Staged(_annotated(wanted, {**made, **kept}), SETTLED, ends=ends, reconcile_at=again)
    held = digest(parts(live)["spec"]["template"])
    is_edited = before.get(ASKED_PODS_ANNOTATION, made[ASKED_PODS_ANNOTATION]) != made[ASKED_PODS_ANNOTATION]
    is_down = not (live.get("status") or {}).get("availableReplicas")
    if is_edited or is_down or snapshot.held not in {None, held}:
        return Staged(_annotated(wanted, made), snapshot.held)
    if snapshot.turn.granted or (mark is not None and not is_complete(live)):
        # Relays that did not all run before the change are no evidence against it, whatever they do after it.
        was_healthy = _was_healthy(live, mark, snapshot.version)
        begun = Mark(snapshot.version, now, was_healthy=was_healthy)
        return Staged(_annotated(wanted, {**made, ROLLOUT_ANNOTATION: str(begun)}), held, starts=True)
    kept = {TEMPLATE_ANNOTATION: before[TEMPLATE_ANNOTATION]} if TEMPLATE_ANNOTATION in before else {}
    manifest = {**wanted, "spec": {**wanted["spec"], "template": _template(live)}}
    asked = {ASKED_PODS_ANNOTATION: made[ASKED_PODS_ANNOTATION]}
    return Staged(_annotated(manifest, {**kept, **asked}), held, waits=True, reconcile_at=snapshot.turn.again)


def _has_template(live: Manifest, wanted: Manifest, wanted_digest: str) -> bool:
    """Return whether `wanted` has the template that was written last.

    The Deployment of an older release has no digest of its template, and after a crash between two writes it
    may be an old one; then the templates are compared.
    """
    written = (live["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    return written == wanted_digest or not template_differences(live, wanted)


def _was_healthy(live: Manifest, mark: Mark | None, version: str) -> bool:
    """Return whether all relays ran before the operator's change, which may have begun already."""
    return mark.was_healthy if mark is not None and mark.version == version else is_healthy(live)


def _end_of_turn(mark: Mark | None, now: datetime) -> datetime | None:
    """Return when a rollout that is not complete loses its turn; None if it has none any more."""
    end = mark.since + LONGEST if mark is not None else None
    return end if end is not None and end > now else None


def _annotated(manifest: dict[str, Any], more: dict[str, str]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **more}}}


def _template(live: Manifest) -> dict[str, Any]:
    """Return the live template without the time of `kubectl rollout restart`, which stays kubectl's field."""
    template: dict[str, Any] = parts(live)["spec"]["template"]
    metadata = {key: value for key, value in template["metadata"].items() if value is not None}
    return {**template, "metadata": metadata}
