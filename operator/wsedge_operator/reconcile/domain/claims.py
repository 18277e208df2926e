"""The owner of a domain name in the cluster: one rule, for each domain's decision and for the Directory.

Each WebSocketDomain has a claim on the name in its spec. The claim with the lowest rank owns the name:

    rank 0   has been served      the claim that was served first
    rank 1   can be served        the oldest object
    rank 2   cannot be served     the oldest object: it is switched off, or its namespace has no plan in force
                                  or is not selected

    rank 2 ──switched on, plan in force, selected──▶ rank 1 ──relays are made──▶ rank 0 ──deleted──▶ no claim

A domain that has been served owns its name until the object is deleted, even while it is switched off:
another tenant must not receive the connections of its clients. A domain that was never served must not block
a domain that can be.

The proof that a domain has been served is its condition `NameKept`, whose `lastTransitionTime` is the time of
the first service. Only the operator may write a status: the chart's roles for users do not have
`websocketdomains/status`, and the API server ignores the status in a manifest. A Deployment or a Service
proves nothing, since a tenant can create one that looks like a child. A separate field of the status would be
pruned under an older CustomResourceDefinition; conditions have one schema in all versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from wsedge_operator.api.meta import instant_of
from wsedge_operator.api.reading import part_at, read
from wsedge_operator.api.websocket_domain import NAME_KEPT, WebSocketDomain
from wsedge_operator.errors import UnreadableError
from wsedge_operator.reconcile.account.state import AccountState
from wsedge_operator.reconcile.outcome import Manifest, is_terminating


@dataclass(frozen=True, slots=True)
class DomainClaim:
    """The claim of a WebSocketDomain on the domain name in its spec.

    `served_since` is the time of its first service, None if it was never served.
    """

    created: datetime
    uid: str
    namespace: str
    name: str
    served_since: datetime | None = None
    can_be_served: bool = True

    @property
    def rank(self) -> tuple[int, datetime, datetime, str]:
        """The sort key of claims (see the module). With equal times the lower uid owns the name."""
        if self.served_since is not None:
            return 0, self.served_since, self.created, self.uid
        return 1 if self.can_be_served else 2, self.created, self.created, self.uid


def owner_of(claims: Iterable[DomainClaim]) -> DomainClaim | None:
    """Return the claim that owns the name, of all claims on it; None without a claim."""
    return min(claims, key=lambda claim: claim.rank, default=None)


def claim_of(live: Manifest, *, can_be_served: bool) -> DomainClaim:
    """Return the claim of a live WebSocketDomain."""
    meta = live["metadata"]
    return DomainClaim(
        created=_created(live),
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        served_since=served_since(live),
        can_be_served=can_be_served,
    )


def claimed_name(live: Manifest) -> str | None:
    """Return the domain name in the spec of a live WebSocketDomain; None if the spec has no valid one."""
    name = part_at(live, "spec", "domain")
    return name if isinstance(name, str) else None


def can_be_served(live: Manifest, account_state: AccountState, *, selected: bool = True) -> bool:
    """Return whether a live WebSocketDomain would be served if it owned its name.

    `selected`: the labels of its namespace match the operator's selector.
    """
    if is_terminating(live) or not account_state.effective or not selected:
        return False
    try:
        return read(WebSocketDomain, live).spec.websocket.enabled
    except UnreadableError:
        return False


def served_since(live: Manifest) -> datetime | None:
    """Return the time of the first service of a live WebSocketDomain (condition `NameKept`), or None."""
    status = live.get("status")
    for entry in part_at(status, "conditions") or ():
        if part_at(entry, "type") == NAME_KEPT:
            return instant_of(entry["lastTransitionTime"]) or _created(live)
    # The last release did not write the condition. A domain that it served has these fields in its status;
    # its creation is then the best known time of its first service.
    if part_at(status, "configuration") or part_at(status, "address"):
        return _created(live)
    return None


def _created(live: Manifest) -> datetime:
    return datetime.fromisoformat(live["metadata"]["creationTimestamp"])
