"""Which generation the relays of a domain run, which pods to poke, and which to query again.

    ConfigMap has generation G
        │
        ▼               the relay runs G
     lagging ──────────────────────────────▶ current            all pods current: reason Current
        │ pod runs and answers, and was not poked for G within 10 s
        ├──▶ poke: an annotation, by which its kubelet updates the mounted files at once
        │ pod runs
        ├──▶ queried again, after a tenth of the time that it lags (1 s to 30 s)    reason RollingOut
        │ the relay refuses G
        ├──▶ refused: continues with the last generation, is not poked              reason Refused
        │ pod restarts or is replaced
        └──▶ reads G at its start

An edit of the object makes another G, and all pods lag again. Without the poke a kubelet updates the files of
a ConfigMap within its sync period, about a minute (Kubernetes docs, ConfigMaps).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wsedge_operator.api.meta import instant_of, instant_text
from wsedge_operator.api.websocket_domain import CONFIGURATION_CURRENT
from wsedge_operator.desired.names import DRAIN_ANNOTATION, GENERATION_ANNOTATION, POKED_ANNOTATION
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, RelayReport
from wsedge_operator.reconcile.outcome import Manifest, Poke
from wsedge_operator.reconcile.reasons import Reason

POLL_SOON: Final = timedelta(seconds=1)
POLL_SELDOM: Final = timedelta(seconds=30)
# The kubelet may receive the poke before the new ConfigMap, and then updates nothing: poke again.
POKE_AGAIN: Final = timedelta(seconds=10)


def generation_of(config_map: Manifest | None) -> str | None:
    """Return the generation of the RelayConfig in a live ConfigMap, or None."""
    if config_map is None:
        return None
    generation: str | None = (config_map["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION)
    return generation


def pods_to_query(
    live_pods: Iterable[Manifest],
    relays: Mapping[str, RelayReport],
    config_map: Manifest | None,
    *,
    scaling_in: bool = False,
    counting: bool = False,
) -> list[Manifest]:
    """Return the running pods whose relays are to be queried for their state (`GET /config`).

    While the domain drains or scales in: all, since their connections are counted. With `counting` the pods
    that end too, since their clients will connect to others. Else the pods that lag, and the pods that are
    not ready, whose relays may have been ordered to drain. Once all are current and ready the result is
    empty: an idle cluster has no traffic.
    """
    generation = generation_of(config_map)
    if config_map is None or generation is None:
        return []
    draining = DRAIN_ANNOTATION in (config_map["metadata"].get("annotations") or {})
    return [
        pod
        for pod in live_pods
        if pods.is_running(pod)
        and (counting or pods.is_live(pod))
        and (
            draining
            or counting
            or scaling_in
            or pods.is_unready(pod)
            or not _runs(relays.get(pod["metadata"]["uid"]), pod, generation)
        )
    ]


def _runs(report: RelayReport | None, pod: Manifest, generation: str) -> bool:
    return (
        report is not None
        and report.state is not None
        and report.restarts == pods.restarts(pod)
        and report.state.generation == generation
    )


@dataclass(frozen=True, slots=True)
class Rollout:
    """The condition ConfigurationCurrent, the pods to poke, and when to query again (None: no relay lags).

    With `is_unanswered` no relay that lags answers: the same reports at that instant change nothing here.
    """

    answer: ConditionAnswer
    pokes: tuple[Poke, ...]
    reconcile_at: datetime | None
    is_unanswered: bool = False


def rollout(snapshot: DomainSnapshot, generation: str, now: datetime) -> Rollout:
    """Return how many pods run `generation`, and the pokes and the next query for pods that do not."""
    serving = [pod for pod in snapshot.pods if pods.is_live(pod)]
    lagging = [pod for pod in serving if snapshot.running(pod) != generation]
    running = [pod for pod in lagging if pods.is_running(pod)]
    pokes = tuple(
        Poke(pod["metadata"]["namespace"], pod["metadata"]["name"], generation, now)
        for pod in running
        if _needs_poke(snapshot, pod, generation, now)
    )
    # A pod that does not run yet causes a watch event when it starts: no timer is needed.
    again = now + query_delay(snapshot.live, now) if running else None
    reports = [snapshot.relays.get(pod["metadata"]["uid"]) for pod in running]
    unanswered = bool(reports) and all(report is not None and report.state is None for report in reports)
    return Rollout(_answer(snapshot, serving, lagging, generation), pokes, again, unanswered)


def query_delay(live: Manifest, now: datetime) -> timedelta:
    """Return the delay before the next query of relays that lag: a tenth of the time since they lag.

    The growing delay limits the queries to relays that never answer, for example behind a network policy.
    """
    since = _lagging_since(live)
    lagged = now - since if since is not None else timedelta(0)
    return min(POLL_SELDOM, max(POLL_SOON, lagged / 10))


def _lagging_since(live: Manifest) -> datetime | None:
    """Return since when ConfigurationCurrent is False in the status, or None."""
    for entry in (live.get("status") or {}).get("conditions") or ():
        if entry["type"] == CONFIGURATION_CURRENT and entry["status"] == "False":
            return instant_of(entry["lastTransitionTime"])
    return None


def _needs_poke(snapshot: DomainSnapshot, pod: Manifest, generation: str, now: datetime) -> bool:
    report = snapshot.relays.get(pod["metadata"]["uid"])
    if report is None or report.state is None or report.state.refusedGeneration == generation:
        return False
    annotations = pod["metadata"].get("annotations") or {}
    if annotations.get(GENERATION_ANNOTATION) != generation:
        return True
    # All are RFC 3339 in UTC with whole seconds, so text order is the order of time. A poke in the future is
    # of a clock that was set back since.
    poked = annotations.get(POKED_ANNOTATION, "")
    return bool(poked <= instant_text(now - POKE_AGAIN) or poked > instant_text(now))


def _answer(
    snapshot: DomainSnapshot, serving: list[Manifest], lagging: list[Manifest], generation: str
) -> ConditionAnswer:
    if not serving:
        return ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.NO_RELAYS, "no relay pod runs yet")
    for pod in lagging:
        report = snapshot.relays.get(pod["metadata"]["uid"])
        state = report.state if report is not None else None
        if state is not None and state.refusedGeneration == generation:
            message = f"relay {pod['metadata']['name']} refuses {generation}: {state.refusedReason}"
            return ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.REFUSED, message)
    if lagging:
        message = f"{len(serving) - len(lagging)} of {len(serving)} relays run {generation}"
        message += "".join(_query_error(snapshot, pod) for pod in lagging[:1])
        return ConditionAnswer(CONFIGURATION_CURRENT, False, Reason.ROLLING_OUT, message)
    return ConditionAnswer(
        CONFIGURATION_CURRENT, True, Reason.CURRENT, f"all {len(serving)} relays run {generation}"
    )


def _query_error(snapshot: DomainSnapshot, pod: Manifest) -> str:
    """Return the error of the last query of a pod, if the pod is ready: only then an answer is expected."""
    report = snapshot.relays.get(pod["metadata"]["uid"])
    if report is None or report.state is not None or not pods.is_ready(pod):
        return ""
    return f"; {pod['metadata']['name']} does not answer: {report.error}"
