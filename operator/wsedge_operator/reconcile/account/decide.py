"""The decision about an account: settle its plans, write its record and the status of each plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api import billing_plan as api
from wsedge_operator.api.meta import API_VERSION, Lenient, ObjectMeta, instant_text
from wsedge_operator.api.reading import part_at, read, unknown_fields
from wsedge_operator.billing import record
from wsedge_operator.billing.activation import Account, Claim, Pending, Settlement, Terms, claim_of, settle
from wsedge_operator.desired.names import MANAGED_BY, MANAGED_BY_LABEL
from wsedge_operator.errors import AccountError, UnknownZoneError, UnreadableError
from wsedge_operator.reconcile.account.state import AccountState, state_of
from wsedge_operator.reconcile.conditions import ConditionAnswer, accepted_with, conditions
from wsedge_operator.reconcile.outcome import ABSENT, EventNote, Manifest, Outcome, Status, earliest
from wsedge_operator.reconcile.reasons import Reason
from wsedge_operator.reconcile.selection import NOT_SELECTED
from wsedge_operator.reconcile.stalling import stall

OWN_LABELS: Final = {MANAGED_BY_LABEL: MANAGED_BY}


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """The plans of one life of a namespace, its record (None: it does not exist), and the default zone.

    `copy` is the copy of the record in the namespace itself, if it was read. `selected`: the labels of the
    namespace match the operator's selector.
    """

    life: record.Life
    plans: tuple[Manifest, ...]
    config_map: Manifest | None
    default_zone: str
    copy: Manifest | None = None
    selected: bool = True


class _Named(Lenient):
    """An object whose metadata is valid, whatever its spec has."""

    metadata: ObjectMeta


def decide(snapshot: AccountSnapshot, now: datetime) -> Outcome:
    """Return the outcome for the account of `snapshot` at `now` (aware)."""
    claims, faults = _claims(snapshot, now)
    try:
        before = _recorded(snapshot)
        settlement = settle(before, claims, now)
    except (AccountError, UnknownZoneError) as error:
        return _damaged(snapshot, error, now)
    statuses: list[Status] = []
    notes: list[EventNote] = []
    again = settlement.next_change
    for plan in snapshot.plans:
        status, found = _status(plan, settlement, claims, faults, now)
        if status != (plan.get("status") or {}):
            statuses.append(_written(plan, status))
        notes += _fault_notes(plan, found.changed, now)
        again = earliest(again, found.changes_at)
    applied = _record_manifest(snapshot, settlement.account)
    notes += _change_notes(snapshot, before, settlement)
    return Outcome(
        apply=(applied,) if applied is not None else (),
        status=tuple(statuses),
        notes=tuple(notes),
        reconcile_at=again,
    )


def account_state(snapshot: AccountSnapshot, now: datetime, *, served: bool) -> AccountState:
    """Return whether the account has terms in force at `now` (aware).

    With a damaged record nothing is known: then `served`, whether its domain is served now, decides, so that
    no relay starts or stops.
    """
    claims, _ = _claims(snapshot, now)
    try:
        return state_of(settle(_recorded(snapshot), claims, now))
    except (AccountError, UnknownZoneError) as error:
        return AccountState(served, Reason.ACCOUNT_DAMAGED, str(error))


def _recorded(snapshot: AccountSnapshot) -> Account:
    if snapshot.config_map is None:
        return Account()
    return record.from_record(snapshot.config_map.get("data"), snapshot.life)


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a plan is invalid or does not count, as reason and message of a condition."""

    reason: Reason
    message: str


def _claims(snapshot: AccountSnapshot, now: datetime) -> tuple[list[Claim], dict[str, _Fault]]:
    """Return the claims of all plans, and the faults of invalid plans by uid.

    An invalid plan starts and changes no terms: its last valid request remains in force, and its deletion is
    a request to end.
    """
    claims: list[Claim] = []
    faults: dict[str, _Fault] = {}
    for plan in snapshot.plans:
        claim = _claim_without_terms(plan, now)
        if not snapshot.selected:
            faults[claim.uid] = _Fault(Reason.NAMESPACE_NOT_SELECTED, NOT_SELECTED)
        else:
            try:
                claim = claim_of(read(api.BillingPlan, plan), default_zone=snapshot.default_zone, now=now)
            except UnreadableError as error:
                unread = "cannot read the plan, and the last valid request remains in force"
                message = f"this version of the operator {unread}: {error}"
                faults[claim.uid] = _Fault(Reason.UNREADABLE, message)
        claims.append(claim)
    return claims, faults


def _claim_without_terms(plan: Manifest, now: datetime) -> Claim:
    """Return the claim of a plan without terms: that of a plan whose spec is invalid or must not count."""
    meta = _Named.model_validate(plan).metadata
    created = meta.creationTimestamp or now.replace(microsecond=0)
    return Claim(
        meta.name, meta.uid, created, None, generation=meta.generation, deleted=meta.deletionTimestamp
    )


def _record_manifest(snapshot: AccountSnapshot, account: Account) -> Manifest | None:
    """Return the record's ConfigMap to apply, or None when it is equal or there is nothing to record yet."""
    live = snapshot.config_map
    if live is None and (account == Account() or not snapshot.selected):
        return None
    manifest = record_manifest(snapshot.life, record.record_data(account, snapshot.life))
    if live is not None:
        has, wanted = live["metadata"].get("labels") or {}, manifest["metadata"]["labels"]
        if live.get("data") == manifest["data"] and wanted.items() <= has.items():
            return None
    # Optimistic locking: the API server refuses the write if the record changed after it was read, so that no
    # history is overwritten unread.
    version = live["metadata"]["resourceVersion"] if live is not None else ABSENT
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}


def record_manifest(life: record.Life, data: Mapping[str, str]) -> dict[str, Any]:
    """Return the ConfigMap of the record of `life`, without a resourceVersion."""
    labels = {
        **OWN_LABELS,
        record.ACCOUNT_LABEL: life.namespace,
        record.UID_LABEL: life.uid,
    }
    created = {record.CREATED_ANNOTATION: instant_text(life.created)} if life.created is not None else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": life.record_name,
            "namespace": life.records_in,
            "labels": labels,
            "annotations": created,
        },
        "data": dict(data),
    }


def copy_manifest(snapshot: AccountSnapshot) -> Manifest | None:
    """Return the copy of the record to apply in the account's namespace, or None when it is equal."""
    recorded = snapshot.config_map
    if recorded is None or record.KEY not in (recorded.get("data") or {}):
        return None
    data = {record.KEY: recorded["data"][record.KEY]}
    live = snapshot.copy
    if live is not None:
        has = live["metadata"].get("labels") or {}
        if live.get("data") == data and has.get(MANAGED_BY_LABEL) == MANAGED_BY:
            return None
    note = f"a copy, for a rollback to version 0.1 alone; the record is {snapshot.life.record_name}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": record.COPY_NAME,
            "namespace": snapshot.life.namespace,
            "labels": OWN_LABELS,
            "annotations": {"wsedge.io/note": note},
        },
        "data": data,
    }


def _status(
    plan: Manifest, settlement: Settlement, claims: list[Claim], faults: Mapping[str, _Fault], now: datetime
) -> tuple[dict[str, Any], _Conditions]:
    claim = next(claim for claim in claims if claim.uid == plan["metadata"]["uid"])
    counts = claim.key == settlement.counting
    answers = _answers(plan, claim, settlement, claims, faults) if counts else _conflict(settlement, claims)
    found = _conditions_of(plan, answers, now)
    status: dict[str, Any] = {
        "observedGeneration": plan["metadata"].get("generation", 0),
        "conditions": found.conditions,
    }
    current, pending = settlement.account.current, settlement.account.pending
    if counts and current is not None:
        status["effectiveTime"] = instant_text(current.start)
        status["current"] = _terms(current.terms)
    if counts and pending is not None and pending.terms is not None:
        status["pending"] = {
            **_terms(pending.terms),
            "requestTime": instant_text(pending.requested),
            "effectiveTime": instant_text(pending.effective),
        }
    return status, found


@dataclass(frozen=True, slots=True)
class _Conditions:
    """The conditions of a plan, those whose status or reason is new, and when Stalled becomes True."""

    conditions: list[dict[str, Any]]
    changed: list[ConditionAnswer]
    changes_at: datetime | None


def _conditions_of(plan: Manifest, answers: list[ConditionAnswer], now: datetime) -> _Conditions:
    stalled = stall(plan, next(answer for answer in answers if answer.type == api.READY), now)
    written, changed = conditions(plan, [*answers, *([stalled.answer] if stalled.answer else [])], now)
    return _Conditions(written, changed, stalled.changes_at)


def _answers(
    plan: Manifest,
    claim: Claim,
    settlement: Settlement,
    claims: list[Claim],
    faults: Mapping[str, _Fault],
) -> list[ConditionAnswer]:
    state = state_of(settlement)
    pending = settlement.account.pending
    if claim.terms is None:
        fault = faults.get(claim.uid) or _unknown_zone(plan)
        return [
            ConditionAnswer(
                api.ACCEPTED,
                None if fault.reason == Reason.UNREADABLE else False,
                fault.reason,
                fault.message,
            ),
            state.answer(api.EFFECTIVE),
            ConditionAnswer(api.READY, False, fault.reason, fault.message),
        ]
    others = f"; {len(claims) - 1} other plans here do not count" if len(claims) > 1 else ""
    unknown = unknown_fields(api.BillingPlan, plan)
    accepted = accepted_with(unknown, f"this plan counts for the namespace{others}")
    message = state.message
    if state.effective and pending is not None:
        message += f"; {_coming(pending)}"
    effective = ConditionAnswer(api.EFFECTIVE, state.effective, state.reason, message)
    ready = ConditionAnswer(
        api.READY, True, Reason.SCHEDULED if pending is not None else Reason.EFFECTIVE, message
    )
    return [accepted, effective, ready]


def _conflict(settlement: Settlement, claims: list[Claim]) -> list[ConditionAnswer]:
    oldest = next((claim.name for claim in claims if claim.key == settlement.counting), "")
    message = f'BillingPlan "{oldest}" is older, and one plan counts per namespace; delete one of them'
    return [
        ConditionAnswer(condition, False, Reason.PLAN_CONFLICT, message)
        for condition in (api.ACCEPTED, api.EFFECTIVE, api.READY)
    ]


def _unknown_zone(plan: Manifest) -> _Fault:
    zone = part_at(plan, "spec", "timeZone") or "the operator's default time zone"
    return _Fault(Reason.INVALID_TIME_ZONE, f"spec.timeZone: {UnknownZoneError(zone)}")


def _damaged(snapshot: AccountSnapshot, error: AccountError | UnknownZoneError, now: datetime) -> Outcome:
    """Return the outcome for an account with a damaged record: only the status of its plans changes."""
    statuses: list[Status] = []
    notes: list[EventNote] = []
    again: datetime | None = None
    for plan in snapshot.plans:
        answers = [
            ConditionAnswer(api.ACCEPTED, None, Reason.ACCOUNT_DAMAGED, str(error)),
            ConditionAnswer(api.EFFECTIVE, None, Reason.ACCOUNT_DAMAGED, str(error)),
            ConditionAnswer(api.READY, False, Reason.ACCOUNT_DAMAGED, str(error)),
        ]
        found = _conditions_of(plan, answers, now)
        status = {
            **(plan.get("status") or {}),
            "observedGeneration": plan["metadata"].get("generation", 0),
            "conditions": found.conditions,
        }
        if status != (plan.get("status") or {}):
            statuses.append(_written(plan, status))
        notes += _fault_notes(plan, found.changed, now)
        again = earliest(again, found.changes_at)
    return Outcome(status=tuple(statuses), notes=tuple(notes), reconcile_at=again)


def _fault_notes(plan: Manifest, changed: list[ConditionAnswer], now: datetime) -> Iterator[EventNote]:
    """Yield an Event when a plan becomes not ready, or has fields that are ignored."""
    for answer in changed:
        if (answer.type == api.READY and not answer.true) or answer.reason == Reason.UNKNOWN_FIELDS:
            yield EventNote(
                plan, "Warning", answer.reason, answer.message, f"{answer.reason} {instant_text(now)}"
            )


def _change_notes(snapshot: AccountSnapshot, before: Account, settlement: Settlement) -> Iterator[EventNote]:
    """Yield an Event for each change of the account.

    It is about the plan that counts. Without one it is about the copy of the record, which the tenant can
    see, or about the record.
    """
    after = settlement.account
    plan = next((p for p in snapshot.plans if p["metadata"]["uid"] == settlement.counting), None)
    regarding = plan or snapshot.copy or snapshot.config_map
    if regarding is None:
        return
    pending = after.pending
    if pending is not None and pending != before.pending:
        occurrence = f"scheduled {instant_text(pending.requested)}"
        yield EventNote(regarding, "Normal", Reason.SCHEDULED, _coming(pending), occurrence)
    elif pending is None and before.pending is not None and after.periods == before.periods:
        occurrence = f"cancelled {instant_text(before.pending.requested)}"
        remain = "the terms in force remain in force"
        message = remain if after.current is not None else "no terms take effect, and no terms are in force"
        yield EventNote(regarding, "Normal", Reason.CANCELLED, message, occurrence)
    if after.current is not None and after.current != before.current:
        reason = Reason.EFFECTIVE if before.current is None else Reason.CHANGED
        occurrence = f"effective {instant_text(after.current.start)}"
        yield EventNote(regarding, "Normal", reason, state_of(settlement).message, occurrence)
    elif after.current is None and before.current is not None:
        ended = after.periods[-1].end
        occurrence = f"ended {instant_text(ended) if ended is not None else ''}"
        yield EventNote(regarding, "Normal", Reason.ENDED, state_of(settlement).message, occurrence)


def _coming(pending: Pending) -> str:
    at = instant_text(pending.effective)
    if pending.terms is None:
        return f"ends at {at}"
    return f"from {at} on: {pending.terms.metering}, settled {pending.terms.cycle}, in {pending.terms.zone}"


def _terms(terms: Terms) -> dict[str, str]:
    return {
        "billingCycle": str(terms.cycle),
        "meteringMethod": str(terms.metering),
        "timeZone": terms.zone,
    }


def _written(plan: Manifest, status: Mapping[str, Any]) -> Status:
    metadata = plan["metadata"]
    return Status(API_VERSION, api.KIND, metadata["namespace"], metadata["name"], status)
