"""The Service of the relays, their identity, their key material, who reaches them, how many may be away."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from wsedge_operator.desired.names import (
    ADMIN_PORT,
    HTTP_PORT,
    HTTPS_PORT,
    child_metadata,
    selector_labels,
)

HTTP_SERVICE_PORT: Final = 80
HTTPS_SERVICE_PORT: Final = 443


def service(owner: Mapping[str, Any], *, tls: bool) -> dict[str, Any]:
    """Return the Service that leads to the relays: port 80, and 443 where they take wss."""
    ports = [{"name": "http", "protocol": "TCP", "port": HTTP_SERVICE_PORT, "targetPort": HTTP_PORT}]
    if tls:
        ports.append(
            {"name": "https", "protocol": "TCP", "port": HTTPS_SERVICE_PORT, "targetPort": HTTPS_PORT}
        )
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(owner),
        "spec": {
            "type": "ClusterIP",
            "selector": selector_labels(owner["metadata"]["name"]),
            "ports": ports,
        },
    }


def service_account(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the relays' identity. They show it to the statistics and never talk to the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": child_metadata(owner),
        "automountServiceAccountToken": False,
    }


def secret(owner: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the Secret that gathers all key material of the relays, by file name."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": child_metadata(owner),
        "data": {key: base64.b64encode(contents[key]).decode() for key in sorted(contents)},
    }


def disruption_budget(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budget: one relay at a time may be evicted, a broken one always.

    For two relays and more; with a single one it would keep every node from being drained.
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


def network_policy(owner: Mapping[str, Any], admin_peers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the NetworkPolicy: clients come from everywhere, to the admin port only `admin_peers`.

    A node reaches its own pods whatever a policy says, so that probes need no rule. Where relays dial is
    for `deniedNetworks` to say: an origin may be anywhere else.
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
