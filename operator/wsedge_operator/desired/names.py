"""Names, labels and annotations of the children of a WebSocketDomain."""

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

# On each child: the hash of the manifest that was applied. Without it, a field that is no longer desired
# would not be noticed: the live object still has every desired value.
DESIRED_ANNOTATION: Final = "wsedge.io/desired"
# On the ConfigMap: the generation of its RelayConfig. On a pod: the generation of the last poke.
GENERATION_ANNOTATION: Final = "wsedge.io/generation"
# On a pod: the time of the last poke (UTC, RFC 3339).
POKED_ANNOTATION: Final = "wsedge.io/poked-at"
# On the ConfigMap: the start of the drain (UTC, RFC 3339).
DRAIN_ANNOTATION: Final = "wsedge.io/draining-since"

# On a Deployment that another client scales: spec.relay.replicas at that time, so that a later edit is
# noticed.
ASKED_REPLICAS_ANNOTATION: Final = "wsedge.io/asked-replicas"

# On a Deployment: the digest of the pod template that was written, and of what the spec asks of pods
# (desired.pods_digest). They tell a change of the operator from an edit of the spec.
TEMPLATE_ANNOTATION: Final = "wsedge.io/template"
ASKED_PODS_ANNOTATION: Final = "wsedge.io/asked-pods"
# On a Deployment whose pods a change of the operator replaces: the operator's version and the time (UTC).
ROLLOUT_ANNOTATION: Final = "wsedge.io/rollout"
# On a WebSocketDomain, by an administrator: its failed rollout holds up no other domain.
ROLLOUT_FAILURE_ANNOTATION: Final = "wsedge.io/rollout-failure"

# The key of the second Secret among children, which else have their kinds.
ADMIN_SECRET: Final = "AdminSecret"  # noqa: S105  a key

HTTP_PORT: Final = 8080
HTTPS_PORT: Final = 8443
ADMIN_PORT: Final = 9090


def child_name(domain_name: str) -> str:
    """Return the name of the children of the WebSocketDomain `domain_name`, but for `admin_name`."""
    return f"{domain_name}-relay"


def admin_name(domain_name: str) -> str:
    """Return the name of the child Secret for people: the token and no key (`secret.admin_secret`)."""
    return f"{child_name(domain_name)}-admin"


def child_key(child: Mapping[str, Any], domain_name: str) -> str:
    """Return the key of a child among the children of a domain: its kind, or ADMIN_SECRET."""
    is_for_people = child["kind"] == "Secret" and child["metadata"]["name"] == admin_name(domain_name)
    return ADMIN_SECRET if is_for_people else str(child["kind"])


def selector_labels(domain_name: str) -> dict[str, str]:
    """Return the labels that select the relay pods of a WebSocketDomain."""
    return {APP_LABEL: APP, DOMAIN_LABEL: domain_name}


def child_labels(domain_name: str) -> dict[str, str]:
    """Return the labels of every child of a WebSocketDomain, pods included."""
    return {**selector_labels(domain_name), MANAGED_BY_LABEL: MANAGED_BY}


def child_metadata(owner: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the metadata of a child: in the namespace of `owner`, and garbage-collected with it."""
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
