"""A domain that must not be served: the drain of its relays, and the order of deletions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.operator.snapshots import (
    NO_PLAN,
    NOW,
    answer,
    applied,
    config,
    kinds,
    live_domain,
    pod,
    report,
    served,
    snapshot,
    switched_off,
    waiting,
)
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft, RelayReport
from wsedge_operator.reconcile.domain.withdrawing import is_draining, withdraw

READY = ConditionAnswer("Ready", True, "Disabled", "switched off")
SECOND = timedelta(seconds=1)


def off(connections: int = 3, since: str = "2026-11-22T12:00:00Z") -> DomainSnapshot:
    """A domain that was switched off, whose relays run that configuration since `since`."""
    good = served()
    live = {**live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})}
    first = replace(good, live=live)
    (config_map,) = withdraw(first, READY, NOW).apply
    stored = {**good.children["ConfigMap"], **config_map}
    stored["metadata"] = {**config_map["metadata"]}
    stored["metadata"]["annotations"] = {
        **config_map["metadata"]["annotations"],
        "wsedge.io/draining-since": since,
    }
    generation = config_map["metadata"]["annotations"]["wsedge.io/generation"]
    relays = {
        each["metadata"]["uid"]: report(each, generation, connections=connections) for each in good.pods
    }
    return replace(first, children={**good.children, "ConfigMap": stored}, relays=relays)


def changed(before: DomainSnapshot, kind: str, **fields: Any) -> DomainSnapshot:
    return replace(before, children={**before.children, kind: {**before.children[kind], **fields}})


def deleted(draft: OutcomeDraft) -> set[str]:
    return {ref.kind for ref in draft.delete}


FIRST = {"PodDisruptionBudget", "Deployment"}


def test_relays_drain_until_their_last_connection_closes() -> None:
    """While a relay has one, nothing is deleted and the relays are queried every second."""
    draft = withdraw(off(connections=1), READY, NOW)
    assert (deleted(draft), draft.reconcile_at) == (set(), NOW + SECOND)
    assert [answer.reason for answer in draft.answers] == ["Current", "Draining"]
    assert draft.answers[1].message == "open connections are being closed: switched off"
    assert deleted(withdraw(off(connections=0), READY, NOW)) == FIRST


def test_a_relay_that_does_not_answer_may_have_connections() -> None:
    """It is waited for until drainSeconds and the margin have passed."""
    before = off(connections=0)
    for silent in (None, RelayReport(0, None, "TimeoutError")):
        relays = {uid: last for uid, last in before.relays.items() if uid != "uid-pod-1"}
        if silent is not None:
            relays["uid-pod-1"] = silent
        waits = replace(before, relays=relays)
        assert deleted(withdraw(waits, READY, NOW + 44 * SECOND)) == set()
        assert deleted(withdraw(waits, READY, NOW + 45 * SECOND)) == FIRST


def test_a_relay_that_runs_an_older_generation_may_get_connections() -> None:
    """It still accepts clients, so the drain goes on without an open connection."""
    before = off(connections=0)
    relays = {**before.relays, "uid-pod-1": report(pod("pod-1"), "older")}
    draft = withdraw(replace(before, relays=relays), READY, NOW)
    assert deleted(draft) == set()
    assert [poke.pod for poke in draft.pokes] == ["pod-1"]


@pytest.mark.parametrize("text", ["yesterday", "", "2026-11-22", "2026-11-22T12:00:00+00:00"])
def test_a_start_of_the_drain_that_cannot_be_read_is_now(text: str) -> None:
    """Another client wrote the annotation: the drain starts anew, and the annotation is written again."""
    before = off(since=text)
    assert not is_draining(before)
    later = NOW + timedelta(hours=1)
    draft = withdraw(before, READY, later)
    (config_map,) = draft.apply
    assert config_map["metadata"]["annotations"]["wsedge.io/draining-since"] == "2026-11-22T13:00:00Z"
    assert deleted(draft) == set()


def test_a_clock_that_is_set_back_does_not_prolong_the_drain() -> None:
    """A start of the drain in the future becomes the present, once."""
    before = off(since="2026-11-22T14:00:00Z")
    draft = withdraw(before, READY, NOW)
    (config_map,) = draft.apply
    assert config_map["metadata"]["annotations"]["wsedge.io/draining-since"] == "2026-11-22T12:00:00Z"
    assert deleted(draft) == set()


def test_a_domain_drains_from_the_annotation_on() -> None:
    """Without a ConfigMap, or without the annotation, its relays serve."""
    assert is_draining(off())
    assert not is_draining(served())
    assert not is_draining(snapshot())


NO_DRAIN: dict[str, DomainSnapshot] = {
    "a configuration that is not JSON": changed(off(), "ConfigMap", data={"relay.json": "{"}),
    "a ConfigMap without the configuration": changed(off(), "ConfigMap", data={"x": "y"}),
    "a ConfigMap without data": changed(off(), "ConfigMap", data=None),
    "relays that do not run": replace(off(), pods=(pod("pod-1", podIP=None),)),
}


@pytest.mark.parametrize("before", NO_DRAIN.values(), ids=NO_DRAIN.keys())
def test_relays_that_cannot_drain_are_deleted_at_once(before: DomainSnapshot) -> None:
    """No valid configuration can be switched off; the pods drain on SIGTERM."""
    draft = withdraw(before, READY, NOW)
    assert (draft.apply, deleted(draft)) == ([], FIRST)


def test_children_that_relays_use_are_deleted_after_the_last_pod() -> None:
    """Relays report their last usage with the ServiceAccount's token until they end."""
    before = off(connections=0)
    left = {kind: live for kind, live in before.children.items() if kind not in FIRST}
    ending = replace(before, children=left)
    draft = withdraw(ending, READY, NOW)
    assert deleted(draft) == set()
    assert draft.answers[1].reason == "Removing"
    assert draft.answers[1].message == "2 relay pods are being removed: switched off"
    last = withdraw(replace(ending, pods=()), READY, NOW)
    assert deleted(last) == {"ConfigMap", "Secret", "ServiceAccount"}
    end = withdraw(replace(ending, pods=(), children={"Service": left["Service"]}), READY, NOW)
    assert (deleted(end), end.answers[1]) == (set(), READY)


def test_a_deletion_that_runs_is_not_repeated() -> None:
    """A finalizer may delay it; the status says Removing until the object is gone."""
    before = off(connections=0)
    going = {**before.children["Deployment"]["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"}
    draft = withdraw(changed(before, "Deployment", metadata=going), READY, NOW)
    assert deleted(draft) == {"PodDisruptionBudget"}
    assert draft.answers[1].reason == "Removing"


def test_a_deletion_that_failed_is_reported() -> None:
    """Ready is false with the API server's answer, also when nothing is left to delete."""
    before = replace(off(connections=0), failure="403 Forbidden")
    assert withdraw(before, READY, NOW).answers[1] == ConditionAnswer(
        "Ready", False, "ApplyFailed", "403 Forbidden"
    )


def test_switching_off_drains_first() -> None:
    """Relays are poked and queried; no child is deleted while connections are open."""
    good = served()
    live = {**live_domain(websocket={"enabled": False}), "status": good.live["status"]}
    before = replace(good, live=live)
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [False]
    assert outcome.apply[0]["metadata"]["annotations"]["wsedge.io/draining-since"] == "2026-11-22T12:00:00Z"
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ("False", "Draining")
    _, waiting_on = switched_off(connections=3)
    assert waiting_on.delete == ()
    assert waiting_on.apply == ()
    assert waiting_on.reconcile_at == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("connections", "after_seconds"), [(0, 1), (3, 30 + 15)], ids=["all closed", "deadline passed"]
)
def test_the_deployment_is_deleted_first_then_the_other_children(
    connections: int, after_seconds: int
) -> None:
    """The other children follow once no pod is left, except for the Service."""
    before, outcome = switched_off(connections, NOW + timedelta(seconds=after_seconds))
    assert {ref.kind for ref in outcome.delete} == {"PodDisruptionBudget", "Deployment"}
    gone = replace(applied(before, outcome), pods=())
    last = decide(gone, NOW)
    assert {ref.kind for ref in last.delete} == {"ConfigMap", "Secret", "ServiceAccount"}
    end = applied(gone, last)
    assert answer(decide(end, NOW), end, "Ready") == ("True", "Disabled")
    assert end.children.keys() == {"Service"}
    assert "configuration" not in applied(end, decide(end, NOW)).live["status"]


def test_children_of_pods_that_end_are_retained() -> None:
    """Pods that end still report their last usage with their token."""
    before, outcome = switched_off(0)
    assert decide(applied(before, outcome), NOW).delete == ()


def test_a_plan_that_ends_drains_too() -> None:
    """The end of the plan switches the domain off."""
    before = replace(served(), account_state=NO_PLAN)
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [False]
    assert answer(outcome, before, "Ready") == ("False", "Draining")


def test_switching_on_again_ends_the_drain() -> None:
    """The ConfigMap has no draining-since annotation, and no pod changes."""
    before, _ = switched_off(3)
    live = {**live_domain(), "status": before.live["status"]}
    outcome = decide(replace(before, live=live), NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [True]
    assert "wsedge.io/draining-since" not in outcome.apply[0]["metadata"]["annotations"]


def test_relays_that_do_not_run_need_no_drain() -> None:
    """A pod that crashes has no connection."""
    good = served(pods=[pod("pod-1", **waiting("CrashLoopBackOff"))])
    live = {**live_domain(websocket={"enabled": False}), "status": good.live["status"]}
    outcome = decide(replace(good, live=live), NOW)
    assert "Deployment" in {ref.kind for ref in outcome.delete}
