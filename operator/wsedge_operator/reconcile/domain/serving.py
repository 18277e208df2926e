"""A domain that is to be served: its children, and why it is not ready yet."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api.websocket_domain import (
    CONFIGURATION_CURRENT,
    READY,
    WebSocketDomainSpec,
)
from wsedge_operator.desired import relay_config
from wsedge_operator.desired.deployment import deployment
from wsedge_operator.desired.digest import with_digest
from wsedge_operator.desired.disruption_budget import disruption_budget
from wsedge_operator.desired.network_policy import network_policy
from wsedge_operator.desired.secret import secret
from wsedge_operator.desired.service import service
from wsedge_operator.desired.service_account import service_account
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.exactness import set_right
from wsedge_operator.reconcile.domain.keeping import has_tls_port
from wsedge_operator.reconcile.domain.key_material import key_material
from wsedge_operator.reconcile.domain.origins import denied_origins, resolve_origins
from wsedge_operator.reconcile.domain.rollout import POLL_SOON, generation_of, rollout
from wsedge_operator.reconcile.domain.scale_in import costs, is_scale_in
from wsedge_operator.reconcile.domain.scaling import scaled_from_outside
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import EventNote, Manifest, earliest, is_going, reference
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason
from wsedge_relay.contract import ADMIN_TOKEN_FILE

# Children that a domain which is served may have, and may not.
_OPTIONAL: Final = ("PodDisruptionBudget", "NetworkPolicy")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,128}")


def serve(snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime) -> OutcomeDraft:
    """Return what to do so that the domain of `snapshot` is served."""
    origins, problems = resolve_origins(spec, snapshot.services)
    material = key_material(spec, snapshot.secrets, now)
    problems = [*problems, *material.problems]
    if snapshot.statistics_url == "":
        # Traffic that nobody counts must not flow: it could not be billed.
        problems.append(
            Problem("statistics", Reason.STATISTICS_NOT_FOUND, "the Service of the statistics is not found")
        )
    draft = OutcomeDraft(reconcile_at=earliest(material.expires, snapshot.standing.changes_at))
    if problems:
        current = ConditionAnswer(CONFIGURATION_CURRENT, False, problems[0].reason, _text(problems))
        _keep_last_good(draft, snapshot, spec, problems, now)
    else:
        resolved = relay_config.Resolved(
            origins=origins,
            secrets=material.contents,
            statistics_url=snapshot.statistics_url,
            denied_networks=snapshot.denied_networks,
        )
        current = _configure(draft, snapshot, spec, resolved, now)
        doubt = [*denied_origins(spec, snapshot.denied_networks), *material.warnings]
        if current.true and doubt:
            current = ConditionAnswer(CONFIGURATION_CURRENT, True, doubt[0].reason, _text(doubt))
    draft.answers += [current, _ready(snapshot, spec, current)]
    return draft


def _keep_last_good(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    problems: Sequence[Problem],
    now: datetime,
) -> None:
    """Leave configuration and key material as they are; the relays of a domain that has some stay."""
    config_map = snapshot.children.get("ConfigMap")
    draft.generation = generation_of(config_map)
    draft.serves_tls = has_tls_port(snapshot.children.get("Service"))
    if config_map is not None:
        _demand(draft, snapshot, _program(draft, snapshot, spec))
    if draft.generation is not None:
        _roll_out(draft, snapshot, draft.generation, now)
    if any(problem.reason == Reason.STATISTICS_NOT_FOUND for problem in problems):
        draft.reconcile_at = earliest(draft.reconcile_at, now + 10 * POLL_SOON)


def _configure(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    resolved: relay_config.Resolved,
    now: datetime,
) -> ConditionAnswer:
    """Give the relays what `resolved` says; return whether they all run it."""
    owner = snapshot.live
    config = relay_config.relay_config(owner, spec, resolved)
    draft.generation = config.generation
    draft.serves = True
    draft.serves_tls = relay_config.TLS_CERTIFICATE in resolved.secrets
    # The Secret before the ConfigMap, which names its content.
    contents = {**resolved.secrets, ADMIN_TOKEN_FILE: _admin_token(snapshot).encode()}
    manifests = [
        secret(owner, contents),
        relay_config.config_map(owner, config, draining_since=None),
    ]
    _demand(draft, snapshot, [*manifests, *_program(draft, snapshot, spec)])
    return _roll_out(draft, snapshot, config.generation, now)


def _admin_token(snapshot: DomainSnapshot) -> str:
    """Return the token that the relays take orders by: the one that they have, or a new one."""
    secret = snapshot.children.get("Secret") or {}
    try:
        token = base64.b64decode((secret.get("data") or {})[ADMIN_TOKEN_FILE], validate=True).decode()
    except (KeyError, ValueError):
        return snapshot.new_token
    # One that somebody else made up may be guessed.
    return token if _TOKEN.fullmatch(token) else snapshot.new_token


def _roll_out(
    draft: OutcomeDraft, snapshot: DomainSnapshot, generation: str, now: datetime
) -> ConditionAnswer:
    state = rollout(snapshot, generation, now)
    draft.pokes += state.pokes
    draft.reconcile_at = earliest(draft.reconcile_at, state.reconcile_at)
    return state.answer


def _program(
    draft: OutcomeDraft, snapshot: DomainSnapshot, spec: WebSocketDomainSpec
) -> list[dict[str, Any]]:
    """Return the children that do not depend on what is served, but for the Service's port of wss."""
    owner = snapshot.live
    scaled = scaled_from_outside(snapshot.children.get("Deployment"), spec.relay.replicas)
    manifests: list[dict[str, Any]] = [
        service_account(owner),
        service(owner, tls=draft.serves_tls),
    ]
    if (scaled.replicas if scaled is not None else spec.relay.replicas) > 1:
        manifests.append(disruption_budget(owner))
    if snapshot.admin_peers is not None:  # before the pods that it is for
        manifests.append(network_policy(owner, snapshot.admin_peers))
    manifests.append(deployment(owner, spec, snapshot.image, is_scaled_by_another=scaled is not None))
    if scaled is not None and scaled.is_new:
        text, turn = scaled.told(spec.relay.replicas), f"asked {spec.relay.replicas} {scaled.manager}"
        draft.notes.append(
            EventNote(owner, "Warning", Reason.SCALED_FROM_OUTSIDE, f"{text[:1].upper()}{text[1:]}.", turn)
        )
    return manifests


def _demand(draft: OutcomeDraft, snapshot: DomainSnapshot, manifests: Sequence[Manifest]) -> None:
    """Put on the course what differs from what is there."""
    wanted = [with_digest(manifest) for manifest in manifests]
    for made in wanted:
        set_right(draft, snapshot, made)
    program = snapshot.children.get("Deployment")
    for manifest in draft.apply:
        if manifest["kind"] == "Deployment" and is_scale_in(program, manifest["spec"].get("replicas")):
            draft.costs += costs(snapshot)
    kinds = {manifest["kind"] for manifest in wanted}
    draft.delete += [
        reference(live)
        for kind in _OPTIONAL
        if kind not in kinds and (live := snapshot.children.get(kind)) is not None and not is_going(live)
    ]


def _ready(snapshot: DomainSnapshot, spec: WebSocketDomainSpec, current: ConditionAnswer) -> ConditionAnswer:
    """Answer whether the domain is served as it is asked for, and if not, why not."""
    if snapshot.failure is not None:
        return ConditionAnswer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    live = snapshot.children.get("Deployment")
    status = (live or {}).get("status") or {}
    scaled = scaled_from_outside(live, spec.relay.replicas)
    wanted = scaled.replicas if scaled is not None else spec.relay.replicas
    available = int(status.get("availableReplicas") or 0)
    trouble = pods.first_trouble(snapshot.pods, live)
    if current.true is not True and current.reason not in {Reason.ROLLING_OUT, Reason.NO_RELAYS}:
        return ConditionAnswer(READY, False, current.reason, current.message)
    if trouble is not None and available < wanted:
        return ConditionAnswer(READY, False, trouble.reason, trouble.message)
    if available < wanted and (told := _told_to_drain(snapshot)) is not None:
        return ConditionAnswer(READY, False, Reason.RELAYS_DRAINING, told)
    if live is None or available < wanted:
        return ConditionAnswer(
            READY, False, Reason.RELAYS_STARTING, f"{available} of {wanted} relays are available"
        )
    if snapshot.contested is not None:
        return ConditionAnswer(READY, False, Reason.WRITES_DO_NOT_LAST, snapshot.contested)
    updated = int(status.get("updatedReplicas") or 0)
    is_old = status.get("observedGeneration") != live["metadata"].get("generation")
    # A rollout of one relay has made its new pod, and counts it as updated, before that pod runs.
    if is_old or updated < wanted or int(status.get("replicas") or 0) > updated:
        progress = f"{updated} of {wanted} relays are up to date"
        if trouble is not None:
            text = f"{trouble.message}; {progress}, {available} serve meanwhile"
            return ConditionAnswer(READY, False, trouble.reason, text)
        return ConditionAnswer(READY, False, Reason.RELAYS_UPDATING, progress)
    if current.true is not True:
        return ConditionAnswer(READY, False, current.reason, current.message)
    text = f"{available} relays serve {spec.domain}"
    if scaled is not None and scaled.replicas != spec.relay.replicas:
        text = f"{text}; {scaled.told(spec.relay.replicas)}"
    return ConditionAnswer(READY, True, Reason.SERVING, text)


def _told_to_drain(snapshot: DomainSnapshot) -> str | None:
    """Return which relays refuse newcomers though they should serve: somebody told them to drain."""
    names = [
        pod["metadata"]["name"]
        for pod in snapshot.pods
        if pods.is_live(pod)
        and pods.is_unready(pod)
        and (report := snapshot.relays.get(pod["metadata"]["uid"])) is not None
        and report.state is not None
        and report.state.draining
    ]
    if not names:
        return None
    return (
        f"relays were told to drain (POST /drain) and take no newcomers: {', '.join(sorted(names)[:3])};"
        " one that does not serve again by itself is replaced when its pod is deleted"
    )


def _text(problems: Sequence[Problem]) -> str:
    return "; ".join(map(str, problems))
