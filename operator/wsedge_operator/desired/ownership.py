"""The owner of an object that has the name of a child.

    an owner reference has the uid of this WebSocketDomain ──▶ ours
    labels and digest of this operator, and no existing owner ──▶ an orphan, which is adopted
    anything else ──▶ foreign, and never changed

Orphans come from a restore, which loses owner references or gives owners new uids, or from a deletion with
`--cascade=orphan`. An orphan has no owner reference, or only references to WebSocketDomains of the same name
with another uid: a name belongs to one object at a time, so those objects no longer exist. A client that may
write into the namespace can forge labels and digest. The operator then restores the forged object, which
gives that client nothing that it could not write itself.
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
    """Whether the operator may write to an object that has the name of a child."""

    OURS = "ours"
    ORPHAN = "orphan"
    FOREIGN = "foreign"


def ownership(child: Mapping[str, Any], name: str, uid: str) -> Ownership:
    """Return the ownership of `child`, seen from the WebSocketDomain `name` with `uid`."""
    metadata = child["metadata"]
    references = metadata.get("ownerReferences") or ()
    if any(reference.get("uid") == uid for reference in references):
        return Ownership.OURS
    labels = (metadata.get("labels") or {}).items()
    is_made_by_us = child_labels(name).items() <= labels and DESIRED_ANNOTATION in (
        metadata.get("annotations") or {}
    )
    is_orphaned = all(
        str(reference.get("apiVersion", "")).startswith(_GROUP)
        and reference.get("kind") == KIND
        and reference.get("name") == name
        for reference in references
    )
    return Ownership.ORPHAN if is_made_by_us and is_orphaned else Ownership.FOREIGN
