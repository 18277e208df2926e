"""A pod's status, from the states of its containers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from wsedge_devcluster.agent.pod import covers
from wsedge_devcluster.agent.status import (
    PodFacts,
    Record,
    Role,
    Running,
    State,
    Waiting,
    ended,
    is_ready,
    phase,
    pod_status,
    restarts,
)

T0 = dt.datetime(2026, 11, 22, 10, 0, tzinfo=dt.UTC)
T1 = T0 + dt.timedelta(minutes=5)
POD: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {"containers": []}}
WAITING, RUNNING = Waiting("ContainerCreating"), Running(T0)


def done(code: int) -> State:
    return ended(code, T0, T1, message="", identity="id")


def record(state: State, role: Role = Role.MAIN, **more: Any) -> Record:
    return Record(role.value, "image", role, state, **more)


@pytest.mark.parametrize(
    ("policy", "records", "expected"),
    [
        pytest.param("Always", [record(WAITING)], "Pending", id="nothing has started"),
        pytest.param("Always", [record(RUNNING)], "Running", id="the container runs"),
        pytest.param(
            "Always", [record(Waiting("CrashLoopBackOff"), last=done(1))], "Running", id="between two starts"
        ),
        pytest.param("Always", [record(done(1))], "Running", id="about to be restarted"),
        pytest.param("Never", [record(done(0)), record(done(0))], "Succeeded", id="all have ended well"),
        pytest.param("Never", [record(done(0)), record(done(1))], "Failed", id="one has ended badly"),
        pytest.param("Never", [record(done(0)), record(RUNNING)], "Running", id="one still runs"),
        pytest.param("OnFailure", [record(done(1))], "Running", id="a failure that is tried again"),
        pytest.param("OnFailure", [record(done(0))], "Succeeded", id="a success that is not restarted"),
        pytest.param("Always", [record(done(0))], "Running", id="a success that is restarted"),
        pytest.param(
            "Never",
            [record(done(1), Role.INIT), record(WAITING)],
            "Failed",
            id="an init container has failed",
        ),
        pytest.param(
            "Always", [record(RUNNING, Role.INIT), record(WAITING)], "Pending", id="an init container runs"
        ),
        pytest.param(
            "Never",
            [record(RUNNING, Role.SIDECAR), record(done(0))],
            "Succeeded",
            id="only the sidecar is left",
        ),
    ],
)
def test_phase(policy: str, records: list[Record], expected: str) -> None:
    """The phase follows the containers' states and the restart policy."""
    assert phase(policy, records) == expected


@pytest.mark.parametrize(
    ("policy", "role", "code", "expected"),
    [
        ("Always", Role.MAIN, 0, True),
        ("OnFailure", Role.MAIN, 0, False),
        ("OnFailure", Role.MAIN, 1, True),
        ("Never", Role.MAIN, 1, False),
        ("Always", Role.INIT, 0, False),
        ("Always", Role.INIT, 1, True),
        ("Never", Role.INIT, 1, False),
        ("Never", Role.SIDECAR, 0, True),
    ],
)
def test_restarts(policy: str, role: Role, code: int, expected: bool) -> None:
    """The exit code, the role and the pod's policy decide on a restart."""
    assert restarts(policy, role, code) is expected


def test_signal_is_128_and_its_number() -> None:
    """A process ended by SIGKILL shows exit code 137 and reason Error."""
    state = ended(-9, T0, T1, message="", identity="id")
    assert (state.code, state.reason) == (137, "Error")
    assert ended(0, T0, T1, message="", identity="id").reason == "Completed"


def test_readiness_gates() -> None:
    """A pod with a readiness gate is ready once the gate's condition is True."""
    records = [record(RUNNING, ready=True)]
    pod: dict[str, Any] = {"spec": {"readinessGates": [{"conditionType": "gate"}]}}
    assert not is_ready(pod, records)
    pod["status"] = {"conditions": [{"type": "gate", "status": "True"}]}
    assert is_ready(pod, records)


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in status["conditions"]}


def test_conditions_of_an_unready_pod() -> None:
    """An unready container is named by the conditions."""
    facts = PodFacts(records=[record(RUNNING), record(RUNNING, Role.SIDECAR, ready=True, started=True)])
    found = conditions(pod_status(POD, facts, T0))
    assert found["Ready"]["status"] == "False"
    assert found["Ready"]["reason"] == "ContainersNotReady"
    assert found["Ready"]["message"] == "containers with unready status: [main]"
    assert found["Initialized"]["status"] == "True"


def test_transition_time_stays() -> None:
    """An unchanged condition retains its time; a changed condition has the present time."""
    facts = PodFacts(records=[record(RUNNING)])
    first = pod_status(POD, facts, T0)
    facts.records[0].ready = True
    second = conditions(pod_status({**POD, "status": first}, facts, T1))
    assert second["PodScheduled"]["lastTransitionTime"] == "2026-11-22T10:00:00Z"
    assert second["Ready"]["lastTransitionTime"] == "2026-11-22T10:05:00Z"


def test_addresses_and_times() -> None:
    """The pod's address and start are shown once they are known."""
    before = pod_status(POD, PodFacts(records=[record(WAITING)]), T0)
    assert not {"podIP", "podIPs", "startTime", "initContainerStatuses"} & before.keys()
    facts = PodFacts(address="127.65.1.0", host="127.65.0.1", started=T0, volumes_ready=True)
    after = pod_status(POD, facts, T1)
    assert (after["podIP"], after["podIPs"]) == ("127.65.1.0", [{"ip": "127.65.1.0"}])
    assert (after["hostIP"], after["startTime"]) == ("127.65.0.1", "2026-11-22T10:00:00Z")
    assert conditions(after)["PodReadyToStartContainers"]["status"] == "True"


def test_container_statuses() -> None:
    """Each state is shown with its times; a container that is restarted shows its last end."""
    crashed = ended(1, T0, T1, message="last lines", identity="id-0")
    records = [
        Record("init", "image", Role.INIT, done(0), container_id="id-i"),
        Record("side", "image", Role.SIDECAR, Running(T0), ready=True, started=True, container_id="id-s"),
        Record("main", "image", Role.MAIN, Waiting("CrashLoopBackOff", "back-off 10s"), crashed, restarts=1),
        Record("next", "image", Role.MAIN, WAITING),
    ]
    status = pod_status(POD, PodFacts(records=records), T1)
    init, side = status["initContainerStatuses"]
    main, following = status["containerStatuses"]
    assert init["state"] == {
        "terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": "2026-11-22T10:00:00Z",
            "finishedAt": "2026-11-22T10:05:00Z",
            "containerID": "id",
        }
    }
    assert (init["ready"], init["containerID"]) == (True, "id-i")
    assert (side["state"], side["ready"]) == ({"running": {"startedAt": "2026-11-22T10:00:00Z"}}, True)
    assert main["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert main["lastState"]["terminated"]["message"] == "last lines"
    assert (main["restartCount"], main["imageID"]) == (1, "image")
    assert following["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert (following["lastState"], following["imageID"], "containerID" in following) == ({}, "", False)


def test_a_gate_that_is_not_true_is_the_reason() -> None:
    """All containers are ready, and the pod waits for its readiness gate."""
    pod = {**POD, "spec": {"containers": [], "readinessGates": [{"conditionType": "gate"}]}}
    found = conditions(pod_status(pod, PodFacts(records=[record(RUNNING, ready=True)]), T0))
    assert (found["ContainersReady"]["status"], found["Ready"]["status"]) == ("True", "False")
    assert found["Ready"]["reason"] == "ReadinessGatesNotReady"


def test_init_containers_that_have_not_ended_are_named() -> None:
    """Initialized is false until each has ended with 0 and each sidecar has started."""
    records = [
        Record("first", "image", Role.INIT, done(0)),
        Record("second", "image", Role.INIT, Running(T0)),
    ]
    found = conditions(pod_status(POD, PodFacts(records=records), T0))["Initialized"]
    assert (found["status"], found["reason"]) == ("False", "ContainersNotInitialized")
    assert found["message"] == "containers with incomplete status: [second]"


def test_failed_pod() -> None:
    """A failed pod is not ready, for the reason PodFailed."""
    pod = {**POD, "spec": {"containers": [], "restartPolicy": "Never"}}
    status = pod_status(pod, PodFacts(records=[record(done(1))]), T0)
    assert (status["phase"], conditions(status)["Ready"]["reason"]) == ("Failed", "PodFailed")


def test_completed_pod() -> None:
    """A completed pod is not ready, for the reason PodCompleted."""
    pod = {**POD, "spec": {"containers": [], "restartPolicy": "Never"}}
    status = pod_status(pod, PodFacts(records=[record(done(0))]), T0)
    assert status["phase"] == "Succeeded"
    assert conditions(status)["Ready"]["reason"] == "PodCompleted"


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="a part that is present"),
        pytest.param({"a": 1}, {"a": 2}, False, id="another value"),
        pytest.param({}, {"a": None}, True, id="absent is what None wants"),
        pytest.param({"a": 1}, {"a": None}, False, id="present is not what None wants"),
        pytest.param([1], [1, 2], False, id="a list of another length"),
        pytest.param(
            [{"type": "x", "v": 1}, {"type": "y", "v": 2}],
            [{"type": "y", "v": 2}],
            True,
            id="conditions are compared by type",
        ),
    ],
)
def test_covers(present: object, wanted: object, expected: bool) -> None:
    """A status is written only when it changes something."""
    assert covers(present, wanted) is expected
