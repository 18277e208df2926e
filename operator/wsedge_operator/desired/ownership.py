"""Whose an object is that bears the name of a child.

    it names our object (its uid) as an owner ──▶ ours
    it carries our labels and our digest, and belongs to nobody alive ──▶ an orphan, which is adopted
    anything else ──▶ somebody else's, and left alone

Orphans come from a restore (owner references and uids are new then) or from a deletion that spared the
dependents. Nobody alive: there is no owner, or only WebSocketDomains of this very name with another uid. A
name belongs to one object at a time, so those are gone. Labels and digest can be forged, by those who
may write into the namespace: they make the operator set right an object of theirs, which gains them nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from wsedge_operator.api.meta import GROUP
from wsedge_operator.api.websocket_domain import KIND
from wsedge_operator.desired.names import DESIRED_ANNOTATION, child_labels

_GROUP: Final = f"{GROUP}/"


class Ownership(Enum):
    """Whose a child is."""

    OURS = "ours"
    ORPHAN = "orphan"
    FOREIGN = "foreign"


def ownership(child: Mapping[str, Any], name: str, uid: str) -> Ownership:
    """Return whose `child` is, seen from the WebSocketDomain `name` with `uid`."""
    metadata = child["metadata"]
    references = metadata.get("ownerReferences") or ()
    if any(reference.get("uid") == uid for reference in references):
        return Ownership.OURS
    labels = (metadata.get("labels") or {}).items()
    is_made_by_us = child_labels(name).items() <= labels and DESIRED_ANNOTATION in (
        metadata.get("annotations") or {}
    )
    is_left = all(
        str(reference.get("apiVersion", "")).startswith(_GROUP)
        and reference.get("kind") == KIND
        and reference.get("name") == name
        for reference in references
    )
    return Ownership.ORPHAN if is_made_by_us and is_left else Ownership.FOREIGN
