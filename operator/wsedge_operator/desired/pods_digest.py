"""Digests by which a change of the operator is told from an edit of a spec.

A pod template depends on the spec and on the operator: its image, its default settings of pods, its code. All
digests are the first 16 hex digits of a SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.deployment import RelayImage, deployment, grace_seconds

# A spec with every part that the template depends on, so that a change of the code for any part is noticed.
_SAMPLE: Final = WebSocketDomainSpec.model_validate(
    {
        "domain": "sample.example.com",
        "websocket": {"enabled": True, "originProtocol": "HTTP"},
        "origins": [{"host": "origin.example.com"}],
        "relay": {
            "workers": 2,
            "resources": {"requests": {"cpu": 1}},
            "geo": {"volumeClaimName": "geo", "ip2region": "a", "city": "b", "isp": "c"},
        },
    }
)
_SAMPLE_OWNER: Final = {"metadata": {"name": "sample", "namespace": "sample", "uid": "sample"}}


def digest(value: Any) -> str:
    """Return the digest of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def template_digest(manifest: Mapping[str, Any]) -> str:
    """Return the digest of the pod template of a Deployment's manifest."""
    return digest(manifest["spec"]["template"])


def asked_digest(spec: WebSocketDomainSpec) -> str:
    """Return the digest of what a spec asks of its pods.

    It must be the same in the next release: all domains would count as edited at once otherwise, and be
    rolled out at once. So it has only what the spec sets, and a new optional field changes it for no domain
    that does not use the field.
    """
    relay = spec.relay.model_dump(
        mode="json", include={"workers", "resources", "geo", "pod"}, exclude_none=True, exclude_defaults=True
    )
    return digest({"relay": relay, "graceSeconds": grace_seconds(spec.lifecycle.drainSeconds)})


def operator_version(image: RelayImage, pod_default: RelayPod) -> str:
    """Return the digest of the operator's part of every pod template: it names one upgrade or change."""
    return template_digest(deployment(_SAMPLE_OWNER, _SAMPLE, image, pod_default=pod_default))
