"""Conditions of a status, in the form of the Kubernetes API conventions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from support.operator.snapshots import NOW, live_domain
from wsedge_operator.reconcile.conditions import ConditionAnswer, accepted_with, conditions
from wsedge_operator.reconcile.reasons import Reason

LATER = NOW + timedelta(minutes=5)
ON = ConditionAnswer("Ready", True, Reason.SERVING, "2 relays serve")


def test_a_condition_has_the_fields_of_metav1_condition() -> None:
    """The time is UTC with whole seconds; the reason is plain text, which YAML writers accept."""
    (written,), changed = conditions(live_domain(), [ON], NOW)
    assert written == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 7,
        "lastTransitionTime": "2026-11-22T12:00:00Z",
        "reason": "Serving",
        "message": "2 relays serve",
    }
    assert type(written["reason"]) is str
    assert changed == [ON]


CHANGES: dict[str, tuple[ConditionAnswer, bool, bool]] = {
    "an equal condition": (ON, False, False),
    "another message": (ConditionAnswer("Ready", True, Reason.SERVING, "3 relays serve"), False, False),
    "another reason": (ConditionAnswer("Ready", True, Reason.DISABLED, "off"), False, True),
    "another status": (ConditionAnswer("Ready", False, Reason.SERVING, "?"), True, True),
    "an unknown status": (ConditionAnswer("Ready", None, Reason.SERVING, "?"), True, True),
    "another type": (ConditionAnswer("Stalled", True, Reason.SERVING, "?"), True, True),
}


@pytest.mark.parametrize(("answer", "has_new_time", "is_changed"), CHANGES.values(), ids=CHANGES.keys())
def test_the_time_changes_only_with_the_status(
    answer: ConditionAnswer, has_new_time: bool, is_changed: bool
) -> None:
    """An Event is written for a new status or a new reason."""
    before, _ = conditions(live_domain(), [ON], NOW)
    live = {**live_domain(), "status": {"conditions": before}}
    (written,), changed = conditions(live, [answer], LATER)
    assert written["status"] == {True: "True", False: "False", None: "Unknown"}[answer.true]
    expected = "2026-11-22T12:05:00Z" if has_new_time else "2026-11-22T12:00:00Z"
    assert written["lastTransitionTime"] == expected
    assert changed == ([answer] if is_changed else [])


def test_a_given_time_is_the_transition_time() -> None:
    """NameKept has the time of the first service, Stalled the start of its reason."""
    answer = ConditionAnswer("NameKept", True, Reason.HAS_BEEN_SERVED, "served", since=NOW)
    (written,), _ = conditions(live_domain(), [answer], LATER)
    assert written["lastTransitionTime"] == "2026-11-22T12:00:00Z"


UNKNOWN: dict[str, tuple[list[str], str, str]] = {
    "none": ([], "Accepted", "ok"),
    "one": (["spec.x"], "UnknownFields", "spec.x"),
    "ten": ([f"spec.x{n}" for n in range(10)], "UnknownFields", "spec.x8, spec.x9"),
    "twelve": ([f"spec.x{n}" for n in range(12)], "UnknownFields", "spec.x9 and 2 more"),
}


@pytest.mark.parametrize(("unknown", "reason", "end"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_accepted_names_ignored_fields(unknown: list[str], reason: str, end: str) -> None:
    """The condition is true; at most ten fields are named, since the API server bounds a message."""
    answer = accepted_with(unknown, "ok")
    assert (answer.type, answer.status, answer.reason) == ("Accepted", "True", reason)
    assert answer.message.startswith("ok")
    assert answer.message.endswith(end)
