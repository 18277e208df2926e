"""The smallest number of relays that holds at an instant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from wsedge_operator.api.spec.size import Autoscaling
from wsedge_operator.reconcile.domain.schedules import minimum_at

DAY = {"cron": "0 8 * * MON-FRI", "timeZone": "Europe/Berlin", "minReplicas": 6}
NIGHT = {"cron": "0 20 * * *", "timeZone": "Europe/Berlin", "minReplicas": 1}


def rules(**parts: Any) -> Autoscaling:
    return Autoscaling.model_validate({"maxReplicas": 10, "connectionsPerReplica": 100, **parts})


# Each: fields, now, the minimum, where it is from.
MINIMA: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "two if nothing is said": ({}, "2026-11-25T12:00:00Z", 2, "minReplicas"),
    "one where the maximum is one": ({"maxReplicas": 1}, "2026-11-25T12:00:00Z", 1, "minReplicas"),
    "the field": ({"minReplicas": 3}, "2026-11-25T12:00:00Z", 3, "minReplicas"),
    "a schedule since this morning": (
        {"schedules": [DAY, NIGHT]},
        "2026-11-25T12:00:00Z",
        6,
        "schedules[0] since 2026-11-25T07:00:00Z",
    ),
    "at its very instant": (
        {"schedules": [DAY, NIGHT]},
        "2026-11-25T07:00:00Z",
        6,
        "schedules[0] since 2026-11-25T07:00:00Z",
    ),
    "the one before, a second earlier": (
        {"schedules": [DAY, NIGHT], "minReplicas": 4},
        "2026-11-25T06:59:59Z",
        1,
        "schedules[1] since 2026-11-24T19:00:00Z",
    ),
    "over the weekend": (
        {"schedules": [DAY, NIGHT]},
        "2026-11-22T12:00:00Z",
        1,
        "schedules[1] since 2026-11-21T19:00:00Z",
    ),
    "of the same instant the larger": (
        {"schedules": [{**NIGHT, "minReplicas": 5}, NIGHT]},
        "2026-11-25T22:00:00Z",
        5,
        "schedules[0] since 2026-11-25T19:00:00Z",
    ),
}


@pytest.mark.parametrize("case", MINIMA)
def test_minimum(case: str) -> None:
    """A schedule's minimum holds until the next instant of any schedule."""
    parts, now, replicas, source = MINIMA[case]
    found = minimum_at(rules(**parts), datetime.fromisoformat(now))
    assert (found.replicas, found.source, found.faults) == (replicas, source, ())


def test_a_faulty_schedule_is_named_and_skipped() -> None:
    """The others hold; the API server cannot check a zone, nor the order of a range."""
    faulty = [{**DAY, "timeZone": "Europe/Atlantis"}, {**DAY, "cron": "0 18-8 * * *"}, NIGHT]
    found = minimum_at(rules(schedules=faulty), datetime.fromisoformat("2026-11-25T12:00:00Z"))
    assert found.replicas == 1
    assert [fault.partition(":")[0] for fault in found.faults] == [
        "spec.relay.autoscaling.schedules[0].timeZone",
        "spec.relay.autoscaling.schedules[1].cron",
    ]
