"""The Deployment of the relays of a WebSocketDomain.

The pod template does not depend on the configuration that the relays serve: a change of it replaces all pods,
which closes connections, and a new configuration, certificate or drain time must close none. The template
depends only on workers, resources, the volume of geo databases, the settings of pods (`spec.relay.pod`, and
the operator's default for it), the image and the step of the grace period (see `grace_seconds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsedge_operator.api.spec.geo import Geo
from wsedge_operator.api.spec.pod import NO_POD_SETTINGS, RelayPod
from wsedge_operator.api.spec.relay import Relay
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.names import (
    ADMIN_PORT,
    ASKED_REPLICAS_ANNOTATION,
    HTTP_PORT,
    HTTPS_PORT,
    child_labels,
    child_metadata,
    child_name,
    selector_labels,
)
from wsedge_operator.desired.pod_settings import pod_settings
from wsedge_operator.desired.relay_config import CONFIG_KEY
from wsedge_relay.contract import AFTER_DRAIN_SECONDS
from wsedge_statistics.contract import TOKEN_AUDIENCE

CONTAINER: Final = "relay"
_GRACE_STEPS: Final = (60, 300, 900, 3600)
_SPOOL_MEBIBYTES: Final = 64  # of each worker process
_TOKEN_SECONDS: Final = 3600

# Without this annotation the cluster autoscaler does not remove a node that has a pod with an emptyDir. The
# spool is empty when its pod ends: an evicted relay drains, then reports the usage in the spool.
_EVICTABLE: Final = {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "spool"}

_CONFIG_DIR: Final = "/etc/wsedge/config"
_SECRETS_DIR: Final = "/etc/wsedge/secrets"
_TOKEN_DIR: Final = "/var/run/secrets/wsedge.io"  # noqa: S105  a folder, not a secret
_SPOOL_DIR: Final = "/var/spool/wsedge"
_GEO_DIR: Final = "/var/lib/wsedge/geo"


@dataclass(frozen=True, slots=True)
class RelayImage:
    """The image of the relays, their pull policy and their user (None: the cluster assigns one)."""

    name: str
    pull_policy: str = "IfNotPresent"
    user: int | None = 65532


def grace_seconds(drain_seconds: int) -> int:
    """Return terminationGracePeriodSeconds: the drain time, rounded up to a step, and AFTER_DRAIN_SECONDS.

    A relay ends by itself after its drain; the grace period only bounds a relay that hangs. It is rounded
    because it is in the pod template: an edit of drainSeconds then seldom replaces the pods.
    """
    return next(step for step in _GRACE_STEPS if drain_seconds <= step) + AFTER_DRAIN_SECONDS


def deployment(
    owner: Mapping[str, Any],
    spec: WebSocketDomainSpec,
    image: RelayImage,
    *,
    pod_default: RelayPod = NO_POD_SETTINGS,
    replicas: int | None = None,
    is_scaled_from_outside: bool = False,
) -> dict[str, Any]:
    """Return the Deployment; it passes the `restricted` Pod Security Standard.

    `pod_default` has the settings of pods that the spec does not set, `replicas` is in place of
    spec.relay.replicas. With `is_scaled_from_outside` it has no number of replicas: another client scales the
    Deployment.
    """
    name = owner["metadata"]["name"]
    pod = (spec.relay.pod or RelayPod()).over(pod_default)
    replicas = spec.relay.replicas if replicas is None else replicas
    asked = str(spec.relay.replicas)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(
            owner, {ASKED_REPLICAS_ANNOTATION: asked} if is_scaled_from_outside else None
        ),
        "spec": {
            **({} if is_scaled_from_outside else {"replicas": replicas}),
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector_labels(name)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": {
                "metadata": {
                    "labels": {**(pod.labels or {}), **child_labels(name)},
                    "annotations": {**_EVICTABLE, **(pod.annotations or {})},
                },
                "spec": _pod(name, spec, image, pod, _grace(spec, pod_default)),
            },
        },
    }


def _grace(spec: WebSocketDomainSpec, pod_default: RelayPod) -> int:
    """Return terminationGracePeriodSeconds: the spec's, else the step for the drain or a longer default."""
    if spec.relay.pod is not None and (asked := spec.relay.pod.terminationGracePeriodSeconds) is not None:
        return asked
    return max(grace_seconds(spec.lifecycle.drainSeconds), pod_default.terminationGracePeriodSeconds or 0)


def _pod(
    name: str, spec: WebSocketDomainSpec, image: RelayImage, pod: RelayPod, grace: int
) -> dict[str, Any]:
    return {
        "serviceAccountName": pod.serviceAccountName or child_name(name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace,
        "securityContext": {
            "runAsNonRoot": True,
            **(
                {}
                if image.user is None
                else dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), image.user)
            ),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **pod_settings(name, pod),
        "containers": [_container(spec, image)],
        "volumes": _volumes(name, spec.relay),
    }


def _container(spec: WebSocketDomainSpec, image: RelayImage) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["wsedge-relay"],
        "env": [*_environment(), *_workers_environment(spec.relay), *_geo_environment(spec.relay.geo)],
        "ports": [
            {"name": "http", "protocol": "TCP", "containerPort": HTTP_PORT},
            {"name": "https", "protocol": "TCP", "containerPort": HTTPS_PORT},
            {"name": "admin", "protocol": "TCP", "containerPort": ADMIN_PORT},
        ],
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "readinessProbe": _probe("/readyz", period=2, failures=1),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": _CONFIG_DIR, "readOnly": True},
            {"name": "secrets", "mountPath": _SECRETS_DIR, "readOnly": True},
            {"name": "token", "mountPath": _TOKEN_DIR, "readOnly": True},
            {"name": "spool", "mountPath": _SPOOL_DIR},
        ],
    }
    if spec.relay.geo is not None:
        container["volumeMounts"].append({"name": "geo", "mountPath": _GEO_DIR, "readOnly": True})
    if spec.relay.resources is not None:
        container["resources"] = spec.relay.resources.model_dump(mode="json", exclude_none=True)
    return container


def _environment() -> list[dict[str, Any]]:
    def field(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}

    return [
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_NAME", "metadata.name"),
        field("POD_UID", "metadata.uid"),
        field("POD_IP", "status.podIP"),
        {"name": "WSEDGE_RELAY_CONFIG", "value": f"{_CONFIG_DIR}/{CONFIG_KEY}"},
        {"name": "WSEDGE_RELAY_SECRETS_DIR", "value": _SECRETS_DIR},
        {"name": "WSEDGE_RELAY_SPOOL_DIR", "value": _SPOOL_DIR},
        {"name": "WSEDGE_RELAY_TOKEN_FILE", "value": f"{_TOKEN_DIR}/token"},
        {"name": "WSEDGE_RELAY_HOST", "value": "$(POD_IP)"},
        {"name": "WSEDGE_RELAY_POD_NAME", "value": "$(POD_NAMESPACE)/$(POD_NAME)"},
        {"name": "WSEDGE_RELAY_POD_UID", "value": "$(POD_UID)"},
    ]


def _workers_environment(relay: Relay) -> list[dict[str, Any]]:
    # One worker process adds no variable: an upgrade from a release without this setting replaces no pod.
    return [{"name": "WSEDGE_RELAY_WORKERS", "value": str(relay.workers)}] if relay.workers > 1 else []


def _geo_environment(geo: Geo | None) -> list[dict[str, Any]]:
    if geo is None:
        return []
    files = (("IP2REGION", geo.ip2region), ("CITY", geo.city), ("ISP", geo.isp))
    return [
        {"name": f"WSEDGE_RELAY_GEO_{kind}", "value": f"{_GEO_DIR}/{file}"}
        for kind, file in files
        if file is not None
    ]


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": ADMIN_PORT, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _volumes(name: str, relay: Relay) -> list[dict[str, Any]]:
    child = child_name(name)
    claimed = [] if relay.geo is None else [_claimed(relay.geo.volumeClaimName)]
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    return [
        {"name": "config", "configMap": {"name": child, "defaultMode": 0o444}},
        # Optional, so that pods start before the Secret exists.
        {"name": "secrets", "secret": {"secretName": child, "optional": True, "defaultMode": 0o440}},
        {
            "name": "token",
            "projected": {"defaultMode": 0o440, "sources": [{"serviceAccountToken": token}]},
        },
        {"name": "spool", "emptyDir": {"sizeLimit": f"{_SPOOL_MEBIBYTES * relay.workers}Mi"}},
        *claimed,
    ]


def _claimed(claim: str) -> dict[str, Any]:
    return {"name": "geo", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
