"""The number of relays when another client scales their Deployment."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.children import Live, scaled, settled, with_child
from support.operator.snapshots import NOW, answer, message
from wsedge_operator.reconcile.domain.decide import decide


def test_the_number_of_an_autoscaler_is_respected_and_reported() -> None:
    """The Deployment is applied once without a number; Ready counts the autoscaler's."""
    before = with_child("Deployment", scaled(5))
    outcome = decide(before, NOW)
    (applied,) = outcome.apply
    assert "replicas" not in applied["spec"]
    assert [note.reason for note in outcome.notes] == ["ScaledFromOutside"]
    assert answer(outcome, before, "Ready") == ("True", "Serving")
    assert "5 (field manager kube-controller-manager)" in message(outcome, before, "Ready")
    after = settled(before)
    assert (after.apply, after.dry_run, after.restore, after.notes) == ((), (), (), ())


NOT_LEFT = {
    "to nothing": scaled(0),
    "beyond what a domain may have": scaled(101),
    "by an edit of the object itself": scaled(5, "kubectl-edit", ""),
}


@pytest.mark.parametrize("change", NOT_LEFT.values(), ids=NOT_LEFT.keys())
def test_a_number_that_is_not_respected_is_written_back(change: Any) -> None:
    """spec.relay.replicas is applied."""
    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2


def test_an_edit_of_the_number_counts_over_an_autoscaler() -> None:
    """spec.relay.replicas differs from the annotation: it was edited after the autoscaler's write."""

    def change(live: Live) -> None:
        scaled(5)(live)
        live["metadata"]["annotations"]["wsedge.io/asked-replicas"] = "3"

    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2
    assert "wsedge.io/asked-replicas" not in applied["metadata"]["annotations"]
