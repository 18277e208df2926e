"""Certificates for tests."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(
    host: str = "chat.example.com", *, begins: datetime | None = None, days: int = 30
) -> tuple[bytes, bytes]:
    """Return a self-signed certificate for `host` and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = begins or datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def secret(name: str, contents: dict[str, bytes], kind: str = "Opaque") -> dict[str, Any]:
    """Return a Secret."""
    data = {key: base64.b64encode(value).decode() for key, value in contents.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}


def decoded(live: dict[str, Any], key: str) -> bytes:
    """Return the content of a Secret's key."""
    return base64.b64decode(live["data"][key])


def tls_secret(name: str, host: str) -> dict[str, Any]:
    """Return a Secret of type kubernetes.io/tls with a new pair for `host`."""
    chain, key = certificate(host)
    return secret(name, {"tls.crt": chain, "tls.key": key}, "kubernetes.io/tls")
