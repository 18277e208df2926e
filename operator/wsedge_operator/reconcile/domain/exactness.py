"""The writes that bring a live child to its manifest, and restore it after changes by other clients.

The exact parts of a child (`desired.exact`), the first row that applies:

    they equal the manifest ──▶ no write
    the live child has the digest of an older manifest ──▶ replace them
    no answer of the API server to a dry run of this manifest is known ──▶ dry run
    they equal that answer ──▶ no write: admission adds these differences to every write
    otherwise ──▶ replace them, and write an Event

All other values are written by server-side apply when the live child lacks a desired value.
"""

from __future__ import annotations

from typing import Final

from wsedge_operator.desired.digest import is_applied
from wsedge_operator.desired.exact import (
    differences,
    differences_from_admitted,
    digest_of,
    is_exact_kind,
    outside_parts,
    replacements,
)
from wsedge_operator.desired.names import child_key
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import EventNote, Exact, Manifest, reference
from wsedge_operator.reconcile.reasons import Reason

_MOST_PATHS: Final = 5  # in the message of an Event, which has room for 1 kB
# Field managers that are not reported: the operator, and the controllers of Kubernetes, which write status
# and revisions.
_OWN_MANAGERS: Final = frozenset({"wsedge", "kube-controller-manager"})


def draft_child(draft: OutcomeDraft, snapshot: DomainSnapshot, wanted: Manifest) -> None:
    """Add to `draft` the writes by which a child becomes `wanted`, a manifest with its digest."""
    kind = wanted["kind"]
    live = snapshot.children.get(child_key(wanted, snapshot.live["metadata"]["name"]))
    if live is None or not is_exact_kind(kind):
        if not is_applied(wanted, live):
            draft.apply.append(wanted)
        return
    is_of_an_older_manifest = digest_of(live) != digest_of(wanted)
    if is_of_an_older_manifest or not is_applied(outside_parts(wanted), live):
        draft.apply.append(wanted)
    if not differences(live, wanted):
        return
    exact = Exact(
        ref=reference(live),
        version=str(live["metadata"].get("resourceVersion", "")),
        digest=digest_of(wanted),
        parts=replacements(live, wanted),
    )
    if is_of_an_older_manifest:
        # The restore writes the new parts as well, so that relays are replaced once. An apply alone would
        # keep the additions, which an admission policy may refuse.
        draft.restore.append(exact)
        return
    admitted = snapshot.admitted.get(kind)
    if admitted is None or admitted.digest != exact.digest:
        draft.dry_run.append(exact)
    elif found := differences_from_admitted(live, admitted.parts):
        draft.restore.append(exact)
        draft.notes.append(_note(snapshot.live, live, found))


def _note(owner: Manifest, live: Manifest, found: tuple[str, ...]) -> EventNote:
    metadata = live["metadata"]
    more = f" and {len(found) - _MOST_PATHS} more" if len(found) > _MOST_PATHS else ""
    others = sorted(
        {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()} - _OWN_MANAGERS
    )
    by = f" (field managers beside the operator: {', '.join(others)})" if others else ""
    message = (
        f"Another client changed {live['kind']} {metadata['name']}; the operator restores"
        f" {', '.join(found[:_MOST_PATHS])}{more}{by}. Configure relays only in the WebSocketDomain."
    )
    occurrence = f"{metadata.get('uid')} {metadata.get('generation') or metadata.get('resourceVersion')}"
    return EventNote(owner, "Warning", Reason.CHANGED_FROM_OUTSIDE, message, occurrence)
