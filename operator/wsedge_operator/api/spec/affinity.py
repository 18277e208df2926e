"""Of a WebSocketDomain's spec: on which nodes relay pods are scheduled, in the structure of Kubernetes.

Three fields of Kubernetes are left out on purpose: `namespaces`, `namespaceSelector` (a required
anti-affinity to pods of other namespaces keeps other tenants' pods off nodes, see the quota scope
CrossNamespacePodAffinity) and `matchFields` (for DaemonSets).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from wsedge_operator.api.meta import Matches, Rule, SpecPart, cel, validations

# A qualified name: an optional DNS subdomain and a slash, and a name of at most 63 characters (Kubernetes
# docs, Labels: syntax).
_KEY: Final = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY_MESSAGE: Final = "give the key of a label, such as disk or topology.kubernetes.io/zone"
_MOST_LABELS: Final = 16
_SELECT_MESSAGE: Final = "In and NotIn need values; Exists and DoesNotExist have none"
_NODE_MESSAGE: Final = f"{_SELECT_MESSAGE}; Gt and Lt need one integer"
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DOMAINS_MESSAGE: Final = "minDomains needs whenUnsatisfiable: DoNotSchedule"
_SECONDS_MESSAGE: Final = "tolerationSeconds needs effect: NoExecute"
_EXISTS_MESSAGE: Final = "a toleration without a key needs operator: Exists, and Exists has no value"

LabelKey = Annotated[str, Field(min_length=1, max_length=317), Matches(_KEY, _KEY_MESSAGE)]
LabelValue = Annotated[
    str,
    Field(max_length=63),
    Matches(
        r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?",
        "give the value of a label: letters, digits, dashes, underscores and dots, at most 63",
    ),
]


def are_keys(labels: dict[str, str]) -> dict[str, str]:
    """Refuse a key that no label can have (CEL: `KEYS`)."""
    if not all(len(key) <= 317 and re.fullmatch(_KEY, key) for key in labels):
        raise ValueError(_KEY_MESSAGE)
    return labels


# The first condition bounds what the second one costs.
KEYS: Final = Rule(f"self.all(key, key.size() <= 317 && key.matches('^(?:{_KEY})$'))", _KEY_MESSAGE)
Labels = Annotated[dict[str, LabelValue], Field(max_length=_MOST_LABELS), KEYS, AfterValidator(are_keys)]


class SelectorOperator(StrEnum):
    """How a label of a pod is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class NodeOperator(StrEnum):
    """How a label of a node is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


_VALUES_CEL: Final = (
    "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0"
    " : {more}!has(self.values) || self.values.size() == 0"
)


class LabelRequirement(SpecPart):
    """One condition on a label of pods."""

    model_config = ConfigDict(
        json_schema_extra=validations(cel(_VALUES_CEL.format(more=""), _SELECT_MESSAGE, field="values"))
    )

    key: Annotated[LabelKey, Field(description="The key of the label.")]
    operator: Annotated[
        SelectorOperator, Field(description="In, NotIn, Exists or DoesNotExist, as in Kubernetes.")
    ]
    values: Annotated[
        tuple[LabelValue, ...] | None,
        Field(max_length=16, description="The values of In and NotIn, at most 16. Default: none."),
    ] = None

    @model_validator(mode="after")
    def has_values_where_needed(self) -> Self:
        """Refuse In without values, and Exists with values (CEL: the same)."""
        needs = self.operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}
        if needs != bool(self.values):
            raise ValueError(_SELECT_MESSAGE)
        return self


class NodeRequirement(SpecPart):
    """One condition on a label of nodes."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                _VALUES_CEL.format(
                    more="self.operator in ['Gt', 'Lt'] ? has(self.values) && self.values.size() == 1"
                    " && self.values[0].matches('^-?[0-9]{1,18}$') : "
                ),
                _NODE_MESSAGE,
                field="values",
            )
        )
    )

    key: Annotated[LabelKey, Field(description="The key of the label.")]
    operator: Annotated[
        NodeOperator, Field(description="In, NotIn, Exists, DoesNotExist, Gt or Lt, as in Kubernetes.")
    ]
    values: Annotated[
        tuple[LabelValue, ...] | None,
        Field(
            max_length=16,
            description="The values of In and NotIn, at most 16; one integer of Gt and Lt. Default: none.",
        ),
    ] = None

    @model_validator(mode="after")
    def has_values_where_needed(self) -> Self:
        """Refuse values that the operator cannot compare (CEL: the same)."""
        values = self.values or ()
        if self.operator in {NodeOperator.GT, NodeOperator.LT}:
            fits = len(values) == 1 and _INTEGER.fullmatch(values[0]) is not None
        else:
            fits = (self.operator in {NodeOperator.IN, NodeOperator.NOT_IN}) == bool(values)
        if not fits:
            raise ValueError(_NODE_MESSAGE)
        return self


class LabelSelector(SpecPart):
    """Pods of this namespace by their labels; all conditions must hold."""

    matchLabels: Annotated[
        Labels | None, Field(description="Labels that the pods have, at most 16. Default: none.")
    ] = None
    matchExpressions: Annotated[
        tuple[LabelRequirement, ...] | None,
        Field(max_length=8, description="Conditions on labels, at most 8. Default: none."),
    ] = None


class NodeSelectorTerm(SpecPart):
    """Nodes by their labels; all conditions must hold."""

    matchExpressions: Annotated[
        tuple[NodeRequirement, ...],
        Field(min_length=1, max_length=8, description="Conditions on labels of the node, 1 to 8."),
    ]


class NodeSelector(SpecPart):
    """Nodes that match one of the terms."""

    nodeSelectorTerms: Annotated[
        tuple[NodeSelectorTerm, ...],
        Field(min_length=1, max_length=8, description="The terms, 1 to 8; a node must match one of them."),
    ]


_WEIGHT: Final = "The weight of this preference among the others; 1 to 100."


class PreferredNodes(SpecPart):
    """Nodes that are preferred."""

    weight: Annotated[int, Field(ge=1, le=100, description=_WEIGHT)]
    preference: Annotated[NodeSelectorTerm, Field(description="The nodes that are preferred.")]


class NodeAffinity(SpecPart):
    """Nodes on which relay pods must run, or should."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        NodeSelector | None, Field(description="The nodes on which the pods must run. Default: any.")
    ] = None
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PreferredNodes, ...] | None,
        Field(max_length=8, description="The nodes that are preferred, at most 8. Default: none."),
    ] = None


# The only label by which pods of one rollout are told from others; Kubernetes refuses a key that the
# selector has too.
MatchLabelKeys = Annotated[
    tuple[Annotated[str, Field(max_length=63), Matches(r"pod-template-hash", "give pod-template-hash")], ...]
    | None,
    Field(
        max_length=1,
        description="[pod-template-hash]: only pods of the same rollout are compared. Default: none.",
    ),
]
_SELECTED: Final = "The pods of this namespace that are compared. Default: the relays of this domain."


class PodAffinityTerm(SpecPart):
    """Pods of this namespace, and the part of the cluster to share with them or not."""

    labelSelector: Annotated[LabelSelector | None, Field(description=_SELECTED)] = None
    matchLabelKeys: MatchLabelKeys = None
    topologyKey: Annotated[
        LabelKey, Field(description="The label of nodes whose value is shared, or not shared, with them.")
    ]


class PreferredPods(SpecPart):
    """Pods near which, or far from which, relay pods should run."""

    weight: Annotated[int, Field(ge=1, le=100, description=_WEIGHT)]
    podAffinityTerm: Annotated[PodAffinityTerm, Field(description="The pods that are compared.")]


class PodAffinity(SpecPart):
    """Pods near which, or far from which, relay pods must run, or should."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PodAffinityTerm, ...] | None,
        Field(max_length=8, description="What must hold, at most 8 terms. Default: nothing."),
    ] = None
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PreferredPods, ...] | None,
        Field(max_length=8, description="What is preferred, at most 8 terms. Default: nothing."),
    ] = None


class Affinity(SpecPart):
    """Rules about the nodes of relay pods."""

    nodeAffinity: Annotated[
        NodeAffinity | None, Field(description="Nodes on which relay pods must run, or should. Default: any.")
    ] = None
    podAffinity: Annotated[
        PodAffinity | None,
        Field(description="Pods near which relay pods must run, or should. Default: none."),
    ] = None
    podAntiAffinity: Annotated[
        PodAffinity | None,
        Field(description="Pods far from which relay pods must run, or should. Default: none."),
    ] = None


class Toleration(SpecPart):
    """A taint of nodes that relay pods tolerate."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                _SECONDS_MESSAGE,
                field="tolerationSeconds",
            ),
            cel(
                "has(self.operator) && self.operator == 'Exists' ? !has(self.value) || self.value == ''"
                " : has(self.key)",
                _EXISTS_MESSAGE,
                field="operator",
            ),
        )
    )

    key: Annotated[
        LabelKey | None, Field(description="The key of the taint. Default: every taint, with Exists.")
    ] = None
    operator: Annotated[
        Literal["Exists", "Equal"] | None,
        Field(description="Exists, or Equal: the taint has this value. Default Equal."),
    ] = None
    value: Annotated[
        LabelValue | None, Field(description="The value of the taint, with Equal. Default: empty.")
    ] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="NoSchedule, PreferNoSchedule or NoExecute. Default: every effect."),
    ] = None
    tolerationSeconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=604800,
            description="Seconds for which a pod stays on a node with the effect NoExecute; 0 to 604800. "
            "Default: for ever.",
        ),
    ] = None

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Refuse what Kubernetes refuses in a toleration (CEL: the same)."""
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError(_SECONDS_MESSAGE)
        if bool(self.value) if self.operator == "Exists" else self.key is None:
            raise ValueError(_EXISTS_MESSAGE)
        return self


class TopologySpread(SpecPart):
    """How evenly relay pods are spread over parts of the cluster."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
                _DOMAINS_MESSAGE,
                field="minDomains",
            )
        )
    )

    maxSkew: Annotated[
        int, Field(ge=1, le=100, description="The largest difference between two parts; 1 to 100.")
    ]
    topologyKey: Annotated[LabelKey, Field(description="The label of nodes whose values are the parts.")]
    whenUnsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"],
        Field(description="DoNotSchedule: a pod waits until it fits. ScheduleAnyway: it is a preference."),
    ]
    minDomains: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description="The least number of parts, with DoNotSchedule; 1 to 100. Default: one.",
        ),
    ] = None
    labelSelector: Annotated[LabelSelector | None, Field(description=_SELECTED)] = None
    matchLabelKeys: MatchLabelKeys = None
    nodeAffinityPolicy: Annotated[
        Literal["Honor", "Ignore"] | None,
        Field(
            description="Honor: only nodes that the affinity allows are counted; or Ignore. Default Honor."
        ),
    ] = None
    nodeTaintsPolicy: Annotated[
        Literal["Honor", "Ignore"] | None,
        Field(description="Honor: nodes whose taints are not tolerated are not counted. Default Ignore."),
    ] = None

    @model_validator(mode="after")
    def counts_parts_that_are_required(self) -> Self:
        """Refuse minDomains of a preference (CEL: the same)."""
        if self.minDomains is not None and self.whenUnsatisfiable != "DoNotSchedule":
            raise ValueError(_DOMAINS_MESSAGE)
        return self
