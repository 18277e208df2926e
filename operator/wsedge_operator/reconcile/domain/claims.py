"""Who owns a domain name in the cluster: one rule, for each domain's decision and for the Directory.

    cannot be served ──(switched on, plan in force)──▶ can be served ──(relays made)──▶ has been served
     yields to both                                     yields to the last               yields to nobody

A claim that has been served keeps the name, switched off or not, until its object is deleted: nobody takes
over a name that clients use. One that was never served, because it is switched off or its namespace has no
plan in force or is not selected, blocks nobody who can be served. Of two alike the older one owns.

The evidence is the condition `NameKept`, whose `lastTransitionTime` is when it was first served. Only the
operator may write a status: the chart's roles for users do not have `websocketdomains/status`, and the API
server ignores a status in a manifest. A Deployment or Service would be no evidence, since whoever may write
into the namespace can make one that looks like a child. A field of the status would be lost under an older
CustomResourceDefinition, which does not know it; conditions are the same in all versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from wsedge_operator.api.reading import part_at, read
from wsedge_operator.api.websocket_domain import NAME_KEPT, WebSocketDomain
from wsedge_operator.errors import UnreadableError
from wsedge_operator.reconcile.account.standing import Standing
from wsedge_operator.reconcile.outcome import Manifest, is_going


@dataclass(frozen=True, slots=True)
class DomainClaim:
    """One WebSocketDomain that names a domain.

    `served_since` is None while it was never served; `can_be_served` tells whether it could be now.
    """

    created: datetime
    uid: str
    namespace: str
    name: str
    served_since: datetime | None = None
    can_be_served: bool = True

    @property
    def rank(self) -> tuple[int, datetime, datetime, str]:
        """What claims are ordered by: the lowest owns the name."""
        if self.served_since is not None:
            return 0, self.served_since, self.created, self.uid
        return 1 if self.can_be_served else 2, self.created, self.created, self.uid


def owner_of(claims: Iterable[DomainClaim]) -> DomainClaim | None:
    """Return which of all claims on one name owns it; None: there is no claim."""
    return min(claims, key=lambda claim: claim.rank, default=None)


def claim_of(live: Manifest, *, can_be_served: bool) -> DomainClaim:
    """Return the claim of a live WebSocketDomain."""
    meta = live["metadata"]
    return DomainClaim(
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        served_since=first_served(live),
        can_be_served=can_be_served,
    )


def claimed_name(live: Manifest) -> str | None:
    """Return the name that a live WebSocketDomain claims, if it can be read."""
    name = part_at(live, "spec", "domain")
    return name if isinstance(name, str) else None


def can_be_served(live: Manifest, standing: Standing, *, selected: bool = True) -> bool:
    """Tell whether a WebSocketDomain would be served if the name were its own.

    `selected` tells whether its namespace is one that the operator serves.
    """
    if is_going(live) or not standing.effective or not selected:
        return False
    try:
        return read(WebSocketDomain, live).spec.websocket.enabled
    except UnreadableError:
        return False


def first_served(live: Manifest) -> datetime | None:
    """Return since when a live WebSocketDomain has been served, off times included; None: it never was."""
    status = live.get("status")
    for entry in part_at(status, "conditions") or ():
        if part_at(entry, "type") == NAME_KEPT:
            return datetime.fromisoformat(entry["lastTransitionTime"])
    # The last release served without noting since when: then it counts since it was made.
    if part_at(status, "configuration") or part_at(status, "address"):
        return datetime.fromisoformat(live["metadata"]["creationTimestamp"])
    return None
