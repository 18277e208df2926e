"""Whether a live child is as it was applied, and what to do about what somebody else has changed in it.

Of the exact parts of a child (`desired.exact`):

    they are as wanted ──▶ left alone
    they are of an older manifest ──▶ replaced
    the API server was not asked yet what it makes of the wanted ones ──▶ ask (a dry run)
    they are as it admits them ──▶ left alone: admission adds or changes this each time
    otherwise ──▶ restored, and told by an Event

Everything else of a child is applied where a value of ours is not there.
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
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, OutcomeDraft
from wsedge_operator.reconcile.outcome import EventNote, Exact, Manifest, reference
from wsedge_operator.reconcile.reasons import Reason

_PATHS_TOLD: Final = 5
# The operator, and controllers of Kubernetes that write status and revisions alone.
_OWN_MANAGERS: Final = frozenset({"wsedge", "kube-controller-manager"})


def set_right(draft: OutcomeDraft, snapshot: DomainSnapshot, wanted: Manifest) -> None:
    """Put on the course what has to be done so that a child is as `wanted` (which carries its digest)."""
    kind = wanted["kind"]
    live = snapshot.children.get(kind)
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
        # In one go with what is new, so that relays are replaced once. And an apply alone would leave the
        # additions of others in, which a policy of the cluster may then refuse as ours.
        draft.restore.append(exact)
        return
    admitted = snapshot.admitted.get(kind)
    if admitted is None or admitted.digest != exact.digest:
        draft.ask.append(exact)
    elif found := differences_from_admitted(live, admitted.parts):
        draft.restore.append(exact)
        draft.notes.append(_note(snapshot.live, live, found))


def _note(owner: Manifest, live: Manifest, found: tuple[str, ...]) -> EventNote:
    metadata = live["metadata"]
    more = f" and {len(found) - _PATHS_TOLD} more" if len(found) > _PATHS_TOLD else ""
    others = sorted(
        {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()} - _OWN_MANAGERS
    )
    by = f" (field managers beside the operator: {', '.join(others)})" if others else ""
    message = (
        f"{live['kind']} {metadata['name']} was changed from outside and is set right again:"
        f" {', '.join(found[:_PATHS_TOLD])}{more}{by}. Relays are configured in the WebSocketDomain alone."
    )
    turn = f"{metadata.get('uid')} {metadata.get('generation') or metadata.get('resourceVersion')}"
    return EventNote(owner, "Warning", Reason.CHANGED_FROM_OUTSIDE, message, turn)
