"""Other releases that serve the same namespaces: beside them this one serves nothing.

Two operators over one namespace write against each other without end, and usage flips between two ledgers.
Each holds a Lease in a namespace of its own, so no Lease keeps them apart. This one looks for the Leases of
others before it takes its own:

    found, and its holder may write what we write, and it is renewed ──▶ wait, not ready
    otherwise ──▶ take the own Lease, look once more: of two that began at once the older Lease stays

Whoever may create a Lease could name it so. It counts only if the ServiceAccount beside it (of the same name,
as in the chart) may write the status of our kinds, which no tenant may: the API server is asked that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from wsedge_operator.errors import OperatorError, advice
from wsedge_operator.kube.client import Client, Object
from wsedge_operator.kube.kinds import ACCESS_REVIEW, DOMAIN, FOREIGN_LEASE

log = structlog.get_logger()

# On a Lease: the namespaces that its holder serves, separated by commas; "*": all, as without it.
SERVES_ANNOTATION: Final = "wsedge.io/serves"
# Leases of a release from before there was the annotation are known by their name.
_OLD_NAME: Final = "wsedge"
# Longer than a leader's death goes unnoticed by its own standby, who comes first.
_WINDOW_SECONDS: Final = 60.0
# Beyond what clocks of two machines differ: a Lease that old was left behind.
_OLD: Final = timedelta(minutes=10)


@dataclass
class Rivals:
    """Looks for other releases. `serves` are the namespaces of this one; empty: all of the cluster."""

    client: Client
    namespace: str
    lease: str
    serves: tuple[str, ...]
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _seen: dict[str, tuple[Any, float]] = field(default_factory=dict, init=False)
    _known: dict[str, Object] = field(default_factory=dict, init=False)

    async def find(self, *, older_than: Object | None = None) -> str | None:
        """Return who serves the same, as `namespace/name` of a Lease; None: nobody who is known.

        With `older_than` only a Lease that is older than this one counts.
        """
        if self.serves:
            return None  # Roles in some namespaces do not let it look into others.
        try:
            leases, _ = await self.client.list(FOREIGN_LEASE, None)
            # A Lease goes with its pod; the standby that comes after makes it anew.
            known = self._known | {_name(live): live for live in leases}
            self._known = {name: live for name, live in known.items() if self._counts(live, None)}
            for name, live in self._known.items():
                if self._counts(live, older_than) and await self._may_write(live):
                    return name
        except OperatorError as error:
            log.warning("other releases not looked for", error=str(error), advice=advice(error))
        return None

    def _counts(self, live: Object, older_than: Object | None) -> bool:
        metadata = live["metadata"]
        is_own = (metadata["namespace"], metadata["name"]) == (self.namespace, self.lease)
        is_marked = SERVES_ANNOTATION in (metadata.get("annotations") or {})
        if is_own or not (is_marked or _OLD_NAME in metadata["name"]):
            return False
        is_older = older_than is None or _age(live) < _age(older_than)
        return self._is_alive(live) and is_older

    def _is_alive(self, live: Object) -> bool:
        """Tell whether a Lease was renewed within the window, as seen on our clock."""
        spec = live.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        known = self._seen.get(_name(live))
        if known is None or known[0] != record:
            known = self._seen[_name(live)] = (record, self.monotonic())
        renewed = spec.get("renewTime")
        if renewed is None or self.now() - datetime.fromisoformat(renewed) > _OLD:
            return False
        window = max(_WINDOW_SECONDS, 4 * float(spec.get("leaseDurationSeconds") or 0))
        return self.monotonic() - known[1] < window

    async def _may_write(self, live: Object) -> bool:
        """Ask whether the ServiceAccount beside a Lease may do what an operator does where it serves."""
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
    """Return what a Lease says of the namespaces that its holder serves."""
    return ",".join(namespaces) or "*"


def _name(live: Object) -> str:
    return f"{live['metadata']['namespace']}/{live['metadata']['name']}"


def _age(live: Object) -> tuple[str, str]:
    return live["metadata"]["creationTimestamp"], live["metadata"]["uid"]
