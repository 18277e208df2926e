"""The names of Services, Secrets and Gateways in the spec of a WebSocketDomain.

The snapshot reads these objects, and a change of one triggers the domain. The names are read from the stored
JSON, not from the model: a change of a Secret must also trigger a domain whose spec is invalid.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from wsedge_operator.api.reading import part_at
from wsedge_operator.reconcile.outcome import Manifest

_SECRETS: Final = (
    ("spec", "tls", "secretName"),
    ("spec", "originTLS", "caSecretName"),
    ("spec", "originTLS", "clientCertificateSecretName"),
)


def service_names(live: Manifest) -> tuple[str, ...]:
    """Return the sorted names of the Services in `spec.origins` of a live WebSocketDomain."""
    origins = part_at(live, "spec", "origins")
    listed = origins if isinstance(origins, list) else []
    return _names(part_at(origin, "service", "name") for origin in listed)


def secret_names(live: Manifest) -> tuple[str, ...]:
    """Return the sorted names of the Secrets with key material of a live WebSocketDomain."""
    return _names(part_at(live, *path) for path in _SECRETS)


def gateway_names(live: Manifest) -> frozenset[tuple[str, str]]:
    """Return namespace and name of the Gateways in `spec.exposure.gateway` of a live WebSocketDomain."""
    parents = part_at(live, "spec", "exposure", "gateway", "parentRefs")
    return frozenset(
        (str(part_at(parent, "namespace") or live["metadata"]["namespace"]), str(part_at(parent, "name")))
        for parent in (parents if isinstance(parents, list) else ())
        if part_at(parent, "kind") in {None, "Gateway"}
    )


def _names(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({name for name in found if isinstance(name, str)}))
