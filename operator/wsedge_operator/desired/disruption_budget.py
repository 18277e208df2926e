"""The PodDisruptionBudget of the relays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsedge_operator.desired.names import child_metadata, selector_labels


def disruption_budget(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budget: one relay at a time may be evicted, and an unready relay at any time.

    Only for two or more relays: the budget of a single relay with `maxUnavailable: 1` would protect nothing.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(owner),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector_labels(owner["metadata"]["name"])},
        },
    }
