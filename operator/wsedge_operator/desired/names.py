"""Names, labels and annotations of what the operator makes for a WebSocketDomain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.meta import API_VERSION
from wsedge_operator.api.websocket_domain import KIND

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "wsedge"
APP_LABEL: Final = "app.kubernetes.io/name"
APP: Final = "wsedge-relay"
DOMAIN_LABEL: Final = "wsedge.io/domain-name"

# On each child: a hash of what was applied, so that a field which is no longer wanted is noticed too.
DESIRED_ANNOTATION: Final = "wsedge.io/desired"
# On the ConfigMap: the generation of its RelayConfig. On a pod: the generation it was last poked for.
GENERATION_ANNOTATION: Final = "wsedge.io/generation"
# On a pod: when it was last poked (UTC, RFC 3339).
POKED_ANNOTATION: Final = "wsedge.io/poked-at"
# On the ConfigMap: since when the relays are told to drain (UTC, RFC 3339).
DRAIN_ANNOTATION: Final = "wsedge.io/draining-since"

# On a Deployment that somebody else scales: the spec.relay.replicas of that time, so that an edit is noticed.
ASKED_REPLICAS_ANNOTATION: Final = "wsedge.io/asked-replicas"

HTTP_PORT: Final = 8080
HTTPS_PORT: Final = 8443
ADMIN_PORT: Final = 9090


def child_name(domain_name: str) -> str:
    """Return the name that all children of the WebSocketDomain of this name have."""
    return f"{domain_name}-relay"


def selector_labels(domain_name: str) -> dict[str, str]:
    """Return the labels by which the relay pods of a WebSocketDomain are found."""
    return {APP_LABEL: APP, DOMAIN_LABEL: domain_name}


def child_labels(domain_name: str) -> dict[str, str]:
    """Return the labels of every child of a WebSocketDomain, pods included."""
    return {**selector_labels(domain_name), MANAGED_BY_LABEL: MANAGED_BY}


def child_metadata(owner: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the metadata of a child: it lies beside its WebSocketDomain `owner` and goes with it."""
    metadata = owner["metadata"]
    made: dict[str, Any] = {
        "name": child_name(metadata["name"]),
        "namespace": metadata["namespace"],
        "labels": child_labels(metadata["name"]),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        made["annotations"] = dict(annotations)
    return made
