"""The Certificate of cert-manager whose Secret the relays serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wsedge_operator.api.spec.exposure import CertificateExposure
from wsedge_operator.desired.names import child_metadata, child_name

# cert-manager writes the name of the Certificate on the Secret that it made.
CERTIFICATE_ANNOTATION: Final = "cert-manager.io/certificate-name"


def certificate(
    owner: Mapping[str, Any],
    exposure: CertificateExposure,
    *,
    domain: str,
    secret_name: str,
    api_version: str,
) -> dict[str, Any]:
    """Return the Certificate of `domain`; lifetime and renewal are the issuer's and cert-manager's."""
    issuer = exposure.issuerRef
    reference = {"name": issuer.name, "kind": issuer.kind or "Issuer"}
    reference["group"] = issuer.group or "cert-manager.io"
    return {
        "apiVersion": api_version,
        "kind": "Certificate",
        "metadata": child_metadata(owner),
        "spec": {"secretName": secret_name, "dnsNames": [domain], "issuerRef": reference},
    }


def is_made_by(secret: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Return whether cert-manager made a Secret for the Certificate of `owner`."""
    annotations = secret["metadata"].get("annotations") or {}
    return bool(annotations.get(CERTIFICATE_ANNOTATION) == child_name(owner["metadata"]["name"]))
