"""Refused WebSocketDomains: settings of relay pods."""

from __future__ import annotations

from typing import Any, Final

from support.operator.manifests.manifest import Invalid


def _pod(**settings: Any) -> dict[str, Any]:
    return {"spec.relay": {"pod": settings}}


def _nodes(**requirement: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": "disk", **requirement}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return _pod(affinity={"nodeAffinity": required})


def _spread(**changes: Any) -> dict[str, Any]:
    return {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", **changes}


_NODE_VALUES: Final = (
    "In and NotIn need values; Exists and DoesNotExist have none; Gt and Lt need one integer"
)
_RESERVED: Final = "these labels are reserved"
_ACTED_ON: Final = "these annotations are reserved"
INVALID_PODS: Final[dict[str, Invalid]] = {
    "a node's label has a key": Invalid(
        _pod(nodeSelector={"a b": "c"}), "give the key of a label", field="nodeSelector"
    ),
    "a key has a name after its slash": Invalid(
        _pod(nodeSelector={"example.com/": "c"}), "give the key of a label", field="nodeSelector"
    ),
    "a label has a key": Invalid(_pod(labels={"a b": "c"}), "give the key of a label", field="labels"),
    "a label's value has no space": Invalid(
        _pod(labels={"team": "a b"}), "give the value of a label", field="labels"
    ),
    "a label of the operator": Invalid(
        _pod(labels={"wsedge.io/domain-name": "x"}), _RESERVED, field="labels"
    ),
    "a label by which a Service of the namespace may select": Invalid(
        _pod(labels={"app": "payments"}), _RESERVED, field="labels"
    ),
    "the label that selects relays": Invalid(
        _pod(labels={"app.kubernetes.io/name": "x"}), _RESERVED, field="labels"
    ),
    "an annotation of the operator": Invalid(
        _pod(annotations={"wsedge.io/poked-at": "x"}), _ACTED_ON, field="annotations"
    ),
    "the annotation of kubectl rollout restart": Invalid(
        _pod(annotations={"kubectl.kubernetes.io/restartedAt": "x"}), _ACTED_ON, field="annotations"
    ),
    "an annotation that removes AppArmor": Invalid(
        _pod(annotations={"container.apparmor.security.beta.kubernetes.io/relay": "unconfined"}),
        _ACTED_ON,
        field="annotations",
    ),
    "an annotation's key has no space": Invalid(
        _pod(annotations={"a b": "c"}), "give the key of a label", field="annotations"
    ),
    "another workload's identity": Invalid(
        _pod(serviceAccountName="payments"), "its name begins with wsedge-relay", field="serviceAccountName"
    ),
    "a class that preempts the cluster's own parts": Invalid(
        _pod(priorityClassName="system-cluster-critical"),
        "name a PriorityClass that does not begin with system-",
        field="priorityClassName",
    ),
    "a pull secret twice": Invalid(
        _pod(imagePullSecrets=[{"name": "a"}, {"name": "a"}]),
        "name each Secret at most once",
        field="Secrets",
    ),
    "a grace period shorter than the drain": Invalid(
        _pod(terminationGracePeriodSeconds=74), "at least 45 more than lifecycle.drainSeconds", field="spec"
    ),
    "a grace period shorter than the last report": Invalid(
        _pod(terminationGracePeriodSeconds=44),
        "should be greater than or equal to 45",
        field="terminationGracePeriodSeconds",
    ),
    "a grace period of more than a day": Invalid(
        _pod(terminationGracePeriodSeconds=86401),
        "should be less than or equal to 86400",
        field="terminationGracePeriodSeconds",
    ),
    "In without values": Invalid(_nodes(operator="In"), _NODE_VALUES, field="matchExpressions"),
    "Exists with values": Invalid(
        _nodes(operator="Exists", values=["ssd"]), _NODE_VALUES, field="matchExpressions"
    ),
    "Gt with a word": Invalid(_nodes(operator="Gt", values=["ssd"]), _NODE_VALUES, field="matchExpressions"),
    "an operator that Kubernetes does not have": Invalid(
        _nodes(operator="Like", values=["ssd"]),
        'Unsupported value: "Like"',
        "Input should be 'In'",
        field="operator",
    ),
    "a selector of pods without values": Invalid(
        _pod(
            affinity={
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "topologyKey": "zone",
                            "labelSelector": {"matchExpressions": [{"key": "team", "operator": "In"}]},
                        }
                    ]
                }
            }
        ),
        "In and NotIn need values; Exists and DoesNotExist have none",
        field="matchExpressions",
    ),
    "a preference without weight": Invalid(
        _pod(
            affinity={
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 0,
                            "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
                        }
                    ]
                }
            }
        ),
        "should be greater than or equal to 1",
        field="weight",
    ),
    "a toleration of seconds for another effect": Invalid(
        _pod(tolerations=[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]),
        "tolerationSeconds needs effect: NoExecute",
        field="tolerations",
    ),
    "a toleration of nothing": Invalid(
        _pod(tolerations=[{"value": "x"}]),
        "a toleration without a key needs operator: Exists",
        field="tolerations",
    ),
    "a toleration that exists, with a value": Invalid(
        _pod(tolerations=[{"key": "a", "operator": "Exists", "value": "x"}]),
        "and Exists has no value",
        field="tolerations",
    ),
    "a spread without a skew": Invalid(
        _pod(topologySpreadConstraints=[_spread(maxSkew=0)]),
        "should be greater than or equal to 1",
        field="maxSkew",
    ),
    "the least number of parts as a preference": Invalid(
        _pod(topologySpreadConstraints=[_spread(minDomains=2)]),
        "minDomains needs whenUnsatisfiable: DoNotSchedule",
        field="topologySpreadConstraints",
    ),
    "a spread twice": Invalid(
        _pod(topologySpreadConstraints=[_spread(), _spread(maxSkew=2)]),
        "name each topologyKey at most once",
        field="topologySpreadConstraints",
    ),
    "a key that tells no rollout from another": Invalid(
        _pod(topologySpreadConstraints=[_spread(matchLabelKeys=["team"])]),
        "give pod-template-hash",
        field="matchLabelKeys",
    ),
}
