"""Find other releases that serve the same namespaces: beside such a rival this release serves nothing.

Two operators over one namespace revert each other's writes without end, and usage goes to two ledgers in
turn. Each holds a Lease in a namespace of its own, so no Lease excludes the other. So an operator lists the
Leases of other releases before it acquires its own:

    a rival's Lease, renewed, whose holder may write the status of wsedge.io kinds ──▶ wait, not ready
    otherwise ──▶ acquire the own Lease, list again: of two that started at once the older Lease stays

A tenant may create a Lease of such a name. So a Lease counts only if the ServiceAccount of its name in its
namespace (in the chart both have one name) may write the status of wsedge.io kinds, which no tenant may; a
SubjectAccessReview answers that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from wsedge_operator.api.meta import instant_of
from wsedge_operator.errors import OperatorError, advice
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import ACCESS_REVIEW, DOMAIN, FOREIGN_LEASE

log = structlog.get_logger()

# On a Lease: the namespaces that its holder serves, separated by commas; "*", or no annotation: all.
SERVES_ANNOTATION: Final = "wsedge.io/serves"
# Leases of earlier releases have no annotation, and this in their name.
_OLD_NAME: Final = "wsedge"
# Longer than a standby of the rival needs to replace a dead leader (settings: lease_seconds, 15 s).
_WINDOW_SECONDS: Final = 60.0
# A Lease that was renewed before that has no holder, or one whose machine has another time: it is watched for
# a quarter of a minute, in which a holder renews it.
_OLD: Final = timedelta(minutes=10)
_OLD_WINDOW_SECONDS: Final = 15.0
# Each Lease costs a SubjectAccessReview before this release leads. A release has one, in a namespace in which
# no tenant writes; a namespace with thousands of them is a tenant's, who would delay each takeover.
_MOST_OF_A_NAMESPACE: Final = 8


@dataclass
class Rivals:
    """Finds other releases. `serves` are the namespaces of this release; empty: the whole cluster."""

    client: Client
    namespace: str
    lease: str
    serves: tuple[str, ...]
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _seen: dict[str, tuple[Any, float]] = field(default_factory=dict, init=False)
    _known: dict[str, Object] = field(default_factory=dict, init=False)

    async def find(self, *, older_than: Object | None = None) -> str | None:
        """Return a rival as `namespace/name` of its Lease; None when no rival is found.

        With `older_than` only a Lease that is older than that Lease counts.
        """
        if self.serves:
            return None  # Roles in some namespaces do not allow a list of the others.
        try:
            leases, _ = await self.client.list(FOREIGN_LEASE, None)
            # A Lease is deleted with its leader's pod, and the rival's standby creates it again soon after.
            known = self._known | {_name(live): live for live in leases}
            self._known = {name: live for name, live in known.items() if self._is_rival_lease(live, None)}
            for live in self._to_ask():
                if self._is_rival_lease(live, older_than) and await self._may_write(live):
                    return _name(live)
        except OperatorError as error:
            log.warning("other releases not listed", error=str(error), advice=advice(error))
        return None

    def _to_ask(self) -> list[Object]:
        """Return the oldest known Leases of each namespace, a few of each."""
        found: dict[str, list[Object]] = {}
        for live in sorted(self._known.values(), key=_age):
            found.setdefault(live["metadata"]["namespace"], []).append(live)
        return [live for leases in found.values() for live in leases[:_MOST_OF_A_NAMESPACE]]

    def _is_rival_lease(self, live: Object, older_than: Object | None) -> bool:
        metadata = live["metadata"]
        is_own = (metadata["namespace"], metadata["name"]) == (self.namespace, self.lease)
        is_marked = SERVES_ANNOTATION in (metadata.get("annotations") or {})
        if is_own or not (is_marked or _OLD_NAME in metadata["name"]):
            return False
        is_older = older_than is None or _age(live) < _age(older_than)
        return self._is_alive(live) and is_older

    def _is_alive(self, live: Object) -> bool:
        """Return whether a Lease was renewed within the window, by this machine's monotonic clock.

        The time in it is only a hint that the window may be short: it is of another machine's clock.
        """
        spec = live.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        known = self._seen.get(_name(live))
        if known is None or known[0] != record:
            known = self._seen[_name(live)] = (record, self.monotonic())
        renewed = spec.get("renewTime")
        if renewed is None:
            return False
        duration = float(spec.get("leaseDurationSeconds") or 0)
        at = instant_of(renewed)
        is_old = at is None or self.now() - at > _OLD
        window = max(_OLD_WINDOW_SECONDS, duration) if is_old else max(_WINDOW_SECONDS, 4 * duration)
        return self.monotonic() - known[1] < window

    async def _may_write(self, live: Object) -> bool:
        """Return whether the ServiceAccount of a Lease may write the status of domains where it serves."""
        metadata = live["metadata"]
        serves = (metadata.get("annotations") or {}).get(SERVES_ANNOTATION, "*")
        attributes = {
            "group": DOMAIN.group,
            "resource": DOMAIN.plural,
            "subresource": "status",
            "verb": "patch",
            **({} if serves == "*" else {"namespace": serves.partition(",")[0]}),
        }
        body = {
            "apiVersion": ACCESS_REVIEW.api_version,
            "kind": ACCESS_REVIEW.kind,
            "spec": {
                "user": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
                "resourceAttributes": attributes,
            },
        }
        answer = await self.client.create(ACCESS_REVIEW, None, body)
        return bool((answer.get("status") or {}).get("allowed"))


def serves_text(namespaces: tuple[str, ...]) -> str:
    """Return the value of SERVES_ANNOTATION for the namespaces that a holder serves."""
    return ",".join(namespaces) or "*"


def _name(live: Object) -> str:
    return f"{live['metadata']['namespace']}/{live['metadata']['name']}"


def _age(live: Object) -> tuple[str, str]:
    return live["metadata"]["creationTimestamp"], live["metadata"]["uid"]
