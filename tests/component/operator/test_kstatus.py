"""What tools that wait (Helm, Flux) make of our objects, by the library that they use."""

from __future__ import annotations

from support.operator.kstatus import verdicts
from support.operator.snapshots import live_domain
from support.operator.states import STATES


def test_what_waiting_tools_make_of_each_state() -> None:
    """In progress until it is done or has failed: not done before it began, nor failed within a second."""
    made = {name: make() for name, (make, _) in STATES.items()}
    wanted = {name: verdict for name, (_, verdict) in STATES.items()}
    assert dict(zip(made, verdicts(list(made.values())), strict=True)) == wanted


def test_without_a_status_an_object_would_count_as_done() -> None:
    """Which is why the CRD gives it one."""
    assert verdicts([live_domain()]) == ["Current"]
