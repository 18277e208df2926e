"""A pod's status, from the states of its containers. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from wsedge_devcluster.agent.objects import Object
from wsedge_devcluster.agent.times import stamp


@dataclass(frozen=True, slots=True)
class Waiting:
    """The container is not running yet, or waits for its next start."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The process runs."""

    started: dt.datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    """The process has ended. `code` is 128 + the signal's number after a signal."""

    code: int
    started: dt.datetime
    finished: dt.datetime
    reason: str
    message: str = ""
    container_id: str = ""


State = Waiting | Running | Terminated


class Role(StrEnum):
    """The role of a container: init containers end first, sidecars run beside the main containers."""

    INIT = "init"
    SIDECAR = "sidecar"
    MAIN = "main"


@dataclass(slots=True)
class Record:
    """The state of one container, as the status shows it."""

    name: str
    image: str
    role: Role
    state: State
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""


@dataclass(slots=True)
class PodFacts:
    """Inputs of the pod's status."""

    address: str = ""
    host: str = ""
    started: dt.datetime | None = None
    volumes_ready: bool = False
    records: list[Record] = field(default_factory=list)


def ended(
    code: int, started: dt.datetime, finished: dt.datetime, *, message: str, identity: str
) -> Terminated:
    """Return a termination from an exit code of subprocess, which is negative after a signal."""
    shown = code if code >= 0 else 128 - code
    return Terminated(shown, started, finished, "Completed" if shown == 0 else "Error", message, identity)


def restarts(policy: str, role: Role, code: int) -> bool:
    """Return whether a container that has ended is restarted; a sidecar is, whatever the restartPolicy."""
    if role is Role.SIDECAR:
        return True
    if policy == "Never":
        return False
    if policy == "OnFailure" or role is Role.INIT:
        return code != 0
    return True


def phase(policy: str, records: Sequence[Record]) -> str:
    """Return Pending, Running, Succeeded or Failed (the kubelet's getPhase)."""
    inits = [record for record in records if record.role is Role.INIT]
    mains = [record for record in records if record.role is Role.MAIN]
    if policy == "Never" and any(_code(record) not in (0, None) for record in inits):
        return "Failed"
    if any(_code(record) != 0 for record in inits):
        return "Pending"
    if any(isinstance(r.state, Waiting) and r.last is None for r in mains):
        return "Pending"
    if all(isinstance(record.state, Terminated) for record in mains):
        if policy != "Always" and all(_code(record) == 0 for record in mains):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    return "Running"


def pod_status(pod: Object, facts: PodFacts, now: dt.datetime) -> Object:
    """Return the status to write; an unchanged condition retains its transition time."""
    spec, before = pod["spec"], pod.get("status", {})
    policy = spec.get("restartPolicy", "Always")
    records = facts.records
    shown = phase(policy, records)
    status: Object = {
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": shown,
        "hostIP": facts.host,
        "hostIPs": [{"ip": facts.host}],
        "conditions": _conditions(pod, facts, shown, before.get("conditions", []), now),
        "containerStatuses": [_container(r) for r in records if r.role is Role.MAIN],
    }
    inits = [_container(record) for record in records if record.role is not Role.MAIN]
    if inits:
        status["initContainerStatuses"] = inits
    if facts.address:
        status |= {"podIP": facts.address, "podIPs": [{"ip": facts.address}]}
    if facts.started is not None:
        status["startTime"] = stamp(facts.started)
    return status


def is_ready(pod: Object, records: Sequence[Record]) -> bool:
    """Return whether the pod is ready: its containers and its readiness gates are."""
    gates = {gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])}
    held = {c["type"] for c in pod.get("status", {}).get("conditions", []) if c["status"] == "True"}
    return _containers_ready(records) and gates <= held


def _containers_ready(records: Sequence[Record]) -> bool:
    return all(record.ready for record in records if record.role is not Role.INIT)


def _code(record: Record) -> int | None:
    """Return the exit code of a container that has ended, None for another state."""
    if isinstance(record.state, Terminated):
        return record.state.code
    return None


def _conditions(
    pod: Object, facts: PodFacts, shown: str, before: list[Object], now: dt.datetime
) -> list[Object]:
    records = facts.records
    finished = shown in ("Succeeded", "Failed")
    initialized = all(_code(r) == 0 for r in records if r.role is Role.INIT) and all(
        r.started or finished for r in records if r.role is Role.SIDECAR
    )
    unready = [r.name for r in records if r.role is not Role.INIT and not r.ready]
    waiting = [r.name for r in records if r.role is Role.INIT and _code(r) != 0]
    completed = "PodFailed" if shown == "Failed" else "PodCompleted"
    reason, message = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    if finished:
        reason, message = completed, ""
    containers_ready = not unready and not finished
    ready = containers_ready and is_ready(pod, records)
    if containers_ready and not ready:
        ready_why = ("ReadinessGatesNotReady", "the status of pod readiness gate is not True")
    else:
        ready_why = (reason, message)
    incomplete = ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
    wanted: list[tuple[str, bool, tuple[str, str]]] = [
        ("PodReadyToStartContainers", facts.volumes_ready and not finished, ("", "")),
        ("Initialized", initialized, (completed, "") if finished else incomplete),
        ("Ready", ready, ready_why),
        ("ContainersReady", containers_ready, (reason, message)),
        ("PodScheduled", True, ("", "")),
    ]
    old = {condition["type"]: condition for condition in before}
    return [
        _condition(kind, holds, why if not holds or finished else ("", ""), old.get(kind), now)
        for kind, holds, why in wanted
    ]


def _condition(kind: str, holds: bool, why: tuple[str, str], old: Object | None, now: dt.datetime) -> Object:
    status = "True" if holds else "False"
    since = stamp(now)
    if old is not None and old.get("status") == status:
        since = old.get("lastTransitionTime") or since
    condition: Object = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": since}
    # null removes an old reason in a strategic merge patch
    condition |= {"reason": why[0] or None, "message": why[1] or None}
    return condition


def _container(record: Record) -> Object:
    status: Object = {
        "name": record.name,
        "image": record.image,
        "imageID": "" if isinstance(record.state, Waiting) and record.last is None else record.image,
        "restartCount": record.restarts,
        "ready": record.ready if record.role is not Role.INIT else _code(record) == 0,
        "started": record.started,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last is not None else {},
    }
    if record.container_id:
        status["containerID"] = record.container_id
    return status


def _state(state: State) -> Object:
    if isinstance(state, Waiting):
        waiting = {"reason": state.reason}
        return {"waiting": waiting | ({"message": state.message} if state.message else {})}
    if isinstance(state, Running):
        return {"running": {"startedAt": stamp(state.started)}}
    terminated: Object = {
        "exitCode": state.code,
        "reason": state.reason,
        "startedAt": stamp(state.started),
        "finishedAt": stamp(state.finished),
        "containerID": state.container_id,
    }
    return {"terminated": terminated | ({"message": state.message} if state.message else {})}
