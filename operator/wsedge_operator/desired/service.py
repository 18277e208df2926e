"""The Service of the relays: the address for clients, DNS records and load balancers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.spec.exposure import ServiceExposure
from wsedge_operator.desired.names import HTTP_PORT, HTTPS_PORT, child_metadata, selector_labels

HTTP_SERVICE_PORT: Final = 80
HTTPS_SERVICE_PORT: Final = 443


def service(
    owner: Mapping[str, Any],
    *,
    tls: bool,
    exposure: ServiceExposure | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the Service of the relays: port 80, and 443 if `tls`; without `exposure` it is a ClusterIP.

    Ports of nodes and addresses have no field here: the API server and the load balancer's controller write
    them, and they stay as they are.
    """
    ports = [{"name": "http", "protocol": "TCP", "port": HTTP_SERVICE_PORT, "targetPort": HTTP_PORT}]
    if tls:
        ports.append(
            {"name": "https", "protocol": "TCP", "port": HTTPS_SERVICE_PORT, "targetPort": HTTPS_PORT}
        )
    made: dict[str, Any] = {
        "type": "ClusterIP",
        "selector": selector_labels(owner["metadata"]["name"]),
        "ports": ports,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(owner, annotations),
        "spec": {**made, **_exposed(exposure)},
    }


def _exposed(exposure: ServiceExposure | None) -> dict[str, Any]:
    """Return the fields of a Service's spec that a user's `exposure` has."""
    if exposure is None:
        return {}
    return exposure.model_dump(mode="json", exclude={"annotations"}, exclude_none=True)
