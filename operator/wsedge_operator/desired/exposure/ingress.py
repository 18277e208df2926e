"""The Ingress to the relays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsedge_operator.api.spec.exposure import IngressExposure, TLSMode
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.exposure.dns import with_dns
from wsedge_operator.desired.names import child_metadata, child_name


def ingress(
    owner: Mapping[str, Any], spec: WebSocketDomainSpec, exposure: IngressExposure, *, api_version: str
) -> dict[str, Any]:
    """Return the Ingress: every path of the domain leads to the relays' Service.

    With `spec.tls` the Ingress controller terminates TLS with the same Secret, or passes it through: an entry
    without a Secret asks for routing by the name in the TLS handshake (networking.k8s.io/v1, IngressTLS).
    """
    port, tls = "http", dict[str, Any]()
    if spec.tls is not None:
        tls["hosts"] = [spec.domain]
        if exposure.tls is TLSMode.PASSTHROUGH:
            port = "https"
        else:
            tls["secretName"] = spec.tls.secretName
    backend = {"service": {"name": child_name(owner["metadata"]["name"]), "port": {"name": port}}}
    rule = {
        "host": spec.domain,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    made: dict[str, Any] = {"rules": [rule]}
    if exposure.className is not None:
        made["ingressClassName"] = exposure.className
    if tls:
        made["tls"] = [tls]
    return {
        "apiVersion": api_version,
        "kind": "Ingress",
        "metadata": child_metadata(owner, with_dns(exposure.annotations, spec)),
        "spec": made,
    }
