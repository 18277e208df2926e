"""The NetworkPolicy of the relays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsedge_operator.desired.names import (
    ADMIN_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    child_metadata,
    selector_labels,
)


def network_policy(owner: Mapping[str, Any], admin_peers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the NetworkPolicy: client ports are open to all, the admin port only to `admin_peers`.

    Probes need no rule: traffic from a pod's own node is always allowed (Kubernetes docs, Network Policies).
    Egress has no rule: an origin may have any address, and relays themselves refuse `deniedNetworks`.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": child_metadata(owner),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(owner["metadata"]["name"])},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "ports": [
                        {"protocol": "TCP", "port": HTTP_PORT},
                        {"protocol": "TCP", "port": HTTPS_PORT},
                    ]
                },
                {
                    "ports": [{"protocol": "TCP", "port": ADMIN_PORT}],
                    "from": [dict(peer) for peer in admin_peers],
                },
            ],
        },
    }
