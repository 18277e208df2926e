"""What is known about a WebSocketDomain when it is decided upon, and a decision in the making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.reconcile.account.standing import Standing
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.claims import DomainClaim
from wsedge_operator.reconcile.outcome import Cost, EventNote, Exact, Manifest, Poke, Ref
from wsedge_relay.contract import RelayState


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What the relay of a pod, started anew `restarts` times, last said; None: it did not answer."""

    restarts: int
    state: RelayState | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the API server made of the exact parts of the manifest with this digest, by path."""

    digest: str
    parts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DomainSnapshot:
    """The object `live` and all that its decision depends on.

    `claims` are all of the cluster on its domain; `services` and `secrets` what its spec refers to, by name,
    as far as it exists; `children` by kind; `relays` by pod uid; `failure` says why the last outcome could
    not be applied, `contested` which writes of ours do not last. `admitted` is known, by kind, of children
    that were asked about. `statistics_url` is None when relays shall report nowhere, and empty when they
    shall report but the service is not found. `new_token` is a random one, for relays that have none yet.
    `selected` tells whether the operator serves the namespace, as far as its labels decide that.
    `admin_peers` may reach the relays' admin port by their NetworkPolicy; None: there is none.
    `denied_networks` is as in RelayConfig.
    """

    live: Manifest
    standing: Standing
    image: RelayImage
    new_token: str
    selected: bool = True
    claims: tuple[DomainClaim, ...] = ()
    services: Mapping[str, Manifest] = field(default_factory=dict)
    secrets: Mapping[str, Manifest] = field(default_factory=dict)
    children: Mapping[str, Manifest] = field(default_factory=dict)
    pods: tuple[Manifest, ...] = ()
    relays: Mapping[str, RelayReport] = field(default_factory=dict)
    statistics_url: str | None = None
    admin_peers: tuple[Manifest, ...] | None = None
    denied_networks: tuple[str, ...] | None = None
    failure: str | None = None
    contested: str | None = None
    admitted: Mapping[str, Admitted] = field(default_factory=dict)

    def running(self, pod: Manifest) -> str | None:
        """Return the generation that the relay of a pod last said it runs."""
        report = self.relays.get(pod["metadata"]["uid"])
        return report.state.generation if report is not None and report.state is not None else None


@dataclass(slots=True)
class OutcomeDraft:
    """A decision in the making: answers for the status, and what to do.

    `serves` says that relays are given what to serve, so that the domain counts as served from now on.
    """

    answers: list[ConditionAnswer] = field(default_factory=list)
    ask: list[Exact] = field(default_factory=list)
    restore: list[Exact] = field(default_factory=list)
    serves: bool = False
    costs: list[Cost] = field(default_factory=list)
    apply: list[Manifest] = field(default_factory=list)
    delete: list[Ref] = field(default_factory=list)
    pokes: list[Poke] = field(default_factory=list)
    notes: list[EventNote] = field(default_factory=list)
    generation: str | None = None
    serves_tls: bool = False
    reconcile_at: datetime | None = None
