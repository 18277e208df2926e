"""The stage of rollouts: the state of one, and the turns of all domains against an obvious model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operator.snapshots import NOW, pod, waiting
from wsedge_operator.reconcile.rollouts import (
    LONGEST,
    Mark,
    Progress,
    Turns,
    is_complete,
    is_healthy,
    mark_of,
    progress,
    turns,
)

OWNER = {"metadata": {"name": "chat", "namespace": "team-a"}}
DEADLINE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}


def deployment(
    *conditions: dict[str, str], mark: str = str(Mark("v2", NOW)), updated: int = 1, observed: int = 3
) -> dict[str, Any]:
    """Return a Deployment of two relays, of which one is new; its rollout began now."""
    return {
        "metadata": {"generation": 3, "annotations": {"wsedge.io/rollout": mark}},
        "status": {
            "observedGeneration": observed,
            "replicas": 2,
            "updatedReplicas": updated,
            "conditions": list(conditions),
        },
    }


def young(**status: Any) -> list[dict[str, Any]]:
    """Return an old pod that runs and a new pod with this status."""
    old, new = pod("pod-1"), pod("pod-2", **status)
    old["metadata"] |= {"labels": {"pod-template-hash": "a"}, "creationTimestamp": "2026-11-22T11:00:00Z"}
    new["metadata"] |= {"labels": {"pod-template-hash": "b"}, "creationTimestamp": "2026-11-22T12:00:00Z"}
    return [old, new]


PULL = young(**waiting("ImagePullBackOff"))
CRASH = young(**waiting("CrashLoopBackOff"))
OOM = young(**waiting("CrashLoopBackOff"))
OOM[1]["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"reason": "OOMKilled"}}
FULL = young(
    conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}],
    containerStatuses=[],
)
STATES: dict[str, tuple[dict[str, Any] | None, Sequence[dict[str, Any]], Progress | None]] = {
    "no Deployment": (None, [], None),
    "a Deployment without a mark": (deployment(mark=""), young(), None),
    "a mark that another client wrote": (deployment(mark="v2 soon"), young(), None),
    "new pods start": (deployment(), young(), Progress.ROLLING),
    "all pods are new": (deployment(DONE, updated=2), young(), None),
    "the new template is not seen yet": (deployment(DONE, updated=2, observed=2), young(), Progress.ROLLING),
    "a return to an earlier template": (deployment(DONE, updated=0), young(), Progress.ROLLING),
    "the new image does not start": (deployment(), PULL, Progress.FAILED),
    "an old pod crashes, and the new one starts": (
        deployment(),
        [{**young()[0], "status": waiting("CrashLoopBackOff")}, young()[1]],
        Progress.ROLLING,
    ),
    "the new relay is not ready in time": (deployment(DEADLINE), young(), Progress.FAILED),
    "no room on the nodes, for a while": (deployment(), FULL, Progress.ROLLING),
    "no room on the nodes, too long": (deployment(DEADLINE), FULL, None),
    "no room in the quota, for a while": (deployment(QUOTA), young(), Progress.ROLLING),
    "no room in the quota, too long": (deployment(QUOTA, DEADLINE), young(), None),
    "disturbed for an hour": (deployment(mark=str(Mark("v2", NOW - LONGEST))), young(), Progress.FAILED),
    "less than an hour": (
        deployment(mark=str(Mark("v2", NOW - LONGEST + timedelta(seconds=1)))),
        young(),
        Progress.ROLLING,
    ),
    "a mark of the future": (
        deployment(mark=str(Mark("v2", NOW + timedelta(hours=1)))),
        young(),
        Progress.FAILED,
    ),
    "another version, still starting": (deployment(mark=str(Mark("v1", NOW))), young(), Progress.ROLLING),
    "it did not run before either": (
        deployment(mark=str(Mark("v2", NOW, was_healthy=False))),
        PULL,
        None,
    ),
    "it did not run before, and starts": (
        deployment(mark=str(Mark("v2", NOW, was_healthy=False))),
        young(),
        Progress.ROLLING,
    ),
    "another version, that failed": (deployment(mark=str(Mark("v1", NOW))), PULL, None),
}


@pytest.mark.parametrize(("live", "pods", "state"), STATES.values(), ids=STATES.keys())
def test_the_state_of_a_rollout(live: Any, pods: Sequence[Any], state: Progress | None) -> None:
    """The state follows from the Deployment's mark, its status and its newest pods."""
    assert progress(live, OWNER, pods, "v2", NOW) is state


def test_an_administrator_may_ignore_a_failure() -> None:
    """The annotation of a domain ends the pause that its failure causes, and hides no running rollout."""
    owner = {"metadata": {"annotations": {"wsedge.io/rollout-failure": "Ignored"}}}
    assert progress(deployment(), owner, PULL, "v2", NOW) is None
    assert progress(deployment(), owner, young(), "v2", NOW) is Progress.ROLLING


EXPLAINED: dict[str, tuple[dict[str, Any], Sequence[dict[str, Any]], Progress]] = {
    "pull secrets of its own": ({"pod": {"imagePullSecrets": []}}, PULL, Progress.FAILED_ALONE),
    "no setting of its own": ({}, PULL, Progress.FAILED),
    "resources do not explain an image that is not pulled": ({"resources": {"x": 1}}, PULL, Progress.FAILED),
    "out of memory with resources of its own": ({"resources": {"x": 1}}, OOM, Progress.FAILED_ALONE),
    "out of memory with the operator's resources": ({}, OOM, Progress.FAILED),
    "a relay that exits": ({"resources": {"x": 1}, "pod": {"nodeSelector": {}}}, CRASH, Progress.FAILED),
    "not ready in time with resources of its own": (
        {"resources": {"x": 1}},
        young(),
        Progress.FAILED_ALONE,
    ),
    "not ready in time with a volume of its own": ({"geo": {"x": 1}}, young(), Progress.FAILED_ALONE),
    "not ready in time": ({"pod": {"imagePullSecrets": []}}, young(), Progress.FAILED),
}


@pytest.mark.parametrize(("relay", "pods", "state"), EXPLAINED.values(), ids=EXPLAINED.keys())
def test_a_spec_may_explain_a_failure(relay: Any, pods: Sequence[Any], state: Progress) -> None:
    """A failure that the domain's own settings may have caused is no reason to pause others."""
    owner = {**OWNER, "spec": {"relay": relay}}
    assert progress(deployment(DEADLINE), owner, pods, "v2", NOW) is state


HEALTHY: dict[str, tuple[dict[str, Any], bool]] = {
    "all run": (deployment(DONE, updated=2) | {"spec": {"replicas": 2}}, True),
    "one does not": (deployment(DONE, updated=2) | {"spec": {"replicas": 3}}, False),
    "a write is not observed yet": (
        deployment(DONE, updated=2, observed=2) | {"spec": {"replicas": 2}},
        True,
    ),
    "its last rollout is not complete": (deployment(updated=2) | {"spec": {}}, False),
}


@pytest.mark.parametrize(("live", "expected"), HEALTHY.values(), ids=HEALTHY.keys())
def test_relays_that_do_not_run_before_are_no_evidence(live: dict[str, Any], *, expected: bool) -> None:
    """A Deployment is healthy when all its relays run the last template."""
    live["status"]["availableReplicas"] = 2
    assert is_healthy(live) is expected
    del live["status"]["availableReplicas"]
    assert not is_healthy(live)


@pytest.mark.parametrize("was_healthy", [True, False])
def test_marks_are_read_as_written(*, was_healthy: bool) -> None:
    """A mark has the version, whole seconds, and whether the relays ran before."""
    mark = Mark("v2", NOW, was_healthy=was_healthy)
    assert mark_of(deployment(mark=str(mark))) == mark
    assert mark_of({"metadata": {}}) is None


def test_a_rollout_stays_complete_when_pods_fail_later() -> None:
    """A node that fails weeks later begins no rollout."""
    live = deployment(DONE, updated=2)
    live["status"]["availableReplicas"] = 0
    assert is_complete(live)


accounts = st.sampled_from(["a", "b", "c"])
rollouts = st.dictionaries(st.integers(0, 9), st.tuples(accounts, st.sampled_from(Progress)), max_size=6)
queues = st.lists(st.tuples(st.integers(10, 30), accounts), unique_by=lambda entry: entry[0], max_size=12)


def obvious(
    running: dict[int, tuple[str, Progress]],
    queue: list[tuple[int, str]],
    limit: int,
    last: set[str],
    *,
    is_held: bool,
) -> tuple[set[int], set[str]]:
    """Grant one turn after the other, from the first of the queue, as long as the rules allow it."""
    failed = {account for account, state in running.values() if state is Progress.FAILED}
    if failed or any(state is Progress.FAILED_ALONE for _, state in running.values()):
        limit = 1
    if len(failed) > 1 and is_held:
        limit = 0
    queue = [each for each in queue if each[1] not in last] + [each for each in queue if each[1] in last]
    rolling = [key for key, (_, state) in running.items() if state is Progress.ROLLING]
    granted: set[int] = set()
    for key, account in queue:
        if account not in failed and len(rolling) + len(granted) < limit:
            granted.add(key)
    return granted, failed


@given(rollouts, queues, st.integers(1, 4), st.sets(accounts), st.booleans())
def test_turns_are_those_of_the_model(
    running: dict[int, tuple[str, Progress]],
    queue: list[tuple[int, str]],
    limit: int,
    last: set[str],
    is_held: bool,
) -> None:
    """As many as the limit, in order; one after a failure, of another account; none while all are held."""
    found = turns(running, queue, limit, is_held=is_held, last=last)
    granted, failed = obvious(running, queue, limit, last, is_held=is_held)
    assert (set(found.granted), set(found.failed)) == (granted, failed)
    assert all(found.is_paused(account) == (account in failed or len(failed) > 1) for account in "abc")


@given(st.lists(accounts, min_size=1, max_size=20), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_stage_ends_although_one_account_always_fails(owners: list[str], limit: int, random: Any) -> None:
    """All domains of other accounts are rolled out, never more than the limit at the same time."""
    waits = list(enumerate(owners))
    running: dict[int, tuple[str, Progress]] = {}
    done: set[int] = set()
    while True:
        granted = turns(running, waits, limit).granted
        running |= {key: (owners[key], Progress.ROLLING) for key in granted}
        waits = [entry for entry in waits if entry[0] not in granted]
        rolling = [key for key, (_, state) in running.items() if state is Progress.ROLLING]
        assert len(rolling) <= limit
        if not rolling:
            break
        key = random.choice(rolling)
        if owners[key] == "a":
            running[key] = "a", Progress.FAILED
        else:
            del running[key]
            done.add(key)
    assert done == {key for key, owner in enumerate(owners) if owner != "a"}
    if "a" in owners and len(waits) == 0:
        assert turns(running, [], limit) == Turns(frozenset(), {"a": tuple(running)})
