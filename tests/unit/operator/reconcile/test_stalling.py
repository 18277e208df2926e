"""The condition Stalled: when an object that waits has failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.operator.snapshots import NO_PLAN, NOW, answer, applied, live_domain, message, snapshot
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome

MINUTE = timedelta(minutes=1)


def after(before: DomainSnapshot, minutes: float) -> DomainSnapshot:
    return applied(before, decide(before, NOW + minutes * MINUTE))


def edited(before: DomainSnapshot, generation: int, **spec: Any) -> DomainSnapshot:
    live = {**live_domain(**spec), "status": before.live["status"]}
    live["metadata"]["generation"] = generation
    return snapshot(live=live, account_state=before.account_state)


def stalled(before: DomainSnapshot, minutes: float) -> tuple[str, str]:
    return answer(decide(before, NOW + minutes * MINUTE), before, "Stalled")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"account_state": NO_PLAN}, "NoPlan"),
        ({"live": live_domain(tls={"secretName": "x"})}, "SecretNotFound"),
        ({"statistics_url": ""}, "StatisticsNotFound"),
        ({"failure": "a quota is used up"}, "ApplyFailed"),
    ],
    ids=["a plan", "a Secret", "the statistics", "a write"],
)
def test_an_object_is_stalled_after_five_minutes(changes: dict[str, Any], reason: str) -> None:
    """The next reconciliation is at that time; there is no write in between, nor after."""
    before = after(after(snapshot(**changes), 0), 0)
    assert stalled(before, 0) == ("False", reason)
    assert "2026-11-22T12:05:00Z" in message(decide(before, NOW), before, "Stalled")
    first = decide(before, NOW)
    assert first.status == ()
    assert first.reconcile_at is not None
    assert decide(before, NOW + 4.9 * MINUTE).status == ()
    assert stalled(before, 5) == ("True", reason)
    given_up = after(before, 5)
    assert decide(given_up, NOW + 60 * MINUTE).status == ()


def test_another_spec_or_another_reason_starts_the_time_anew() -> None:
    """An object with one fault corrected waits five minutes for the next."""
    before = after(after(snapshot(live=live_domain(tls={"secretName": "x"})), 0), 5)
    assert stalled(before, 5) == ("True", "SecretNotFound")
    again = edited(before, 8, tls={"secretName": "y"})
    assert stalled(again, 6) == ("False", "SecretNotFound")
    assert stalled(after(again, 6), 10.9) == ("False", "SecretNotFound")
    assert stalled(after(again, 6), 11) == ("True", "SecretNotFound")
    other = edited(before, 7, origins=[{"service": {"name": "room", "port": 80}}])
    assert stalled(other, 6) == ("False", "ServiceNotFound")


def test_a_corrected_cause_removes_the_condition() -> None:
    """The condition Stalled is removed, and the relays start."""
    before = after(snapshot(account_state=NO_PLAN), 0)
    there = snapshot(live=before.live)
    outcome = decide(there, NOW + MINUTE)
    assert answer(outcome, there, "Stalled") == ("", "")
    assert answer(outcome, there, "Ready") == ("False", "RelaysStarting")


def test_a_clock_that_is_set_back_only_prolongs_the_wait() -> None:
    """An object is never stalled early."""
    before = after(snapshot(account_state=NO_PLAN), 0)
    assert decide(before, NOW - 60 * MINUTE) == Outcome(reconcile_at=NOW + 5 * MINUTE)
