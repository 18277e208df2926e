"""A domain that is served: its children, and why it is not ready yet."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api.meta import instant_text
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
from wsedge_operator.desired.secret import admin_secret, secret
from wsedge_operator.desired.service import service
from wsedge_operator.desired.service_account import service_account
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.entrance.children import draft_entrance, has_exposed_service
from wsedge_operator.reconcile.domain.entrance.state import certificate_wait, entrance_state
from wsedge_operator.reconcile.domain.exactness import draft_child
from wsedge_operator.reconcile.domain.keeping import has_tls_port
from wsedge_operator.reconcile.domain.key_material import key_material
from wsedge_operator.reconcile.domain.memory import Memory
from wsedge_operator.reconcile.domain.origins import denied_origins, resolve_origins
from wsedge_operator.reconcile.domain.rebalance import rebalance
from wsedge_operator.reconcile.domain.rollout import POLL_SOON, generation_of, rollout
from wsedge_operator.reconcile.domain.scale_in import costs, is_scale_in
from wsedge_operator.reconcile.domain.scaling import Size, size_of
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.domain.staging import stage
from wsedge_operator.reconcile.outcome import EventNote, Manifest, earliest, is_terminating, reference
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason
from wsedge_relay.contract import ADMIN_TOKEN_FILE

# Children that a served domain has or does not have, by its spec and the operator's settings.
_OPTIONAL: Final = ("PodDisruptionBudget", "NetworkPolicy")
# Of the relays' Secret, what the Secret for people has too.
_PUBLIC: Final = (ADMIN_TOKEN_FILE, relay_config.TLS_CERTIFICATE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,128}")


def serve(snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime) -> OutcomeDraft:
    """Return the outcome by which the domain of `snapshot` is served."""
    origins, problems = resolve_origins(spec, snapshot.services)
    material = key_material(spec, snapshot.secrets, now)
    problems = [*problems, *_waiting_for_certificate(snapshot, spec, material.problems)]
    if snapshot.statistics_url == "":
        # Usage that is not reported cannot be billed, so new configurations wait for the statistics.
        problems.append(
            Problem("statistics", Reason.STATISTICS_NOT_FOUND, "the Service of the statistics is not found")
        )
    draft = OutcomeDraft(reconcile_at=earliest(material.expires, snapshot.account_state.changes_at))
    size = _size(draft, snapshot, spec, now)
    if problems:
        current = ConditionAnswer(CONFIGURATION_CURRENT, False, problems[0].reason, _sentence(problems))
        _keep_last_good(draft, snapshot, spec, size, problems, now)
    else:
        resolved = relay_config.Resolved(
            origins=origins,
            secrets=material.contents,
            statistics_url=snapshot.statistics_url,
            cluster=snapshot.cluster,
            denied_networks=snapshot.denied_networks,
        )
        current = _configure(draft, snapshot, spec, size, resolved, now)
        warnings = [*denied_origins(spec, snapshot.denied_networks), *material.warnings]
        if current.true and warnings:
            current = ConditionAnswer(CONFIGURATION_CURRENT, True, warnings[0].reason, _sentence(warnings))
    ready = _ready(snapshot, spec, size, current, draft)
    draft.answers += [current, _enter(draft, snapshot, spec, ready, now)]
    if size.answer is not None:
        draft.answers.append(size.answer)
    return draft


def _enter(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    ready: ConditionAnswer,
    now: datetime,
) -> ConditionAnswer:
    """Draft the entrance and the condition Exposed; return Ready, which waits for parts of the entrance."""
    has_service = draft.serves or "ConfigMap" in snapshot.children
    draft_entrance(draft, snapshot, spec, has_service=has_service, serves_tls=draft.serves_tls)
    state = entrance_state(snapshot, spec, now, has_service=has_service)
    draft.addresses = state.addresses
    draft.reconcile_at = earliest(draft.reconcile_at, state.changes_at)
    if state.answer is None:
        return ready
    draft.answers.append(state.answer)
    if ready.true and state.holds:
        return ConditionAnswer(READY, False, state.answer.reason, state.answer.message)
    return ready


def _waiting_for_certificate(
    snapshot: DomainSnapshot, spec: WebSocketDomainSpec, problems: Sequence[Problem]
) -> Iterator[Problem]:
    """Yield the problems of key material; a Secret that cert-manager makes is waited for by its reason."""
    for problem in problems:
        is_waited_for = problem.path == "spec.tls.secretName" and problem.reason == Reason.SECRET_NOT_FOUND
        wait = certificate_wait(snapshot, spec) if is_waited_for else None
        yield wait or problem


def _size(draft: OutcomeDraft, snapshot: DomainSnapshot, spec: WebSocketDomainSpec, now: datetime) -> Size:
    """Return the number of relays; draft its Events, the orders of a rebalancing, and the memory of both."""
    deployed = snapshot.children.get("Deployment")
    load, memory = snapshot.load, snapshot.memory
    size = size_of(snapshot.live, spec.relay, deployed, load, memory.scaling, now)
    draft.notes += size.notes
    draft.scaled_at = size.changed_at
    balanced = None
    if spec.relay.rebalance is not None and deployed is not None:
        balanced = rebalance(
            spec.relay.rebalance,
            snapshot.live,
            snapshot.pods,
            int(deployed["spec"].get("replicas") or 0),
            load,
            memory.rebalance,
            snapshot.shed_failures,
            now,
        )
        draft.sheds += balanced.sheds
        draft.notes += balanced.notes
        draft.reconcile_at = earliest(draft.reconcile_at, balanced.again)
    if load is not None and spec.relay.autoscaling is not None:
        draft.reconcile_at = earliest(draft.reconcile_at, load.again)
    draft.memory = Memory(size.memory, balanced.memory if balanced is not None else None)
    return size


def _keep_last_good(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    size: Size,
    problems: Sequence[Problem],
    now: datetime,
) -> None:
    """Change neither configuration nor key material; without a ConfigMap there are no relays to keep."""
    config_map = snapshot.children.get("ConfigMap")
    draft.generation = generation_of(config_map)
    draft.serves_tls = has_tls_port(snapshot.children.get("Service"))
    if config_map is not None:
        _draft_children(draft, snapshot, _workload(draft, snapshot, spec, size, now))
    if draft.generation is not None:
        _roll_out(draft, snapshot, draft.generation, now)
    if any(problem.reason == Reason.STATISTICS_NOT_FOUND for problem in problems):
        draft.reconcile_at = earliest(draft.reconcile_at, now + 10 * POLL_SOON)


def _configure(
    draft: OutcomeDraft,
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    size: Size,
    resolved: relay_config.Resolved,
    now: datetime,
) -> ConditionAnswer:
    """Draft all children for `resolved`; return the condition ConfigurationCurrent."""
    owner = snapshot.live
    config = relay_config.relay_config(owner, spec, resolved)
    draft.generation = config.generation
    draft.serves = True
    draft.serves_tls = relay_config.TLS_CERTIFICATE in resolved.secrets
    # The Secret before the ConfigMap, whose fingerprints name its content: a relay that reads the ConfigMap
    # first does not apply it until the files have that content.
    contents = {**resolved.secrets, ADMIN_TOKEN_FILE: _admin_token(snapshot).encode()}
    before = [secret(owner, contents), relay_config.config_map(owner, config, draining_since=None)]
    public = {name: text for name, text in contents.items() if name in _PUBLIC}
    # Last, since nothing that serves depends on it.
    manifests = [*before, *_workload(draft, snapshot, spec, size, now), admin_secret(owner, public)]
    _draft_children(draft, snapshot, manifests)
    return _roll_out(draft, snapshot, config.generation, now)


def _admin_token(snapshot: DomainSnapshot) -> str:
    """Return the token that relays require on their admin port: that of the live Secret, or a new one."""
    return admin_token(snapshot.children.get("Secret")) or snapshot.new_token


def admin_token(secret: Manifest | None) -> str | None:
    """Return the token in the live child Secret, None when there is none.

    A token that can be guessed, which another client may have written, is none.
    """
    try:
        token = base64.b64decode(((secret or {}).get("data") or {})[ADMIN_TOKEN_FILE], validate=True).decode()
    except (KeyError, ValueError):
        return None
    return token if _TOKEN.fullmatch(token) else None


def _roll_out(
    draft: OutcomeDraft, snapshot: DomainSnapshot, generation: str, now: datetime
) -> ConditionAnswer:
    state = rollout(snapshot, generation, now)
    draft.pokes += state.pokes
    if state.is_unanswered:
        draft.query_at = state.reconcile_at
    else:
        draft.reconcile_at = earliest(draft.reconcile_at, state.reconcile_at)
    return state.answer


def _workload(
    draft: OutcomeDraft, snapshot: DomainSnapshot, spec: WebSocketDomainSpec, size: Size, now: datetime
) -> list[dict[str, Any]]:
    """Return the children that do not depend on the configuration, except for port 443 of the Service."""
    owner = snapshot.live
    manifests: list[dict[str, Any]] = [service_account(owner)]
    if not has_exposed_service(snapshot, spec):  # else a part of the entrance
        manifests.append(service(owner, tls=draft.serves_tls))
    if size.wanted > 1:
        manifests.append(disruption_budget(owner))
    if snapshot.admin_peers is not None:  # Before the Deployment, so that no pod runs without its policy.
        manifests.append(network_policy(owner, snapshot.admin_peers))
    wanted = deployment(
        owner,
        spec,
        snapshot.image,
        pod_default=snapshot.pod_default,
        replicas=size.replicas,
        is_scaled_from_outside=size.outside is not None,
    )
    staged = stage(snapshot, spec, wanted, now)
    draft.held, draft.waits, draft.starts = staged.held, staged.waits, staged.starts
    draft.ends = staged.ends
    if staged.starts and snapshot.turn.is_probe:
        draft.notes.append(_probe_note(owner, snapshot.version, now))
    draft.reconcile_at = earliest(draft.reconcile_at, staged.reconcile_at)
    manifests.append(staged.manifest)
    return manifests


def _probe_note(owner: Manifest, version: str, now: datetime) -> EventNote:
    text = (
        "A change of the operator was paused, since relays of several accounts did not run with it. It"
        " continues with this domain, whose relays serve until the new ones do."
    )
    return EventNote(owner, "Normal", Reason.ROLLOUT_PROBED, text, f"{version} {instant_text(now)}")


def _draft_children(draft: OutcomeDraft, snapshot: DomainSnapshot, manifests: Sequence[Manifest]) -> None:
    """Draft the writes that make the children equal `manifests`, and delete optional children not in them."""
    wanted = [with_digest(manifest) for manifest in manifests]
    for made in wanted:
        draft_child(draft, snapshot, made)
    deployed = snapshot.children.get("Deployment")
    for manifest in draft.apply:
        if manifest["kind"] == "Deployment" and is_scale_in(deployed, manifest["spec"].get("replicas")):
            draft.costs += costs(snapshot)
    kinds = {manifest["kind"] for manifest in wanted}
    draft.delete += [
        reference(live)
        for kind in _OPTIONAL
        if kind not in kinds
        and (live := snapshot.children.get(kind)) is not None
        and not is_terminating(live)
    ]


def _ready(
    snapshot: DomainSnapshot,
    spec: WebSocketDomainSpec,
    size: Size,
    current: ConditionAnswer,
    draft: OutcomeDraft,
) -> ConditionAnswer:
    """Return the condition Ready: the first of these that applies.

    A write failed; the configuration has a fault; pods do not run; relays were ordered to drain; relays
    start; writes do not last; relays are replaced; relays lag; else the domain is served, and perhaps waits
    until the operator's change may replace its pods.
    """
    if snapshot.failure is not None:
        return ConditionAnswer(READY, False, Reason.APPLY_FAILED, snapshot.failure)
    live = snapshot.children.get("Deployment")
    status = (live or {}).get("status") or {}
    wanted, scaled = size.wanted, size.outside
    available = int(status.get("availableReplicas") or 0)
    problem = pods.first_problem(snapshot.pods, live)
    if current.true is not True and current.reason not in {Reason.ROLLING_OUT, Reason.NO_RELAYS}:
        return ConditionAnswer(READY, False, current.reason, current.message)
    if problem is not None and available < wanted:
        return ConditionAnswer(READY, False, problem.reason, problem.message)
    if available < wanted and (ordered := _ordered_to_drain(snapshot)) is not None:
        return ConditionAnswer(READY, False, Reason.RELAYS_DRAINING, ordered)
    if live is None or available < wanted:
        return ConditionAnswer(
            READY, False, Reason.RELAYS_STARTING, f"{available} of {wanted} relays are available"
        )
    if snapshot.contested is not None:
        return ConditionAnswer(READY, False, Reason.WRITES_DO_NOT_LAST, snapshot.contested)
    updated = int(status.get("updatedReplicas") or 0)
    # An annotation changes the generation too. A domain that waits keeps its template, so its pods are not
    # replaced; the end of a rollout is written, and observed, before the domain counts as ready.
    is_unobserved = status.get("observedGeneration") != live["metadata"].get("generation")
    is_old = draft.ends or (is_unobserved and not draft.waits)
    # updatedReplicas also counts a new pod that does not run yet: with one relay it is reached at once. Only
    # when no old pod is left (replicas == updatedReplicas) the rollout is complete.
    if is_old or updated < wanted or int(status.get("replicas") or 0) > updated:
        progress = f"{updated} of {wanted} relays are up to date"
        if problem is not None:
            text = f"{problem.message}; {progress}, {available} are available"
            return ConditionAnswer(READY, False, problem.reason, text)
        return ConditionAnswer(READY, False, Reason.RELAYS_UPDATING, progress)
    if current.true is not True:
        return ConditionAnswer(READY, False, current.reason, current.message)
    text = f"{available} relays serve {spec.domain}"
    if scaled is not None and scaled.replicas != spec.relay.replicas:
        text = f"{text}; {scaled.message(spec.relay.replicas)}"
    if draft.waits:
        reason = Reason.ROLLOUT_PAUSED if snapshot.turn.paused else Reason.ROLLOUT_WAITING
        return ConditionAnswer(READY, True, reason, f"{text}; {snapshot.turn.message}")
    return ConditionAnswer(READY, True, Reason.SERVING, text)


def _ordered_to_drain(snapshot: DomainSnapshot) -> str | None:
    """Return a message that names relays which were ordered to drain (`POST /drain`), or None."""
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
    named = ", ".join(sorted(names)[:3])
    return (
        f"relays were ordered to drain (POST /drain) and refuse new connections: {named}; delete the pod of a"
        " relay that does not serve again after its drain"
    )


def _sentence(problems: Sequence[Problem]) -> str:
    return "; ".join(map(str, problems))
