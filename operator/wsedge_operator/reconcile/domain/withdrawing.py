"""A domain that is not to be served: its relays drain, then they go, then all else but the Service.

The Service stays while the WebSocketDomain exists, without endpoints: its address is in DNS records and load
balancers, and users have put annotations on it, all of which would be lost between off and on.
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
from wsedge_operator.desired.names import DRAIN_ANNOTATION
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.rollout import POLL_SOON, rollout
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import Manifest, earliest, reference
from wsedge_operator.reconcile.reasons import Reason
from wsedge_relay.contract import RelayConfig

# How much longer than drainSeconds a drain is waited for before the relays are stopped all the same.
DRAIN_MARGIN: Final = timedelta(seconds=15)
# Gone first, so that no relay is made anew.
_FIRST: Final = ("PodDisruptionBudget", "Deployment")
_LAST: Final = ("NetworkPolicy", "ConfigMap", "Secret", "ServiceAccount")


def withdraw(snapshot: DomainSnapshot, ready: ConditionAnswer, now: datetime) -> OutcomeDraft:
    """Return what to do so that nothing of the domain is served.

    `ready` is the answer once that is reached.
    """
    draft = OutcomeDraft(reconcile_at=snapshot.standing.changes_at)
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
        message = f"{len(snapshot.pods)} relay pods are going: {ready.message}"
        ready = ConditionAnswer(READY, False, Reason.REMOVING, message)
    current = ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.NO_RELAYS, "there are no relays")
    if snapshot.failure is not None:
        ready = ConditionAnswer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    draft.answers += [current, ready]
    return draft


def _drain(draft: OutcomeDraft, snapshot: DomainSnapshot, now: datetime) -> bool:
    """Tell the relays to drain, and whether that is still to be waited for."""
    config_map, program = snapshot.children.get("ConfigMap"), snapshot.children.get("Deployment")
    if program is None or program["metadata"].get("deletionTimestamp") or config_map is None:
        return False
    running = [pod for pod in snapshot.pods if pods.is_live(pod) and pods.is_running(pod)]
    last = _last_config(config_map)
    if not running or last is None:
        return False
    since = _draining_since(config_map) or now
    config = relay_config.drained(snapshot.live, last)
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
    """Tell whether the relays were given a configuration by which they drain."""
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
    """Return the configuration that the relays were last given, if it still is one."""
    try:
        return RelayConfig.model_validate_json((config_map.get("data") or {})[relay_config.CONFIG_KEY])
    except (KeyError, ValidationError):
        return None
