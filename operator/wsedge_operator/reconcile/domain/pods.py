"""The state of relay pods, read from their status: whether they run, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Pod = Mapping[str, Any]

# Reasons for waiting of a container that starts. Any other reason is a fault.
_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
# A kubelet alternates between the two: it tries, then waits. Both are reported as one reason, since each
# change of a condition is a write and an Event.
IMAGE_NOT_PULLED = "ImagePullBackOff"
_PULL = frozenset({"ErrImagePull", IMAGE_NOT_PULLED})
_CRASH = "CrashLoopBackOff"
# While a container that crashes runs between two crashes it has no reason for waiting. From this number of
# restarts on it is reported as crashing all the same, so that the condition does not alternate.
_CRASH_RESTARTS = 2


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why a pod does not run: a reason of Kubernetes, and a sentence."""

    reason: str
    message: str


def is_live(pod: Pod) -> bool:
    """Return whether a pod may serve: it has not ended and is not being deleted."""
    return not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("phase") not in {
        "Succeeded",
        "Failed",
    }


def is_running(pod: Pod) -> bool:
    """Return whether the relay of a pod runs and has an address, so that it can be queried."""
    return bool(pod.get("status", {}).get("podIP")) and any(
        "running" in (status.get("state") or {}) for status in _containers(pod)
    )


def is_unready(pod: Pod) -> bool:
    """Return whether a container of a pod fails its readiness probe."""
    return any(status.get("ready") is False for status in _containers(pod))


def replica_set_of(pod: Pod) -> tuple[str, str] | None:
    """Return the name and uid of the ReplicaSet in a pod's owner references, or None."""
    return _controller(pod, "ReplicaSet")


def is_replica_set_of(replica_set: Mapping[str, Any], uid: str, deployment: Mapping[str, Any] | None) -> bool:
    """Return whether a live ReplicaSet has this uid and is controlled by the live Deployment."""
    if deployment is None or replica_set["metadata"]["uid"] != uid:
        return False
    controller = _controller(replica_set, "Deployment")
    return controller is not None and controller[1] == deployment["metadata"]["uid"]


def has_own_address(pod: Pod) -> bool:
    """Return whether a pod's address is its own. On the host's network it is the node's address."""
    return not (pod.get("spec") or {}).get("hostNetwork")


def is_ready(pod: Pod) -> bool:
    """Return whether all containers of a pod pass their readiness probes."""
    found = _containers(pod)
    return bool(found) and all(status.get("ready") for status in found)


def has_started(pod: Pod) -> bool:
    """Return whether all containers of a pod have passed their startup probes since their last start."""
    found = _containers(pod)
    return bool(found) and all(status.get("started") for status in found)


def restarts(pod: Pod) -> int:
    """Return how often the containers of a pod were restarted."""
    return sum(int(status.get("restartCount") or 0) for status in _containers(pod))


def is_out_of_memory(pod: Pod) -> bool:
    """Return whether the last exit of a container of a pod was for its memory limit."""
    ends = ((status.get("lastState") or {}).get("terminated") or {} for status in _containers(pod))
    return any(end.get("reason") == "OOMKilled" for end in ends)


def first_problem(pods: Iterable[Pod], deployment: Mapping[str, Any] | None) -> PodProblem | None:
    """Return why pods do not run, or None: the first problem of a pod, by name, else of the Deployment.

    A Deployment has the condition ReplicaFailure when pods cannot be created, for example because of a quota.
    """
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        if is_live(pod) and (found := _problem_of(pod)) is not None:
            return found
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return PodProblem(condition.get("reason") or "ReplicaFailure", condition.get("message") or "")
    return None


def newest(pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods of the pod template of which the youngest pod is."""
    found = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
    return [pod for pod in found if _template_hash(pod) == _template_hash(found[-1])]


def _template_hash(pod: Pod) -> str | None:
    hashed: str | None = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
    return hashed


def _controller(live: Mapping[str, Any], kind: str) -> tuple[str, str] | None:
    for reference in live["metadata"].get("ownerReferences") or ():
        group, _, _ = str(reference.get("apiVersion")).partition("/")
        if reference.get("controller") and reference.get("kind") == kind and group == "apps":
            return str(reference.get("name")), str(reference.get("uid"))
    return None


def _problem_of(pod: Pod) -> PodProblem | None:
    name = pod["metadata"]["name"]
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason == _CRASH or (status.get("restartCount", 0) >= _CRASH_RESTARTS and not status.get("ready")):
            return PodProblem(
                _CRASH, f"pod {name}: the relay exits repeatedly{_last_exit(status)}; see its log"
            )
        if reason not in _STARTING:
            text = f"pod {name}: {waiting.get('message') or reason}"
            return PodProblem(IMAGE_NOT_PULLED if reason in _PULL else reason, text)
    for condition in pod.get("status", {}).get("conditions") or ():
        unscheduled = condition["type"] == "PodScheduled" and condition["status"] == "False"
        if unscheduled and condition.get("reason") == "Unschedulable":
            return PodProblem("Unschedulable", f"pod {name}: {condition.get('message', '')}")
    return None


def _last_exit(status: Mapping[str, Any]) -> str:
    ended = (status.get("lastState") or {}).get("terminated")
    if not ended:
        return ""
    return f" (last exit code {ended.get('exitCode')}, {ended.get('reason', 'Error')})"


def _containers(pod: Pod) -> list[Mapping[str, Any]]:
    return list(pod.get("status", {}).get("containerStatuses") or ())
