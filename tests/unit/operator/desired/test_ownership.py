"""Whether an object that has the name of a child is ours, an orphan, or foreign."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_operator.desired.names import child_labels
from wsedge_operator.desired.ownership import Ownership, ownership

Live = dict[str, Any]


def owned(*references: Live, labels: Live | None = None, digest: str = "d") -> Live:
    annotations = {"wsedge.io/desired": digest} if digest else {}
    found = child_labels("chat") if labels is None else labels
    return {"metadata": {"labels": found, "annotations": annotations, "ownerReferences": list(references)}}


def by(kind: str = "WebSocketDomain", name: str = "chat", uid: str = "old", group: str = "wsedge.io") -> Live:
    return {"apiVersion": f"{group}/v1alpha1", "kind": kind, "name": name, "uid": uid}


OWNERS = {
    "our object": (owned(by(uid="uid-chat"), labels={}, digest=""), Ownership.OURS),
    "nobody": (owned(), Ownership.ORPHAN),
    "our object as it was before": (owned(by()), Ownership.ORPHAN),
    "nobody, without our digest": (owned(digest=""), Ownership.FOREIGN),
    "nobody, of another domain": (owned(labels=child_labels("other")), Ownership.FOREIGN),
    "another domain": (owned(by(name="other")), Ownership.FOREIGN),
    "another kind of that name": (owned(by(kind="Room")), Ownership.FOREIGN),
    "that kind of another group": (owned(by(group="example.com")), Ownership.FOREIGN),
    "ours as it was, and somebody": (owned(by(), by(kind="Room", uid="r")), Ownership.FOREIGN),
}


@pytest.mark.parametrize(("child", "whose"), OWNERS.values(), ids=OWNERS.keys())
def test_an_orphan_is_adopted_and_a_foreign_object_is_not(child: Live, whose: Ownership) -> None:
    """A restore drops owner references, or retains those of an object that no longer exists."""
    assert ownership(child, "chat", "uid-chat") is whose
