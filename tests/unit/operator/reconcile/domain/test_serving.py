"""Why a domain that is served is not ready: the first cause of several counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.operator.snapshots import NOW, answer, message, pod, served, waiting
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot

STUCK = pod("pod-3", **waiting("ErrImagePull", "not found"))


def rolled(before: DomainSnapshot, **status: Any) -> DomainSnapshot:
    """The domain with this status of its Deployment."""
    live = before.children["Deployment"]
    changed = {**live, "status": {**live["status"], **status}}
    return replace(before, children={**before.children, "Deployment": changed})


STATES: dict[str, tuple[DomainSnapshot, str, str]] = {
    "all relays are available and up to date": (
        served(),
        "Serving",
        "2 relays serve chat.example.com",
    ),
    "a relay is not available yet": (
        rolled(served(), availableReplicas=1),
        "RelaysStarting",
        "1 of 2 relays are available",
    ),
    "no status of the Deployment yet": (
        rolled(served(), availableReplicas=None, observedGeneration=None),
        "RelaysStarting",
        "0 of 2 relays are available",
    ),
    "the Deployment's controller has not seen the last write": (
        rolled(served(), observedGeneration=0),
        "RelaysUpdating",
        "2 of 2 relays are up to date",
    ),
    "new pods are fewer than wanted": (
        rolled(served(), updatedReplicas=1),
        "RelaysUpdating",
        "1 of 2 relays are up to date",
    ),
    "an old pod is left beside the new ones": (
        rolled(served(), replicas=3),
        "RelaysUpdating",
        "2 of 2 relays are up to date",
    ),
    "a rollout whose new pod does not run": (
        rolled(served(pods=[pod("pod-1"), pod("pod-2"), STUCK]), replicas=3, updatedReplicas=1),
        "ImagePullBackOff",
        "pod pod-3: not found; 1 of 2 relays are up to date, 2 are available",
    ),
    "a pod that does not run, and too few others": (
        rolled(served(pods=[pod("pod-1"), STUCK]), availableReplicas=1),
        "ImagePullBackOff",
        "pod pod-3: not found",
    ),
    "writes that another client reverts": (
        replace(served(), contested="Service: spec.ports"),
        "WritesDoNotLast",
        "Service: spec.ports",
    ),
    "a write that failed before anything else": (
        replace(rolled(served(), availableReplicas=0), failure="403 Forbidden"),
        "ApplyFailed",
        "403 Forbidden",
    ),
}


@pytest.mark.parametrize(("before", "reason", "text"), STATES.values(), ids=STATES.keys())
def test_ready(before: DomainSnapshot, reason: str, text: str) -> None:
    """The reason and the message of the condition Ready; it is true for Serving alone."""
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == (str(reason == "Serving"), reason)
    assert message(outcome, before, "Ready") == text
