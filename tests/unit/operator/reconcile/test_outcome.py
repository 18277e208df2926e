"""The parts of an outcome that decisions share."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from support.operator.snapshots import NOW, live_domain
from wsedge_operator.reconcile.outcome import Ref, earliest, is_terminating, reference

LATER = NOW + timedelta(seconds=1)
INSTANTS: dict[str, tuple[tuple[datetime | None, ...], datetime | None]] = {
    "no instant": ((), None),
    "no known instant": ((None, None), None),
    "a single known instant": ((None, LATER), LATER),
    "the earlier of two": ((LATER, NOW), NOW),
}


@pytest.mark.parametrize(("instants", "first"), INSTANTS.values(), ids=INSTANTS.keys())
def test_the_earliest_instant(instants: tuple[datetime | None, ...], first: datetime | None) -> None:
    """It is the time of the next reconciliation; None: only an event causes one."""
    assert earliest(*instants) == first


def test_a_reference_has_the_uid_of_the_object() -> None:
    """A deletion has the uid as a precondition; an object from a file has none."""
    live = live_domain()
    assert reference(live) == Ref("wsedge.io/v1alpha1", "WebSocketDomain", "team-a", "chat", "uid-chat")
    del live["metadata"]["uid"]
    assert reference(live).uid == ""


def test_an_object_with_a_deletion_timestamp_is_terminating() -> None:
    """The API server sets it at the deletion; finalizers may retain the object."""
    live = live_domain()
    assert not is_terminating(live)
    live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert is_terminating(live)
