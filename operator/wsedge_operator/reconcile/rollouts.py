"""The stage of rollouts: of how many domains a change of the operator replaces pods at the same time.

An upgrade of the operator, or of a default for pods, changes the pod templates of many domains. They change
one after the other, the oldest domain first. An edit of a domain's own spec does not wait.

    settled ──the operator's template is another──▶ waiting ──a turn──▶ rolling ──all pods new──▶ settled
       ▲                                            │     ▲                │ │
       └─────────────── its spec is edited ─────────┘     │                │ ├──relay does not run──▶ failed
                                                          │                │ ├──its spec explains that──▶
                                                          │                │ │  failed alone
                                                          │                │ └──it did not run before, or
                                                          │                │    namespace refuses pods, too
                                                          │                │    long──▶ (holds no turn)
                                                    no turn while others failed

A rollout fails because of the change (an image that does not start) or because of its own namespace (a
tenant may have caused it). No tenant must hold up the others for ever, so:

    no failure                    `limit` domains roll at the same time
    failed alone                  all domains go on one at a time
    failures in one account       its other domains wait; the domains of others go on one at a time
    failures in two accounts      all domains wait for a while, then one goes on at a time (`pausing`)

A failure that may be a tenant's own never stops others. The explanations are few on purpose: where most
domains set resources or pull secrets, a broken image must still be noticed. A tenant can pretend more (he may
delete the new pods again and again), and may have several accounts. So a pause ends by itself, and accounts
that failed once have their turn after all others.

Everything is read from the Deployments: their annotation `wsedge.io/rollout`, their status, their pods. So
another leader continues where the last one stopped. Only the length of a pause begins anew.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from wsedge_operator.desired.names import ROLLOUT_ANNOTATION, ROLLOUT_FAILURE_ANNOTATION
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.outcome import Manifest
from wsedge_operator.reconcile.own_causes import is_explained

# A Deployment reports a lack of progress after ten minutes (progressDeadlineSeconds). This bounds a rollout
# that other clients disturb again and again: the progress begins anew each time.
LONGEST: Final = timedelta(hours=1)
_SKEW: Final = timedelta(minutes=1)
# Why pods do not run for causes in their namespace or their nodes: quotas, limits, a missing account or
# volume, full nodes. They hold their turn until the deadline, and are no failure of the operator's change.
_OF_THE_NAMESPACE: Final = frozenset(
    {"FailedCreate", "ReplicaFailure", "Unschedulable", "CreateContainerConfigError"}
)
IGNORED: Final = "Ignored"
_UNHEALTHY: Final = "/unhealthy"

K = TypeVar("K", bound=Hashable)


class Progress(Enum):
    """The state of a rollout by the operator that is not complete."""

    ROLLING = "rolling"
    FAILED = "failed"
    FAILED_ALONE = "failed_alone"


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a domain's pods may be replaced now; if not, whether a failure is the reason, as a sentence.

    `is_probe`: granted, although relays of several accounts failed. `again` is when to ask again without an
    event.
    """

    granted: bool
    paused: bool = False
    message: str = ""
    again: datetime | None = None
    is_probe: bool = False


GRANTED: Final = Turn(True)


@dataclass(frozen=True, slots=True)
class Mark:
    """The operator's version that replaces the pods of a Deployment, since when, and whether all ran before.

    Releases that do not know the last part read another version, whose failure pauses nothing there either.
    """

    version: str
    since: datetime
    was_healthy: bool = True

    def __str__(self) -> str:
        version = self.version if self.was_healthy else f"{self.version}{_UNHEALTHY}"
        return f"{version} {self.since.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def mark_of(deployment: Manifest) -> Mark | None:
    """Return the mark of a Deployment; None without one, or with one that another client wrote."""
    text = (deployment["metadata"].get("annotations") or {}).get(ROLLOUT_ANNOTATION, "")
    version, _, instant = str(text).partition(" ")
    try:
        since = datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Mark(version.removesuffix(_UNHEALTHY), since, was_healthy=not version.endswith(_UNHEALTHY))


def is_healthy(deployment: Manifest) -> bool:
    """Return whether all relays of a Deployment ran the template of its last rollout when it was observed.

    A write that is not observed yet is no sign of illness: the operator's own annotations are one.
    """
    available = int((deployment.get("status") or {}).get("availableReplicas") or 0)
    return _is_rolled_out(deployment) and available >= int(deployment["spec"].get("replicas", 1))


def is_complete(deployment: Manifest) -> bool:
    """Return whether the last rollout of a Deployment was completed, whatever happened to its pods since."""
    observed = int((deployment.get("status") or {}).get("observedGeneration") or 0)
    return observed >= int(deployment["metadata"].get("generation") or 0) and _is_rolled_out(deployment)


def _is_rolled_out(deployment: Manifest) -> bool:
    status = deployment.get("status") or {}
    # After a return to an earlier template the condition is that of the rollout before, for a moment.
    if int(status.get("updatedReplicas") or 0) < int(status.get("replicas") or 0):
        return False
    return _progressing(deployment).get("reason") == "NewReplicaSetAvailable"


def progress(
    deployment: Manifest | None,
    owner: Manifest,
    live_pods: Iterable[Manifest],
    version: str,
    now: datetime,
) -> Progress | None:
    """Return the state of the rollout that a change of the operator has begun; None without one.

    None too for one that has lasted too long for a cause in its namespace, that failed under another version
    of the operator, whose relays did not all run before, or whose failure an administrator ignores by an
    annotation of the domain `owner`.
    """
    if deployment is None or (mark := mark_of(deployment)) is None or is_complete(deployment):
        return None
    newest = pods.newest(live_pods)
    problem = pods.first_problem(newest, deployment)
    of_the_namespace = problem is not None and problem.reason in _OF_THE_NAMESPACE
    is_over = _progressing(deployment).get("reason") == "ProgressDeadlineExceeded" or not (
        -_SKEW <= now - mark.since < LONGEST
    )
    if not is_over and (problem is None or of_the_namespace):
        return Progress.ROLLING
    ignored = (owner["metadata"].get("annotations") or {}).get(ROLLOUT_FAILURE_ANNOTATION) == IGNORED
    if of_the_namespace or mark.version != version or not mark.was_healthy or ignored:
        return None
    explained = is_explained(owner, problem, is_out_of_memory=any(map(pods.is_out_of_memory, newest)))
    return Progress.FAILED_ALONE if explained else Progress.FAILED


def _progressing(deployment: Manifest) -> Mapping[str, Any]:
    found = (deployment.get("status") or {}).get("conditions") or ()
    return next((entry for entry in found if entry["type"] == "Progressing"), {})


@dataclass(frozen=True, slots=True)
class Turns(Generic[K]):
    """The domains that may begin now, and the domains that failed, by account."""

    granted: frozenset[K] = frozenset()
    failed: Mapping[str, tuple[K, ...]] = field(default_factory=dict)

    @property
    def are_probes(self) -> bool:
        """Whether domains begin although relays of several accounts failed."""
        return len(self.failed) > 1

    def is_paused(self, account: str) -> bool:
        """Return whether the domains of an account wait because of a failure."""
        return account in self.failed or self.are_probes


def failures(rollouts: Mapping[K, tuple[str, Progress]]) -> dict[str, tuple[K, ...]]:
    """Return the domains that failed and may have failed by the operator's change, by account."""
    failed: dict[str, tuple[K, ...]] = {}
    for key, (account, state) in rollouts.items():
        if state is Progress.FAILED:
            failed[account] = (*failed.get(account, ()), key)
    return failed


def turns(
    rollouts: Mapping[K, tuple[str, Progress]],
    waiting: Iterable[tuple[K, str]],
    limit: int,
    *,
    is_held: bool = False,
    last: Container[str] = (),
) -> Turns[K]:
    """Return which of `waiting`, pairs of a domain and its account in order, may begin.

    `rollouts` has account and state of each rollout that is not complete. While the pause after failures in
    several accounts `is_held` none begins. Domains of the accounts `last` begin after those of all others.
    """
    failed = failures(rollouts)
    states = [state for _, state in rollouts.values()]
    is_doubtful = bool(failed) or Progress.FAILED_ALONE in states
    free = max(0, (1 if is_doubtful else limit) - states.count(Progress.ROLLING))
    if not free or (len(failed) > 1 and is_held):
        return Turns(frozenset(), failed)
    ready = [(key, account) for key, account in waiting if account not in failed]
    ready.sort(key=lambda entry: entry[1] in last)
    return Turns(frozenset(key for key, _ in ready[:free]), failed)
