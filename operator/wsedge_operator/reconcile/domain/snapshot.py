"""The input of the decision about a WebSocketDomain, and its outcome in progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod
from wsedge_operator.desired.deployment import RelayImage
from wsedge_operator.reconcile.account.state import AccountState
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.domain.autoscaling import RelayLoad
from wsedge_operator.reconcile.domain.claims import DomainClaim
from wsedge_operator.reconcile.domain.memory import NO_MEMORY, Memory, Shed, ShedFailure
from wsedge_operator.reconcile.outcome import Cost, EventNote, Exact, Manifest, Poke, Ref
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.rollouts import GRANTED, Turn
from wsedge_relay.contract import RelayState


@dataclass(frozen=True, slots=True)
class RelayReport:
    """The last answer of a pod's relay, and the pod's `restarts` at that time.

    `state` is None when it did not answer; then `error` has the reason.
    """

    restarts: int
    state: RelayState | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The answer to a dry run: the exact parts, by path, of the manifest with this digest."""

    digest: str
    parts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the entrance, and the kind of the object that has it."""

    type: Literal["IPAddress", "Hostname"]
    value: str
    via: str


@dataclass(frozen=True, slots=True)
class DomainSnapshot:
    """The object `live` and everything that its decision depends on.

    account_state     whether its account has terms in force
    image             the image of relay pods
    pod_default       settings of relay pods where the spec has none
    version           the digest of the operator's part of pod templates
    turn              whether a change of the operator may replace the pods now
    held              of `staging`: the template that this process holds; None: not decided yet
    new_token         a random token, for relays that have none yet
    selected          the labels of its namespace match the operator's selector
    claims            all claims of the cluster on its domain name
    services          Services that its spec names, by name, if they exist
    secrets           Secrets that its spec names, by name, if they exist
    children          by `names.child_key`
    pods              all pods of its relays
    relays            the last answer of each relay, by pod uid
    statistics_url    None: relays do not report; empty: they must, but the Service is not found
    admin_peers       peers of a NetworkPolicy that may reach the admin port; None: no NetworkPolicy
    cluster           label of the installation in usage reports
    denied_networks   as in RelayConfig
    failure           why the last outcome could not be applied
    contested         which writes of the operator another client reverts
    admitted          answers to dry runs, by kind of child
    apis              kinds of an entrance that are installed: the apiVersion, or why it cannot be used
    gateways          Gateways that its routes name, by namespace and name, where they can be read
    certificate_requests   CertificateRequests with its label, of any owner
    is_exposure_declared   the definition in the cluster has spec.exposure and status.addresses
    load              open connections of all relays; None: not asked for
    memory            of the last decision
    shed_failures     relays that did not accept the last order to close connections, by pod uid
    """

    live: Manifest
    account_state: AccountState
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
    cluster: str | None = None
    denied_networks: tuple[str, ...] | None = None
    pod_default: RelayPod = NO_POD_SETTINGS
    version: str = ""
    turn: Turn = GRANTED
    held: str | None = None
    failure: str | None = None
    contested: str | None = None
    admitted: Mapping[str, Admitted] = field(default_factory=dict)
    apis: Mapping[str, str | Problem] = field(default_factory=dict)
    gateways: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    certificate_requests: tuple[Manifest, ...] = ()
    is_exposure_declared: bool = True
    load: RelayLoad | None = None
    memory: Memory = NO_MEMORY
    shed_failures: Mapping[str, ShedFailure] = field(default_factory=dict)

    def running(self, pod: Manifest) -> str | None:
        """Return the generation that the relay of a pod runs by its last answer, or None."""
        report = self.relays.get(pod["metadata"]["uid"])
        return report.state.generation if report is not None and report.state is not None else None


@dataclass(slots=True)
class OutcomeDraft:
    """An outcome in progress; `answers` are conditions of the status. Other fields as in `Outcome`.

    `serves`: the outcome gives relays a configuration, so that the domain counts as served from now on.
    """

    answers: list[ConditionAnswer] = field(default_factory=list)
    dry_run: list[Exact] = field(default_factory=list)
    restore: list[Exact] = field(default_factory=list)
    serves: bool = False
    costs: list[Cost] = field(default_factory=list)
    apply: list[Manifest] = field(default_factory=list)
    delete: list[Ref] = field(default_factory=list)
    pokes: list[Poke] = field(default_factory=list)
    entrance: list[Manifest] = field(default_factory=list)
    retire: list[Ref] = field(default_factory=list)
    addresses: tuple[Address, ...] = ()
    notes: list[EventNote] = field(default_factory=list)
    sheds: list[Shed] = field(default_factory=list)
    memory: Memory = NO_MEMORY
    scaled_at: datetime | None = None
    generation: str | None = None
    serves_tls: bool = False
    reconcile_at: datetime | None = None
    query_at: datetime | None = None
    held: str | None = None
    waits: bool = False
    starts: bool = False
    ends: bool = False
