"""Annotations by which external-dns publishes the domain at an entrance.

external-dns reads host names from the annotation of a Service, and from the spec of an Ingress or a route,
where the annotation says the same once more; it reads the TTL from the annotation alone (its package
`source`). A Service of type ClusterIP is published only where external-dns runs with
--publish-internal-services.
"""

from __future__ import annotations

from collections.abc import Mapping

from wsedge_operator.api.spec.exposure import DNS_PREFIXES
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec


def dns_annotations(spec: WebSocketDomainSpec) -> dict[str, str]:
    """Return the annotations for external-dns of every release; none where `spec` asks for none."""
    dns = spec.exposure.dns if spec.exposure is not None else None
    if dns is None:
        return {}
    values = {"hostname": spec.domain}
    if dns.ttlSeconds is not None:
        values["ttl"] = str(dns.ttlSeconds)
    return {f"{prefix}{name}": value for prefix in DNS_PREFIXES for name, value in values.items()}


def with_dns(annotations: Mapping[str, str] | None, spec: WebSocketDomainSpec) -> dict[str, str]:
    """Return a user's annotations with those for external-dns, which a valid spec does not have itself."""
    return {**(annotations or {}), **dns_annotations(spec)}
