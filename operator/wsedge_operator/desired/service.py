"""The Service of the relays: the address for clients, DNS records and load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.desired.names import HTTP_PORT, HTTPS_PORT, child_metadata, selector_labels

HTTP_SERVICE_PORT: Final = 80
HTTPS_SERVICE_PORT: Final = 443


def service(owner: Mapping[str, Any], *, tls: bool) -> dict[str, Any]:
    """Return the Service of the relays: port 80, and 443 if `tls`."""
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
