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
    """Return the NetworkPolicy: the ports for clients are open, the admin port only to `admin_peers`.

    A node reaches its own pods in spite of a policy, so that probes need no rule. Egress has no rule either:
    an origin may be anywhere, and the relays themselves refuse `deniedNetworks`.
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
