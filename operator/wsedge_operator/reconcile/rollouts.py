"""The stage of rollouts: of how many domains a change of the operator replaces pods at the same time.

An upgrade of the operator, or of a default for pods, changes the pod templates of many domains. They change
one after the other, the oldest domain first. An edit of a domain's own spec does not wait.

    settled ──the operator's template is another──▶ waiting ──a turn──▶ rolling ──all pods new──▶ settled
       ▲                                            │     ▲                │ │
       └─────────────── its spec is edited ─────────┘     │                │ └──relay does not run──▶ failed
                                                          │                └──namespace refuses pods, too
                                                          │                   long──▶ (holds no turn)
                                                    no turn while others failed

A rollout fails because of the change (an image that does not start) or because of its own namespace (a
tenant may have caused it). One account must not hold up the others for ever, so:

    no failure                    `limit` domains roll at the same time
    failures in one account       its other domains wait; the domains of others go on one at a time
    failures in two accounts      all domains wait

Everything is read from the Deployments: their annotation `wsedge.io/rollout`, their status, their pods. So
another leader continues where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from wsedge_operator.desired.names import ROLLOUT_ANNOTATION, ROLLOUT_FAILURE_ANNOTATION
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.outcome import Manifest

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

K = TypeVar("K", bound=Hashable)


class Progress(Enum):
    """The state of a rollout by the operator that is not complete."""

    ROLLING = "rolling"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a domain's pods may be replaced now; if not, whether a failure is the reason, as a sentence.

    `again` is when to ask again without an event.
    """

    granted: bool
    paused: bool = False
    message: str = ""
    again: datetime | None = None


GRANTED: Final = Turn(True)


@dataclass(frozen=True, slots=True)
class Mark:
    """The operator's version that replaces the pods of a Deployment, and since when."""

    version: str
    since: datetime

    def __str__(self) -> str:
        return f"{self.version} {self.since.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def mark_of(deployment: Manifest) -> Mark | None:
    """Return the mark of a Deployment; None without one, or with one that another client wrote."""
    text = (deployment["metadata"].get("annotations") or {}).get(ROLLOUT_ANNOTATION, "")
    version, _, instant = str(text).partition(" ")
    try:
        return Mark(version, datetime.strptime(instant, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    except ValueError:
        return None


def is_complete(deployment: Manifest) -> bool:
    """Return whether the last rollout of a Deployment was completed, whatever happened to its pods since."""
    status = deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"].get("generation") or 0):
        return False
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
    of the operator, or whose failure an administrator ignores by an annotation of the domain `owner`.
    """
    if deployment is None or (mark := mark_of(deployment)) is None or is_complete(deployment):
        return None
    problem = pods.first_problem(pods.newest(live_pods), deployment)
    of_the_namespace = problem is not None and problem.reason in _OF_THE_NAMESPACE
    is_over = _progressing(deployment).get("reason") == "ProgressDeadlineExceeded" or not (
        -_SKEW <= now - mark.since < LONGEST
    )
    if not is_over and (problem is None or of_the_namespace):
        return Progress.ROLLING
    ignored = (owner["metadata"].get("annotations") or {}).get(ROLLOUT_FAILURE_ANNOTATION) == IGNORED
    if of_the_namespace or mark.version != version or ignored:
        return None
    return Progress.FAILED


def _progressing(deployment: Manifest) -> Mapping[str, Any]:
    found = (deployment.get("status") or {}).get("conditions") or ()
    return next((entry for entry in found if entry["type"] == "Progressing"), {})


@dataclass(frozen=True, slots=True)
class Turns(Generic[K]):
    """The domains that may begin now, and the domains that failed, by account."""

    granted: frozenset[K] = frozenset()
    failed: Mapping[str, tuple[K, ...]] = field(default_factory=dict)

    def is_paused(self, account: str) -> bool:
        """Return whether the domains of an account wait because of a failure."""
        return account in self.failed or len(self.failed) > 1


def turns(
    rollouts: Mapping[K, tuple[str, Progress]], waiting: Iterable[tuple[K, str]], limit: int
) -> Turns[K]:
    """Return which of `waiting`, pairs of a domain and its account in order, may begin.

    `rollouts` has account and state of each rollout that is not complete.
    """
    failed: dict[str, tuple[K, ...]] = {}
    for key, (account, state) in rollouts.items():
        if state is Progress.FAILED:
            failed[account] = (*failed.get(account, ()), key)
    rolling = sum(state is Progress.ROLLING for _, state in rollouts.values())
    free = max(0, (limit if not failed else 1) - rolling)
    if len(failed) > 1 or not free:
        return Turns(frozenset(), failed)
    ready = (key for key, account in waiting if account not in failed)
    return Turns(frozenset(islice(ready, free)), failed)
