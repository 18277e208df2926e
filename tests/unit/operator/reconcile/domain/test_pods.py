"""The state of relay pods: whether they run, their owners, and why they do not run."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.snapshots import pod, waiting
from wsedge_operator.reconcile.domain import pods
from wsedge_operator.reconcile.domain.pods import PodProblem

Live = dict[str, Any]


def container(**status: Any) -> Live:
    """Return the status of a pod with one container that runs."""
    return {"containerStatuses": [{"restartCount": 0, "state": {"running": {}}, **status}]}


def deleted(live: Live) -> Live:
    return {**live, "metadata": {**live["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"}}


BARE: Live = {"metadata": {"name": "pod-1"}}
# A pod; is it live, running, ready, unready.
STATES: dict[str, tuple[Live, tuple[bool, bool, bool, bool]]] = {
    "a pod that runs and is ready": (pod(**container(ready=True)), (True, True, True, False)),
    "a pod that runs and is not ready": (pod(**container(ready=False)), (True, True, False, True)),
    "a pod whose readiness is unknown": (pod(), (True, True, False, False)),
    "a pod that is being deleted": (deleted(pod(**container(ready=True))), (False, True, True, False)),
    "a pod that failed": (pod(phase="Failed"), (False, True, False, False)),
    "a pod that ended": (pod(phase="Succeeded"), (False, True, False, False)),
    "a pod without an address": (pod(podIP=None), (True, False, False, False)),
    "a container that waits": (pod(**waiting("ContainerCreating")), (True, False, False, False)),
    "a pod without a status": (BARE, (True, False, False, False)),
}


@pytest.mark.parametrize(("live", "state"), STATES.values(), ids=STATES.keys())
def test_state(live: Live, state: tuple[bool, bool, bool, bool]) -> None:
    """Live: it may serve. Running: it can be queried. Neither ready nor unready: readiness is unknown."""
    assert (pods.is_live(live), pods.is_running(live), pods.is_ready(live), pods.is_unready(live)) == state


def test_restarts_are_summed_over_containers() -> None:
    """A sidecar that was injected counts too; a container without a number has none."""
    statuses = [{"restartCount": 2}, {"restartCount": 3}, {}]
    assert pods.restarts(pod(containerStatuses=statuses)) == 5
    assert pods.restarts(BARE) == 0


def owned(*references: Live, uid: str = "rs-1") -> Live:
    return {"metadata": {"uid": uid, "ownerReferences": list(references)}}


def by(kind: str, name: str, uid: str, **fields: Any) -> Live:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True, **fields}


REPLICA_SET = by("ReplicaSet", "chat-relay-1", "rs-1")
CONTROLLERS: dict[str, tuple[Live, tuple[str, str] | None]] = {
    "a pod of a ReplicaSet": (owned(REPLICA_SET), ("chat-relay-1", "rs-1")),
    "a pod with another owner first": (
        owned(by("ConfigMap", "x", "x", controller=False), REPLICA_SET),
        ("chat-relay-1", "rs-1"),
    ),
    "a pod of a StatefulSet": (owned(by("StatefulSet", "db", "db-1")), None),
    "an owner that is no controller": (owned({**REPLICA_SET, "controller": False}), None),
    "a ReplicaSet of another group": (owned({**REPLICA_SET, "apiVersion": "example.com/v1"}), None),
    "a pod without an owner": ({"metadata": {"uid": "x"}}, None),
}


@pytest.mark.parametrize(("live", "found"), CONTROLLERS.values(), ids=CONTROLLERS.keys())
def test_the_replica_set_of_a_pod(live: Live, found: tuple[str, str] | None) -> None:
    """The controller reference to a ReplicaSet of the group apps, and no other reference."""
    assert pods.replica_set_of(live) == found


DEPLOYMENT: Live = {"metadata": {"uid": "dep-1"}}
OF_DEPLOYMENT = owned(by("Deployment", "chat-relay", "dep-1"))
CHAINS: dict[str, tuple[Live, str, Live | None, bool]] = {
    "the ReplicaSet of the Deployment": (OF_DEPLOYMENT, "rs-1", DEPLOYMENT, True),
    "a ReplicaSet of that name with another uid": (OF_DEPLOYMENT, "rs-2", DEPLOYMENT, False),
    "a ReplicaSet of an older Deployment": (
        owned(by("Deployment", "chat-relay", "dep-0")),
        "rs-1",
        DEPLOYMENT,
        False,
    ),
    "a ReplicaSet without a controller": (owned(), "rs-1", DEPLOYMENT, False),
    "without a Deployment": (OF_DEPLOYMENT, "rs-1", None, False),
}


@pytest.mark.parametrize(("replica_set", "uid", "deployment", "is_of"), CHAINS.values(), ids=CHAINS.keys())
def test_a_replica_set_belongs_to_the_live_deployment(
    replica_set: Live, uid: str, deployment: Live | None, is_of: bool
) -> None:
    """Uids decide, since a tenant can make objects of the same names."""
    assert pods.is_replica_set_of(replica_set, uid, deployment) is is_of


def test_an_address_on_the_hosts_network_is_not_the_pods_own() -> None:
    """It is the address of the node, on which any other pod may answer."""
    assert pods.has_own_address({"spec": {}})
    assert pods.has_own_address({"spec": None})
    assert not pods.has_own_address({"spec": {"hostNetwork": True}})


CRASHED = {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
EXITED = {**CRASHED, "lastState": {"terminated": {"exitCode": 2, "reason": "OOMKilled"}}}
CONDITIONS = [
    {"type": "Ready", "status": "False"},
    {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"},
]
PROBLEMS: dict[str, tuple[Live, PodProblem | None]] = {
    "a pod that runs has none": (pod(), None),
    "a container that starts has none": (pod(**waiting("PodInitializing")), None),
    "a crash without an exit code": (
        pod(containerStatuses=[CRASHED]),
        PodProblem("CrashLoopBackOff", "pod pod-1: the relay exits repeatedly; see its log"),
    ),
    "a crash with its exit code": (
        pod(containerStatuses=[EXITED]),
        PodProblem(
            "CrashLoopBackOff",
            "pod pod-1: the relay exits repeatedly (last exit code 2, OOMKilled); see its log",
        ),
    ),
    "two restarts, and ready since": (pod(**container(restartCount=2, ready=True)), None),
    "an image that cannot be pulled": (
        pod(**waiting("ErrImagePull", "not found")),
        PodProblem("ImagePullBackOff", "pod pod-1: not found"),
    ),
    "a reason without a message": (
        pod(**waiting("InvalidImageName")),
        PodProblem("InvalidImageName", "pod pod-1: InvalidImageName"),
    ),
    "no node with room": (
        pod(containerStatuses=[], conditions=CONDITIONS),
        PodProblem("Unschedulable", "pod pod-1: no cpu"),
    ),
    "a scheduling gate": (pod(containerStatuses=[], conditions=CONDITIONS[:2]), None),
    "a pod that is being deleted": (deleted(pod(containerStatuses=[CRASHED])), None),
}


@pytest.mark.parametrize(("live", "problem"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_why_a_pod_does_not_run(live: Live, problem: PodProblem | None) -> None:
    """The reason is a word of Kubernetes; a kubelet that alternates between two gets one."""
    assert pods.first_problem([live], None) == problem


def test_the_first_pod_by_name_is_reported() -> None:
    """The order in which pods are listed does not change the status."""
    listed = [pod("pod-2", **waiting("InvalidImageName")), pod("pod-1", **waiting("ErrImagePull"))]
    for order in (listed, listed[::-1]):
        found = pods.first_problem(order, None)
        assert found is not None
        assert found.message == "pod pod-1: ErrImagePull"


REPLICA_FAILURES: dict[str, tuple[list[Live], PodProblem | None]] = {
    "a quota that is used up": (
        [
            {"type": "Available", "status": "True"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
        ],
        PodProblem("FailedCreate", "quota"),
    ),
    "a failure without a word": (
        [{"type": "ReplicaFailure", "status": "True"}],
        PodProblem("ReplicaFailure", ""),
    ),
    "a failure that is over": ([{"type": "ReplicaFailure", "status": "False"}], None),
    "no condition": ([], None),
}


@pytest.mark.parametrize(("conditions", "problem"), REPLICA_FAILURES.values(), ids=REPLICA_FAILURES.keys())
def test_why_a_deployment_creates_no_pod(conditions: list[Live], problem: PodProblem | None) -> None:
    """It counts when no pod has a problem of its own."""
    assert pods.first_problem([pod()], {"status": {"conditions": conditions}}) == problem
