"""The decision about a WebSocketDomain.

A domain is served while it is accepted (it owns its name, see `claims`, in a namespace that is selected),
switched on, and its account's plan is in force.

    nothing ──accepted, on, plan in force──▶ served ──off, plan ended or name lost──▶ draining ──▶ withdrawn
    no child,                                 │  ▲                                                     │
    not even a Service                        │  │ readable and selected again                         │
                                              ▼  │                                                     │
                                             kept ──off, plan ended or name lost──▶ draining           │
    served ◀──accepted, on, plan in force──────────────────────────────────────────────────────────────┘

    served      `serving`: children as the spec asks for. While a Secret or a Service of the spec cannot be
                used, the last good configuration remains, and the condition names the field.
    kept        `keeping`: the spec is invalid, or the namespace is no longer selected. No child is changed: a
                served domain is withdrawn only by a readable decision (switch, plan, name, deletion).
    draining    `withdrawing`: relays close their connections, then all children but the Service are deleted
    withdrawn   the Service remains, since its address is in DNS records and load balancers; the entrance
                too (`entrance.children`), unless the name was lost
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api import websocket_domain as api
from wsedge_operator.api.meta import API_VERSION, instant_text
from wsedge_operator.api.reading import part_at, read, unknown_fields
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.names import child_name, selector_labels
from wsedge_operator.desired.service import HTTP_SERVICE_PORT, HTTPS_SERVICE_PORT
from wsedge_operator.errors import UnreadableError
from wsedge_operator.reconcile.conditions import ConditionAnswer, accepted_with, conditions
from wsedge_operator.reconcile.domain.claims import claimed_name, owner_of, served_since
from wsedge_operator.reconcile.domain.entrance.children import close_entrance, draft_entrance
from wsedge_operator.reconcile.domain.entrance.state import entrance_state
from wsedge_operator.reconcile.domain.keeping import has_tls_port, keep
from wsedge_operator.reconcile.domain.serving import serve
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.domain.withdrawing import is_draining, withdraw
from wsedge_operator.reconcile.outcome import EventNote, Outcome, Status, earliest, is_terminating
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.reconcile.selection import NOT_SELECTED
from wsedge_operator.reconcile.stalling import PROGRESSING, stall

_ON_COURSE: Final = PROGRESSING | {Reason.INGRESS_PENDING, Reason.CERTIFICATE_PENDING}


def decide(snapshot: DomainSnapshot, now: datetime) -> Outcome:
    """Return the outcome for the WebSocketDomain of `snapshot` at `now` (aware)."""
    if snapshot.live["metadata"].get("deletionTimestamp"):
        # The garbage collector deletes the children with their owner; the pods drain on SIGTERM.
        return Outcome()
    try:
        spec = read(api.WebSocketDomain, snapshot.live).spec
    except UnreadableError as error:
        accepted, draft = _unread(snapshot, error, now)
    else:
        accepted = _conflict(snapshot) or _unselected(snapshot) or _acceptance(snapshot, spec)
        if accepted.true and spec.websocket.enabled and snapshot.account_state.effective:
            draft = serve(snapshot, spec, now)
        else:
            draft = _keep_or_withdraw(snapshot, accepted, now, enabled=spec.websocket.enabled, spec=spec)
    draft.answers[:0] = [accepted, snapshot.account_state.answer(api.PLAN_EFFECTIVE)]
    return _finish(snapshot, draft, now)


def _unread(
    snapshot: DomainSnapshot, error: UnreadableError, now: datetime
) -> tuple[ConditionAnswer, OutcomeDraft]:
    """Decide about an object whose spec is invalid, by the owner of its name, its switch and the plan."""
    message = f"this version of the operator cannot read the object and changes none of its children: {error}"
    unread = ConditionAnswer(api.ACCEPTED, None, Reason.UNREADABLE, message)
    accepted = _conflict(snapshot) or _unselected(snapshot) or unread
    enabled = part_at(snapshot.live, "spec", "websocket", "enabled") is not False
    if accepted.true is None and enabled and snapshot.account_state.effective:
        return accepted, keep(snapshot, ConditionAnswer(api.READY, False, Reason.UNREADABLE, message), now)
    return accepted, _keep_or_withdraw(snapshot, accepted, now, enabled=enabled)


def _keep_or_withdraw(
    snapshot: DomainSnapshot,
    accepted: ConditionAnswer,
    now: datetime,
    *,
    enabled: bool,
    spec: WebSocketDomainSpec | None = None,
) -> OutcomeDraft:
    """Withdraw a domain that must not be served; keep it if only its namespace's labels are the reason."""
    is_unselected = accepted.reason == Reason.NAMESPACE_NOT_SELECTED
    if is_unselected and enabled and snapshot.account_state.effective and _serves(snapshot):
        return keep(snapshot, ConditionAnswer(api.READY, False, accepted.reason, accepted.message), now)
    draft = withdraw(snapshot, _unserved(snapshot, accepted, enabled=enabled), now)
    if spec is not None and accepted.reason != Reason.NAMESPACE_NOT_SELECTED:
        _enter_unserved(draft, snapshot, spec, accepted, now)
    return draft


def _enter_unserved(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    accepted: ConditionAnswer,
    now: datetime,
) -> None:
    """Draft the entrance of a domain without relays: it stays, unless the name is another object's."""
    serves_tls = has_tls_port(snapshot.children.get("Service"))
    if accepted.reason == Reason.DOMAIN_CONFLICT:
        close_entrance(draft, snapshot, spec, serves_tls=serves_tls)
        return
    has_service = "Service" in snapshot.children
    if has_service:
        draft_entrance(draft, snapshot, spec, has_service=True, serves_tls=serves_tls)
    state = entrance_state(snapshot, spec, now, has_service=has_service)
    draft.addresses = state.addresses
    draft.reconcile_at = earliest(draft.reconcile_at, state.changes_at)
    if state.answer is not None:
        draft.answers.append(state.answer)


def _serves(snapshot: DomainSnapshot) -> bool:
    """Return whether the domain has relays that are neither deleted nor draining."""
    deployment = snapshot.children.get("Deployment")
    return deployment is not None and not is_terminating(deployment) and not is_draining(snapshot)


def _unselected(snapshot: DomainSnapshot) -> ConditionAnswer | None:
    """Return the condition Accepted of a namespace that is not selected; None for a selected namespace."""
    if snapshot.selected:
        return None
    return ConditionAnswer(api.ACCEPTED, False, Reason.NAMESPACE_NOT_SELECTED, NOT_SELECTED)


def _conflict(snapshot: DomainSnapshot) -> ConditionAnswer | None:
    """Return the condition Accepted if another WebSocketDomain owns the name, else None.

    The message does not name an owner in another namespace: tenants must not learn of each other.
    """
    metadata = snapshot.live["metadata"]
    owner = owner_of(snapshot.claims)
    if owner is None or owner.uid == metadata["uid"]:
        return None
    name = claimed_name(snapshot.live)
    owned_by = f'WebSocketDomain "{owner.name}"'
    if owner.namespace != metadata["namespace"]:
        owned_by = "a WebSocketDomain of another namespace; the cluster's administrator knows which"
    return ConditionAnswer(
        api.ACCEPTED, False, Reason.DOMAIN_CONFLICT, f"spec.domain: {name} belongs to {owned_by}"
    )


def _acceptance(snapshot: DomainSnapshot, spec: WebSocketDomainSpec) -> ConditionAnswer:
    message = f"{spec.domain} belongs to this WebSocketDomain"
    return accepted_with(unknown_fields(api.WebSocketDomain, snapshot.live), message)


def _unserved(snapshot: DomainSnapshot, accepted: ConditionAnswer, *, enabled: bool) -> ConditionAnswer:
    """Return Ready of a domain that is not served: true if it is switched off or its plan has a date."""
    if accepted.true is False:
        return ConditionAnswer(api.READY, False, accepted.reason, accepted.message)
    if not enabled:
        return ConditionAnswer(api.READY, True, Reason.DISABLED, "switched off (spec.websocket.enabled)")
    account_state = snapshot.account_state
    return ConditionAnswer(api.READY, account_state.is_scheduled, account_state.reason, account_state.message)


def _finish(snapshot: DomainSnapshot, draft: OutcomeDraft, now: datetime) -> Outcome:
    live = snapshot.live
    stalled = stall(live, next(answer for answer in draft.answers if answer.type == api.READY), now)
    also = (_name_kept(snapshot, draft, now), stalled.answer)
    answers = [*draft.answers, *(answer for answer in also if answer is not None)]
    written, changed = conditions(live, answers, now)
    status = _status(snapshot, draft, written)
    metadata = live["metadata"]
    is_new = status != (live.get("status") or {})
    return Outcome(
        dry_run=tuple(draft.dry_run),
        restore=tuple(draft.restore),
        costs=tuple(draft.costs),
        apply=tuple(draft.apply),
        delete=tuple(draft.delete),
        pokes=tuple(draft.pokes),
        entrance=tuple(draft.entrance),
        retire=tuple(draft.retire),
        status=(Status(API_VERSION, api.KIND, metadata["namespace"], metadata["name"], status),)
        if is_new
        else (),
        notes=(*draft.notes, *_notes(live, changed, now), *_address_note(live, status, now)),
        reconcile_at=earliest(draft.reconcile_at, stalled.changes_at),
        sheds=tuple(draft.sheds),
        memory=draft.memory,
        scaled_at=draft.scaled_at,
        query_at=draft.query_at,
        held=draft.held,
        waits=draft.waits,
        starts=draft.starts,
    )


def _name_kept(snapshot: DomainSnapshot, draft: OutcomeDraft, now: datetime) -> ConditionAnswer | None:
    since = served_since(snapshot.live) or (now if draft.serves else None)
    if since is None:
        return None
    message = f"served since {instant_text(since)}: this object owns the name until it is deleted"
    return ConditionAnswer(api.NAME_KEPT, True, Reason.HAS_BEEN_SERVED, message, since=since)


def _status(snapshot: DomainSnapshot, draft: OutcomeDraft, written: list[dict[str, Any]]) -> dict[str, Any]:
    metadata = snapshot.live["metadata"]
    name = metadata["name"]
    labels = selector_labels(name)
    deployment, service = (snapshot.children.get(kind) for kind in ("Deployment", "Service"))
    status: dict[str, Any] = {
        "observedGeneration": metadata.get("generation", 0),
        "conditions": written,
        "replicas": int(((deployment or {}).get("status") or {}).get("replicas") or 0),
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
    # Server-side apply refuses a whole status for one field that the definition in force does not have.
    if draft.addresses and snapshot.is_exposure_declared:
        status["addresses"] = [
            {"type": address.type, "value": address.value, "via": address.via} for address in draft.addresses
        ]
    return status


def _address_note(live: Any, status: Mapping[str, Any], now: datetime) -> Iterator[EventNote]:
    """Yield an Event when the entrance has other addresses than before."""
    before = (live.get("status") or {}).get("addresses")
    after = status.get("addresses")
    if (before or None) == after:
        return
    text = ", ".join(f"{address['value']} ({address['via']})" for address in after or ())
    message = f"the addresses of the entrance: {text}" if text else "the entrance has no address any more"
    yield EventNote(
        regarding=live,
        type="Normal" if text else "Warning",
        reason=Reason.ADDRESSES_CHANGED,
        message=message,
        occurrence=f"{text} {instant_text(now)}",
    )


def _notes(live: Any, changed: list[ConditionAnswer], now: datetime) -> list[EventNote]:
    """Return an Event for each change of Ready and Exposed, with its reason, and for fields that are ignored.

    One Event for both where Ready has the reason of Exposed.
    """
    ready = next((answer.reason for answer in changed if answer.type == api.READY), None)
    return [
        EventNote(
            regarding=live,
            type="Normal" if answer.reason in _ON_COURSE or _is_normal(answer) else "Warning",
            reason=answer.reason,
            message=answer.message,
            occurrence=f"{answer.type} {answer.status} {instant_text(now)}",
        )
        for answer in changed
        if answer.type == api.READY
        or (answer.type == api.EXPOSED and answer.reason != ready)
        or answer.reason == Reason.UNKNOWN_FIELDS
    ]


def _is_normal(answer: ConditionAnswer) -> bool:
    return answer.true is True and answer.reason not in {Reason.UNKNOWN_FIELDS, Reason.ROLLOUT_PAUSED}
