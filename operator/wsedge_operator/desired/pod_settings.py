"""The settings of `spec.relay.pod` in a pod template.

The template has a field only where the spec or the operator's default sets it, so that a release that adds a
field replaces no pod.
"""

from __future__ import annotations

from typing import Any, Final

from wsedge_operator.api.spec.affinity import PodAffinity, PodAffinityTerm, TopologySpread
from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.desired.names import selector_labels

# Fields of RelayPod that a pod has under the same name and in the same form.
_SAME: Final = ("nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets")


def pod_settings(name: str, pod: RelayPod) -> dict[str, Any]:
    """Return the fields of a pod's spec that `pod` sets, for the relays of the WebSocketDomain `name`."""
    dumped = pod.model_dump(mode="json", exclude_none=True)
    made = {field: dumped[field] for field in _SAME if dumped.get(field)}
    if dumped.get("affinity"):
        affinity = dict(dumped["affinity"])
        for field in ("podAffinity", "podAntiAffinity"):
            if (found := getattr(pod.affinity, field)) is not None:
                affinity[field] = _pod_affinity(name, found)
        made["affinity"] = affinity
    spreads = _default_spreads(name)
    if pod.topologySpreadConstraints is not None:
        spreads = [_spread(name, spread) for spread in pod.topologySpreadConstraints]
    if spreads:
        made["topologySpreadConstraints"] = spreads
    return made


def _default_spreads(name: str) -> list[dict[str, Any]]:
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector_labels(name)},
            # During a rollout old and new pods are spread separately. Spread together, the new pods would
            # avoid the nodes of the old ones, and be unbalanced once those end.
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _spread(name: str, spread: TopologySpread) -> dict[str, Any]:
    return _selecting(name, spread.model_dump(mode="json", exclude_none=True))


def _pod_affinity(name: str, affinity: PodAffinity) -> dict[str, Any]:
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution
    preferred = affinity.preferredDuringSchedulingIgnoredDuringExecution
    made: dict[str, Any] = {}
    if required is not None:
        made["requiredDuringSchedulingIgnoredDuringExecution"] = [_term(name, term) for term in required]
    if preferred is not None:
        made["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": each.weight, "podAffinityTerm": _term(name, each.podAffinityTerm)}
            for each in preferred
        ]
    return made


def _term(name: str, term: PodAffinityTerm) -> dict[str, Any]:
    return _selecting(name, term.model_dump(mode="json", exclude_none=True))


def _selecting(name: str, made: dict[str, Any]) -> dict[str, Any]:
    # To Kubernetes no selector means no pod, which would make the rule idle.
    made.setdefault("labelSelector", {"matchLabels": selector_labels(name)})
    return made
