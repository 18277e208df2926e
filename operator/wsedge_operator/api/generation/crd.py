"""The CustomResourceDefinitions: names, columns and subresources around the generated schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from wsedge_operator.api import billing_plan, websocket_domain
from wsedge_operator.api.generation.schema import Schema, structural_schema
from wsedge_operator.api.meta import CATEGORY, GROUP, RELEASE, RELEASE_ANNOTATION, VERSION


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `priority` 1 shows it with `-o wide` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the group: its model, its names, its columns and its `scale` subresource."""

    model: type[BaseModel]
    name: str
    plural: str
    short: str
    columns: tuple[Column, ...]
    scale: dict[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name of the file that holds this kind's CRD."""
        return f"{GROUP}_{self.plural}.yaml"


def _condition(kind: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


AGE: Final = Column("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date")

BILLING_PLAN: Final = Kind(
    model=billing_plan.BillingPlan,
    name=billing_plan.KIND,
    plural=billing_plan.PLURAL,
    short="bp",
    columns=(
        # What is billed, not what is asked for: a changed plan waits for its boundary.
        Column("Cycle", ".status.current.billingCycle", "The billing cycle in force."),
        Column("Metering", ".status.current.meteringMethod", "The metering method in force."),
        Column("Effective", _condition("Effective", "status"), "Whether these terms are in force."),
        # Instants as text, not of type `date`: kubectl prints a date as an age, and a future one as
        # <invalid>; a bill is compared with dates.
        Column("Since", ".status.effectiveTime", "The instant at which the current terms came into force."),
        Column(
            "Next-Change",
            ".status.pending.effectiveTime",
            "The instant at which the next terms come into force.",
        ),
        Column("Next-Cycle", ".status.pending.billingCycle", "The next billing cycle.", priority=1),
        Column("Next-Metering", ".status.pending.meteringMethod", "The next metering method.", priority=1),
        AGE,
    ),
)
WEBSOCKET_DOMAIN: Final = Kind(
    model=websocket_domain.WebSocketDomain,
    name=websocket_domain.KIND,
    plural=websocket_domain.PLURAL,
    short="wsd",
    columns=(
        Column("Domain", ".spec.domain", "The domain that clients connect to."),
        Column("Enabled", ".spec.websocket.enabled", "Whether the domain is switched on.", "boolean"),
        Column("Protocol", ".spec.websocket.originProtocol", "The protocol towards the origins."),
        Column("Heartbeat", ".spec.websocket.heartbeatSeconds", "Seconds between pings.", "integer"),
        Column("Ready", _condition("Ready", "status"), "Whether the domain is as its spec asks."),
        Column("Reason", _condition("Ready", "reason"), "The reason of the Ready condition."),
        Column("Replicas", ".status.replicas", "The number of relay pods.", "integer", priority=1),
        Column("Address", ".status.address.clusterIP", "The relays' address.", priority=1),
        Column("Exposed", _condition("Exposed", "status"), "Whether the entrance leads to it.", priority=1),
        Column("Entrance", ".status.addresses[*].value", "The entrance's addresses.", priority=1),
        AGE,
    ),
    scale={
        "specReplicasPath": ".spec.relay.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
)
KINDS: Final = (BILLING_PLAN, WEBSOCKET_DOMAIN)


def definition(kind: Kind) -> Schema:
    """Return the CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind."""
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale:
        subresources["scale"] = dict(kind.scale)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "annotations": {RELEASE_ANNOTATION: RELEASE},
        },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": structural_schema(kind.model)},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    if column.priority:
        entry["priority"] = column.priority
    return entry
