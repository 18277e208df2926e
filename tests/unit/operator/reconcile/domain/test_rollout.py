"""Which generation relays run: pokes, queries, and the condition ConfigurationCurrent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.operator.snapshots import (
    NOW,
    answer,
    applied,
    config,
    kinds,
    live_domain,
    message,
    pod,
    report,
    served,
    switched_off,
    waiting,
)
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, RelayReport


def edited(**changes: Any) -> DomainSnapshot:
    """Return a served domain whose heartbeat was edited just now."""
    good = served(**changes)
    live = live_domain(websocket={"enabled": True, "heartbeatSeconds": 5, "originProtocol": "HTTP"})
    live["metadata"]["generation"] = 8
    live["status"] = good.live["status"]
    return replace(good, live=live)


def test_an_edit_changes_only_the_configuration_and_pokes_the_pods() -> None:
    """One ConfigMap is applied; pods that lag are poked once in ten seconds and queried again."""
    before = edited()
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    generation = config(outcome).generation
    assert {(poke.pod, poke.generation) for poke in outcome.pokes} == {
        ("pod-1", generation),
        ("pod-2", generation),
    }
    assert answer(outcome, before, "ConfigurationCurrent") == ("False", "RollingOut")
    assert outcome.reconcile_at == NOW + timedelta(seconds=1)
    annotations = {"wsedge.io/generation": generation, "wsedge.io/poked-at": "2026-11-22T12:00:00Z"}
    poked = [{**live, "metadata": {**live["metadata"], "annotations": annotations}} for live in before.pods]
    after = replace(applied(before, outcome), pods=tuple(poked))
    assert decide(after, NOW + timedelta(seconds=9)).pokes == ()
    assert len(decide(after, NOW + timedelta(seconds=10)).pokes) == 2
    # A clock that is set back, by more than NTP's steps, keeps no pod from its next poke.
    assert len(decide(after, NOW - timedelta(hours=2)).pokes) == 2


def test_a_relay_that_refuses_a_configuration_is_reported() -> None:
    """The condition has the relay's reason."""
    before = edited()
    before = applied(before, decide(before, NOW))
    generation = before.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    refusing = report(before.pods[0], "old", refusedGeneration=generation, refusedReason="domains.0: no")
    before = replace(before, relays={**before.relays, "uid-pod-1": refusing})
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "Refused")
    assert message(outcome, before, "Ready").endswith("domains.0: no")


def test_the_delay_before_the_next_query_grows() -> None:
    """A relay behind a network policy never answers; the condition has its name and the error."""
    before = edited()
    silent = pod("pod-1")
    silent["status"]["containerStatuses"][0]["ready"] = True
    before = replace(before, pods=(silent,), relays={"uid-pod-1": RelayReport(0, None, "TimeoutError: ")})
    before = applied(before, decide(before, NOW))
    for minutes, seconds in ((0, 1), (2, 12), (60, 30)):
        now = NOW + timedelta(minutes=minutes)
        assert decide(before, now).query_at == now + timedelta(seconds=seconds)
    told = message(decide(before, NOW), before, "ConfigurationCurrent")
    assert told.endswith("; pod-1 does not answer: TimeoutError: ")


def test_only_relays_that_lag_are_queried() -> None:
    """A relay lags if its container restarted, it runs another generation, or it did not answer."""
    good = served()
    config_map = good.children["ConfigMap"]
    assert pods_to_query(good.pods, good.relays, config_map) == []
    again = pod("pod-1")
    again["status"]["containerStatuses"][0]["restartCount"] = 1
    assert pods_to_query([again], good.relays, config_map) == [again]
    mute = {"uid-pod-1": RelayReport(0, None, "refused")}
    assert pods_to_query([good.pods[0]], mute, config_map) == [good.pods[0]]
    assert pods_to_query([pod("pod-9", **waiting("CrashLoopBackOff"))], {}, config_map) == []
    assert pods_to_query(good.pods, good.relays, None) == []


def test_all_relays_are_queried_while_they_drain() -> None:
    """Their answers have the number of open connections."""
    before, _ = switched_off(3)
    assert len(pods_to_query(before.pods, before.relays, before.children["ConfigMap"])) == 2
