"""Times in a status that the API server accepts, and no clock of this age shows."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.operator.entrances import exposed
from support.operator.snapshots import NOW, applied
from wsedge_operator.api.meta import instant_of
from wsedge_operator.reconcile.domain.claims import claim_of
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.rollout import query_delay

ODD: dict[str, str] = {
    "a small t, as RFC 3339 allows": "2026-11-22t12:00:00z",
    "the year 0": "0000-01-01T00:00:00Z",
    "the year 1, further east": "0001-01-01T00:00:00+14:00",
    "the last second of the year 9999": "9999-12-31T23:59:59Z",
    "without an offset": "2026-11-22T12:00:00",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_an_odd_time_in_a_status_stops_no_decision(text: str) -> None:
    """Whoever may write a status does not stop decisions, and the next status has a time again."""
    before = exposed(service={"type": "LoadBalancer"})
    before = applied(before, decide(before, NOW))
    live: Any = copy.deepcopy(dict(before.live))
    conditions = live["status"]["conditions"]
    assert {"Exposed", "NameKept"} <= {entry["type"] for entry in conditions}
    stalled = {"type": "Stalled", "status": "False", "reason": "LoadBalancerPending", "message": "x"}
    lagging = {"type": "ConfigurationCurrent", "status": "False", "reason": "x", "message": "x"}
    observed = {"observedGeneration": live["metadata"]["generation"]}
    conditions[:] = [entry for entry in conditions if entry["type"] != "ConfigurationCurrent"]
    conditions += [{**stalled, **observed}, {**lagging, **observed}]
    for entry in conditions:
        entry["lastTransitionTime"] = text
    outcome = decide(replace(before, live=live), NOW)
    (status,) = outcome.status
    for entry in status.status["conditions"]:
        assert instant_of(entry["lastTransitionTime"]) is not None
    assert claim_of(live, can_be_served=True).served_since == datetime.fromisoformat(
        live["metadata"]["creationTimestamp"]
    )
    assert query_delay(live, NOW) > timedelta(0)
