"""Which Services and Secrets a WebSocketDomain names: for its snapshot, and for changes that concern it.

The object is read as it is stored, since a change of a Secret must also reach a domain whose spec this
version cannot read as a whole.
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
    """Return the names of the Services that the origins of a live WebSocketDomain are at."""
    origins = part_at(live, "spec", "origins")
    listed = origins if isinstance(origins, list) else []
    return _names(part_at(origin, "service", "name") for origin in listed)


def secret_names(live: Manifest) -> tuple[str, ...]:
    """Return the names of the Secrets that a live WebSocketDomain takes key material from."""
    return _names(part_at(live, *path) for path in _SECRETS)


def _names(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({name for name in found if isinstance(name, str)}))
