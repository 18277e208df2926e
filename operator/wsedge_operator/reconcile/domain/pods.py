"""What the relay pods say about why they do not serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Pod = Mapping[str, Any]

# A container that waits for one of these is on its way; any other reason is what keeps it.
_ON_THE_WAY = frozenset({"ContainerCreating", "PodInitializing", ""})
# A kubelet goes back and forth between trying and waiting. Both get one answer, since each turn of a
# condition is a write and an Event.
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff"})
_CRASH = "CrashLoopBackOff"
_CRASH_RESTARTS = 2


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not run: Kubernetes' own word for it, and a sentence."""

    reason: str
    message: str


def is_live(pod: Pod) -> bool:
    """Tell whether a pod belongs to those that serve: neither ended nor about to end."""
    return not pod["metadata"].get("deletionTimestamp") and pod.get("status", {}).get("phase") not in {
        "Succeeded",
        "Failed",
    }


def is_running(pod: Pod) -> bool:
    """Tell whether the relay process of a pod runs, so that it can be asked."""
    return bool(pod.get("status", {}).get("podIP")) and any(
        "running" in (status.get("state") or {}) for status in _containers(pod)
    )


def is_unready(pod: Pod) -> bool:
    """Tell whether a container of a pod is known to fail its readiness probe."""
    return any(status.get("ready") is False for status in _containers(pod))


def replica_set_of(pod: Pod) -> tuple[str, str] | None:
    """Return name and uid of the ReplicaSet that a pod says it is of; None: of none."""
    return _controller(pod, "ReplicaSet")


def is_of(replica_set: Mapping[str, Any], uid: str, deployment: Mapping[str, Any] | None) -> bool:
    """Tell whether a live ReplicaSet is the one with `uid`, and that one is of a live Deployment."""
    if deployment is None or replica_set["metadata"]["uid"] != uid:
        return False
    controller = _controller(replica_set, "Deployment")
    return controller is not None and controller[1] == deployment["metadata"]["uid"]


def has_own_address(pod: Pod) -> bool:
    """Tell whether a pod's address is its own: that of one on the host's network is the node's."""
    return not (pod.get("spec") or {}).get("hostNetwork")


def is_ready(pod: Pod) -> bool:
    """Tell whether all containers of a pod pass their readiness probes."""
    found = _containers(pod)
    return bool(found) and all(status.get("ready") for status in found)


def restarts(pod: Pod) -> int:
    """Return how often the relay of a pod was started anew."""
    return sum(int(status.get("restartCount") or 0) for status in _containers(pod))


def first_trouble(pods: Iterable[Pod], deployment: Mapping[str, Any] | None) -> Trouble | None:
    """Return why pods do not run, if one is known: of a pod, else of the Deployment that cannot make any."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        if is_live(pod) and (found := _trouble(pod)) is not None:
            return found
    for condition in ((deployment or {}).get("status") or {}).get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Trouble(condition.get("reason") or "ReplicaFailure", condition.get("message") or "")
    return None


def _controller(live: Mapping[str, Any], kind: str) -> tuple[str, str] | None:
    for reference in live["metadata"].get("ownerReferences") or ():
        group, _, _ = str(reference.get("apiVersion")).partition("/")
        if reference.get("controller") and reference.get("kind") == kind and group == "apps":
            return str(reference.get("name")), str(reference.get("uid"))
    return None


def _trouble(pod: Pod) -> Trouble | None:
    name = pod["metadata"]["name"]
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason == _CRASH or (status.get("restartCount", 0) >= _CRASH_RESTARTS and not status.get("ready")):
            return Trouble(
                _CRASH, f"pod {name}: the relay ends again and again{_last_end(status)}; see its log"
            )
        if reason not in _ON_THE_WAY:
            text = f"pod {name}: {waiting.get('message') or reason}"
            return Trouble("ImagePullBackOff" if reason in _PULL else reason, text)
    for condition in pod.get("status", {}).get("conditions") or ():
        unscheduled = condition["type"] == "PodScheduled" and condition["status"] == "False"
        if unscheduled and condition.get("reason") == "Unschedulable":
            return Trouble("Unschedulable", f"pod {name}: {condition.get('message', '')}")
    return None


def _last_end(status: Mapping[str, Any]) -> str:
    ended = (status.get("lastState") or {}).get("terminated")
    if not ended:
        return ""
    return f" (last exit code {ended.get('exitCode')}, {ended.get('reason', 'Error')})"


def _containers(pod: Pod) -> list[Mapping[str, Any]]:
    return list(pod.get("status", {}).get("containerStatuses") or ())
