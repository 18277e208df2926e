"""A domain whose children must not change: its spec is invalid, or its namespace is no longer selected."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from wsedge_operator.api.websocket_domain import CONFIGURATION_CURRENT, EXPOSED, READY
from wsedge_operator.desired.service import HTTPS_SERVICE_PORT
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.rollout import generation_of, rollout
from wsedge_operator.reconcile.domain.snapshot import Address, DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import Manifest, earliest
from wsedge_operator.reconcile.reasons import Reason


def keep(snapshot: DomainSnapshot, why: ConditionAnswer, now: datetime) -> OutcomeDraft:
    """Return an outcome that changes no child; `why` is the condition Ready.

    Relays that lag are still poked and queried: the ConfigMap that they lag behind was a valid decision.
    """
    draft = OutcomeDraft(reconcile_at=snapshot.account_state.changes_at)
    draft.generation = generation_of(snapshot.children.get("ConfigMap"))
    draft.serves_tls = has_tls_port(snapshot.children.get("Service"))
    current, ready = (
        ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.NO_RELAYS, "there are no relays"),
        why,
    )
    if draft.generation is not None:
        state = rollout(snapshot, draft.generation, now)
        draft.pokes += state.pokes
        draft.reconcile_at = earliest(draft.reconcile_at, state.reconcile_at)
        current = state.answer
        ready = ConditionAnswer(
            READY, why.true, why.reason, f"{why.message}; the relays continue with their last configuration"
        )
    if snapshot.failure is not None:
        ready = ConditionAnswer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    draft.answers += [current, ready, *_last_exposed(snapshot)]
    draft.addresses = _last_addresses(snapshot)
    return draft


def _last_exposed(snapshot: DomainSnapshot) -> Iterator[ConditionAnswer]:
    """Yield the condition Exposed as it is: without the spec, what is asked for is not known."""
    for entry in (snapshot.live.get("status") or {}).get("conditions") or ():
        if entry["type"] == EXPOSED:
            true = {"True": True, "False": False}.get(entry["status"])
            observed = entry.get("observedGeneration")
            yield ConditionAnswer(EXPOSED, true, entry["reason"], entry["message"], observed=observed)


def _last_addresses(snapshot: DomainSnapshot) -> tuple[Address, ...]:
    found = (snapshot.live.get("status") or {}).get("addresses") or ()
    return tuple(Address(entry["type"], entry["value"], entry.get("via", "")) for entry in found)


def has_tls_port(service: Manifest | None) -> bool:
    """Return whether a live Service of relays has port 443."""
    ports = service["spec"].get("ports") or () if service is not None else ()
    return any(port["port"] == HTTPS_SERVICE_PORT for port in ports)
