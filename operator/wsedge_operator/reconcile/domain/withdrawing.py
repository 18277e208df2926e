"""A domain that must not be served: relays drain and are deleted, then other children but the Service.

    served ──switched off, plan ended, name lost──▶ draining      the relays' configuration is switched off
    draining ──no connection, or drainSeconds + 15 s──▶ removing   Deployment and budget are deleted
    removing ──no pod left──▶ withdrawn                            configuration, Secret, identity are deleted

The Service remains without endpoints while the WebSocketDomain exists: its address is in DNS records and load
balancers, and users annotate it. A deleted Service would lose both when the domain is switched on again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from wsedge_operator.api.websocket_domain import (
    CONFIGURATION_CURRENT,
    READY,
)
from wsedge_operator.desired import relay_config
from wsedge_operator.desired.digest import is_applied, with_digest
from wsedge_operator.desired.names import ADMIN_SECRET, DRAIN_ANNOTATION
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.rollout import POLL_SOON, rollout
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import Manifest, earliest, reference
from wsedge_operator.reconcile.reasons import Reason
from wsedge_relay.contract import RelayConfig

# How much longer than drainSeconds the operator waits for relays to drain before it deletes them.
DRAIN_MARGIN: Final = timedelta(seconds=15)
# Deleted first, so that no controller creates a relay again. Relays use the others until they end.
_FIRST: Final = ("PodDisruptionBudget", "Deployment")
_LAST: Final = ("NetworkPolicy", "ConfigMap", "Secret", ADMIN_SECRET, "ServiceAccount")


def withdraw(snapshot: DomainSnapshot, ready: ConditionAnswer, now: datetime) -> OutcomeDraft:
    """Return the outcome that stops serving the domain; `ready` is the condition Ready once that is done."""
    draft = OutcomeDraft(reconcile_at=snapshot.account_state.changes_at)
    if _drain(draft, snapshot, now):
        message = f"open connections are being closed: {ready.message}"
        draft.answers += [
            rollout(snapshot, draft.generation or "", now).answer,
            ConditionAnswer(READY, False, Reason.DRAINING, message),
        ]
        return draft
    kinds = _FIRST if snapshot.children.keys() & {*_FIRST} or snapshot.pods else _LAST
    draft.delete += [
        reference(live)
        for kind in kinds
        if (live := snapshot.children.get(kind)) is not None and not live["metadata"].get("deletionTimestamp")
    ]
    if snapshot.children.keys() & {*_FIRST, *_LAST} or snapshot.pods:
        message = f"{len(snapshot.pods)} relay pods are being removed: {ready.message}"
        ready = ConditionAnswer(READY, False, Reason.REMOVING, message)
    current = ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.NO_RELAYS, "there are no relays")
    if snapshot.failure is not None:
        ready = ConditionAnswer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    draft.answers += [current, ready]
    return draft


def _drain(draft: OutcomeDraft, snapshot: DomainSnapshot, now: datetime) -> bool:
    """Draft the drain of the relays; return whether they still drain."""
    config_map, deployment = snapshot.children.get("ConfigMap"), snapshot.children.get("Deployment")
    if deployment is None or deployment["metadata"].get("deletionTimestamp") or config_map is None:
        return False
    running = [pod for pod in snapshot.pods if pods.is_live(pod) and pods.is_running(pod)]
    last = _last_config(config_map)
    if not running or last is None:
        return False
    # A clock that was set back since then would prolong the drain by its step.
    since = min(_draining_since(config_map) or now, now)
    config = relay_config.draining_config(snapshot.live, last)
    wanted = with_digest(relay_config.config_map(snapshot.live, config, draining_since=since))
    if not is_applied(wanted, config_map):
        draft.apply.append(wanted)
    draft.generation = config.generation
    seconds = max((domain.lifecycle.drainSeconds for domain in config.domains), default=0)
    deadline = since + timedelta(seconds=seconds) + DRAIN_MARGIN
    if now >= deadline or all(_is_empty(snapshot, pod, config.generation) for pod in running):
        draft.apply.clear()
        return False
    draft.pokes += rollout(snapshot, config.generation, now).pokes
    draft.reconcile_at = earliest(draft.reconcile_at, now + POLL_SOON)
    return True


def is_draining(snapshot: DomainSnapshot) -> bool:
    """Return whether the relays' ConfigMap has a configuration by which they drain."""
    config_map = snapshot.children.get("ConfigMap")
    return config_map is not None and _draining_since(config_map) is not None


def _is_empty(snapshot: DomainSnapshot, pod: Manifest, generation: str) -> bool:
    report = snapshot.relays.get(pod["metadata"]["uid"])
    if report is None or report.state is None:
        return False
    return report.state.generation == generation and report.state.openConnections == 0


def _draining_since(config_map: Manifest) -> datetime | None:
    text = (config_map["metadata"].get("annotations") or {}).get(DRAIN_ANNOTATION)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _last_config(config_map: Manifest) -> RelayConfig | None:
    """Return the RelayConfig in the ConfigMap, or None when another client made it invalid."""
    try:
        return RelayConfig.model_validate_json((config_map.get("data") or {})[relay_config.CONFIG_KEY])
    except (KeyError, ValidationError):
        return None
