"""Of a WebSocketDomain's spec: settings of relay pods that a platform's policies demand.

There is no free-form pod template: a container, a volume or a variable could make a relay serve past its
metering. Fields that could give relays the identity or the traffic of another workload are restricted:

    serviceAccountName    only accounts whose name says that they are made for relays. A right to write
                          WebSocketDomains is no right to use every identity of the namespace.
    labels                not those by which Services, policies and controllers usually select pods
    annotations           not those by which the operator, kubectl and Kubernetes itself act on pods
    priorityClassName     not Kubernetes' own classes, which preempt the parts of the cluster
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from wsedge_operator.api.meta import Matches, Rule, SecretName, SpecPart
from wsedge_operator.api.spec.affinity import (
    KEYS,
    Affinity,
    Labels,
    Toleration,
    TopologySpread,
    are_keys,
)

# The names of ServiceAccounts that relays may use begin with this; the chart's admission policy has it too.
ACCOUNT_PREFIX: Final = "wsedge-relay"
_SUBDOMAIN: Final = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?"

# Keys and beginnings of keys that other parts of the cluster act on.
_RESERVED_LABELS: Final = (
    "app",
    "k8s-app",
    "run",
    "pod-template-hash",
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
)
_RESERVED_LABEL_PREFIXES: Final = ("wsedge.io/", "pod-security.kubernetes.io/")
_RESERVED_ANNOTATIONS: Final = (
    # A scale-in writes it (domain.scale_in).
    "controller.kubernetes.io/pod-deletion-cost",
    # Written by `kubectl rollout restart`, and therefore not compared with the spec (desired.exact).
    "kubectl.kubernetes.io/restartedAt",
)
# The last two switch off confinement that the pod's own security context asks for.
_RESERVED_ANNOTATION_PREFIXES: Final = (
    "wsedge.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
)
_LABELS_MESSAGE: Final = (
    "these labels are reserved, since Services, policies or the operator select pods by them: "
    + ", ".join((*_RESERVED_LABELS, *(f"{prefix}…" for prefix in _RESERVED_LABEL_PREFIXES)))
)
_ANNOTATIONS_MESSAGE: Final = (
    "these annotations are reserved, since the operator, kubectl or Kubernetes act on them: "
    + ", ".join((*_RESERVED_ANNOTATIONS, *(f"{prefix}…" for prefix in _RESERVED_ANNOTATION_PREFIXES)))
)
_PAIRS_MESSAGE: Final = "name each topologyKey at most once with each whenUnsatisfiable"
_SECRETS_MESSAGE: Final = "name each Secret at most once"


def _free_of(names: tuple[str, ...], prefixes: tuple[str, ...], message: str) -> Rule:
    begins = " || ".join(f"key.startsWith('{prefix}')" for prefix in prefixes)
    return Rule(f"self.all(key, !(key in {list(names)}) && !({begins}))", message)


def _are_free_labels(labels: dict[str, str]) -> dict[str, str]:
    if any(key in _RESERVED_LABELS or key.startswith(_RESERVED_LABEL_PREFIXES) for key in labels):
        raise ValueError(_LABELS_MESSAGE)
    return labels


def _are_free_annotations(annotations: dict[str, str]) -> dict[str, str]:
    if any(
        key in _RESERVED_ANNOTATIONS or key.startswith(_RESERVED_ANNOTATION_PREFIXES) for key in annotations
    ):
        raise ValueError(_ANNOTATIONS_MESSAGE)
    return annotations


PriorityClassName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        rf"(?!system-){_SUBDOMAIN}",
        "name a PriorityClass that does not begin with system-",
        rule=f"self.matches('^(?:{_SUBDOMAIN})$') && !self.startsWith('system-')",
    ),
]
AccountName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        rf"{ACCOUNT_PREFIX}([a-z0-9.-]*[a-z0-9])?",
        f"name a ServiceAccount that is made for relays: its name begins with {ACCOUNT_PREFIX}",
    ),
]


class PullSecret(SpecPart):
    """A Secret with credentials of a registry."""

    name: Annotated[SecretName, Field(description="The name of a Secret of this namespace.")]


def _are_spread_once(spreads: tuple[TopologySpread, ...]) -> tuple[TopologySpread, ...]:
    if len({(spread.topologyKey, spread.whenUnsatisfiable) for spread in spreads}) < len(spreads):
        raise ValueError(_PAIRS_MESSAGE)
    return spreads


def _are_named_once(secrets: tuple[PullSecret, ...]) -> tuple[PullSecret, ...]:
    if len({secret.name for secret in secrets}) < len(secrets):
        raise ValueError(_SECRETS_MESSAGE)
    return secrets


_ATOMIC: Final = {"x-kubernetes-list-type": "atomic"}
_BOTH_WAYS: Final = "The operator's default (chart value relay.pod) has the keys that are not here."


class RelayPod(SpecPart):
    """Settings of relay pods; a change replaces the pods."""

    nodeSelector: Annotated[
        Labels | None,
        Field(description=f"Labels that a node must have, at most 16. {_BOTH_WAYS}"),
    ] = None
    tolerations: Annotated[
        tuple[Toleration, ...] | None,
        Field(
            max_length=16,
            description="Taints of nodes that the pods tolerate, at most 16. Default: the operator's.",
            json_schema_extra=_ATOMIC,
        ),
    ] = None
    affinity: Annotated[
        Affinity | None,
        Field(
            description="Rules about the nodes of the pods, as in Kubernetes. Of nodeAffinity, podAffinity "
            "and podAntiAffinity, each that is not here is the operator's default."
        ),
    ] = None
    topologySpreadConstraints: Annotated[
        tuple[TopologySpread, ...] | None,
        Field(
            max_length=8,
            description="How the pods are spread, at most 8; [] for not at all. Default: the operator's, or "
            "else over zones and nodes, as a preference.",
            json_schema_extra=_ATOMIC,
        ),
        Rule(
            "self.all(a, self.exists_one(b, a.topologyKey == b.topologyKey"
            " && a.whenUnsatisfiable == b.whenUnsatisfiable))",
            _PAIRS_MESSAGE,
        ),
        AfterValidator(lambda spreads: spreads and _are_spread_once(spreads)),
    ] = None
    priorityClassName: Annotated[
        PriorityClassName | None,
        Field(
            description="The PriorityClass of the pods; not Kubernetes' own classes (system-…). Default: the "
            "operator's, or else the cluster's."
        ),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(
            max_length=16,
            description=f"Annotations of the pods, at most 16 of 4096 characters. {_BOTH_WAYS}",
        ),
        KEYS,
        _free_of(_RESERVED_ANNOTATIONS, _RESERVED_ANNOTATION_PREFIXES, _ANNOTATIONS_MESSAGE),
        AfterValidator(lambda found: found and _are_free_annotations(are_keys(found))),
    ] = None
    labels: Annotated[
        Labels | None,
        Field(description=f"Labels of the pods, at most 16. {_BOTH_WAYS}"),
        _free_of(_RESERVED_LABELS, _RESERVED_LABEL_PREFIXES, _LABELS_MESSAGE),
        AfterValidator(lambda labels: labels and _are_free_labels(labels)),
    ] = None
    imagePullSecrets: Annotated[
        tuple[PullSecret, ...] | None,
        Field(
            max_length=8,
            description="Secrets of this namespace with credentials of the registry, at most 8. Default: the "
            "operator's.",
            json_schema_extra=_ATOMIC,
        ),
        Rule("self.all(a, self.exists_one(b, a.name == b.name))", _SECRETS_MESSAGE),
        AfterValidator(lambda secrets: secrets and _are_named_once(secrets)),
    ] = None
    serviceAccountName: Annotated[
        AccountName | None,
        Field(
            description=f"A ServiceAccount of this namespace whose name begins with {ACCOUNT_PREFIX}. The "
            "pods have no token of it for the API server. Default: the operator's, or else an account that "
            "the operator creates."
        ),
    ] = None
    terminationGracePeriodSeconds: Annotated[
        int | None,
        Field(
            ge=45,
            le=86400,
            description="Seconds after which a relay that hangs is killed; 45 to 86400, and at least 45 more "
            "than lifecycle.drainSeconds. Default: enough for the drain, or the operator's if that is more.",
        ),
    ] = None

    def over(self, default: RelayPod) -> RelayPod:
        """Return these settings with `default` where they have none: maps by key, all else as a whole."""
        merged: dict[str, object] = {
            name: getattr(self if getattr(self, name) is not None else default, name)
            for name in RelayPod.model_fields
        }
        for name in ("nodeSelector", "annotations", "labels"):
            if getattr(self, name) is not None:
                merged[name] = {**(getattr(default, name) or {}), **getattr(self, name)}
        if self.affinity is not None and default.affinity is not None:
            own = {name: getattr(self.affinity, name) for name in Affinity.model_fields}
            merged["affinity"] = default.affinity.model_copy(
                update={name: part for name, part in own.items() if part is not None}
            )
        return self.model_copy(update=merged)


NO_POD_SETTINGS: Final = RelayPod()
