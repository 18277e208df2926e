"""Key material from the Secrets of a spec: contents by file name, and faults by field path.

An error (`problems`) means that a relay could not serve with the Secret: the last good configuration remains.
A warning means that clients may refuse the certificate, but relays can serve it: refusing it would stop
clients that do not check.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.extensions import ExtensionNotFound

from wsedge_operator.api.meta import instant_text
from wsedge_operator.api.websocket_domain import WebSocketDomainSpec
from wsedge_operator.desired.relay_config import (
    ORIGIN_AUTHORITY,
    ORIGIN_CERTIFICATE,
    ORIGIN_KEY,
    TLS_CERTIFICATE,
    TLS_KEY,
)
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason

_PUBLIC: Final = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(slots=True)
class KeyMaterial:
    """Contents by file name, errors, warnings, and the end of validity of the first certificate to expire."""

    contents: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    expires: datetime | None = None


def key_material(
    spec: WebSocketDomainSpec, secrets: Mapping[str, Mapping[str, Any]], now: datetime
) -> KeyMaterial:
    """Return the key material that `spec` refers to. `secrets` has the Secrets that exist, by name."""
    found = KeyMaterial()
    if spec.tls is not None:
        reader = _Reader(found, secrets, "spec.tls.secretName", spec.tls.secretName, now)
        reader.add_pair(TLS_CERTIFICATE, TLS_KEY, serves=spec.domain)
    if (name := spec.originTLS.caSecretName) is not None:
        _Reader(found, secrets, "spec.originTLS.caSecretName", name, now).add_authority()
    if (name := spec.originTLS.clientCertificateSecretName) is not None:
        path = "spec.originTLS.clientCertificateSecretName"
        _Reader(found, secrets, path, name, now).add_pair(ORIGIN_CERTIFICATE, ORIGIN_KEY)
    return found


@dataclass(slots=True)
class _Reader:
    """Checks the Secret of one field and adds its contents, errors and warnings to `found`."""

    found: KeyMaterial
    secrets: Mapping[str, Mapping[str, Any]]
    path: str
    name: str
    now: datetime

    def add_pair(self, certificate_file: str, key_file: str, *, serves: str | None = None) -> None:
        """Add a certificate chain and its key; `serves` is the domain that the certificate must name."""
        certificate, key = self._value("tls.crt"), self._value("tls.key")
        if certificate is None or key is None:
            return
        chain = self._certificates("tls.crt", certificate)
        if chain is None or not self._matches(chain[0], key):
            return
        self._check_validity(chain[0])
        if serves is not None and not _covers(chain[0], serves):
            self._warn(
                Reason.CERTIFICATE_NAME, f'the certificate in Secret "{self.name}" does not name {serves}'
            )
        self.found.contents[certificate_file] = certificate
        self.found.contents[key_file] = key

    def add_authority(self) -> None:
        """Add the certificates of trusted authorities (`ca.crt`)."""
        value = self._value("ca.crt")
        if value is None:
            return
        chain = self._certificates("ca.crt", value)
        if chain is not None:
            self.found.contents[ORIGIN_AUTHORITY] = value

    def _value(self, key: str) -> bytes | None:
        secret = self.secrets.get(self.name)
        if secret is None:
            problem = Problem(self.path, Reason.SECRET_NOT_FOUND, f'Secret "{self.name}" not found')
            if problem not in self.found.problems:
                self.found.problems.append(problem)
            return None
        data = secret.get("data") or {}
        if not data.get(key):
            self._refuse(Reason.SECRET_INVALID, f'Secret "{self.name}" has no key {key}')
            return None
        try:
            return base64.b64decode(data[key], validate=True)
        except binascii.Error:
            self._refuse(Reason.SECRET_INVALID, f'Secret "{self.name}": {key} is not base64')
            return None

    def _certificates(self, key: str, value: bytes) -> list[x509.Certificate] | None:
        try:
            return x509.load_pem_x509_certificates(value)
        except ValueError:
            self._refuse(Reason.SECRET_INVALID, f'Secret "{self.name}": {key} has no PEM certificate')
            return None

    def _matches(self, certificate: x509.Certificate, key: bytes) -> bool:
        try:
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            self._refuse(
                Reason.SECRET_INVALID,
                f'Secret "{self.name}": tls.key has no PEM private key without a password',
            )
            return False
        if private.public_key().public_bytes(*_PUBLIC) != certificate.public_key().public_bytes(*_PUBLIC):
            self._refuse(
                Reason.CERTIFICATE_MISMATCH,
                f'Secret "{self.name}": the key in tls.key does not belong to the certificate in tls.crt',
            )
            return False
        return True

    def _check_validity(self, certificate: x509.Certificate) -> None:
        end = certificate.not_valid_after_utc
        if end <= self.now:
            self._warn(
                Reason.CERTIFICATE_EXPIRED,
                f'the certificate in Secret "{self.name}" expired at {instant_text(end)}',
            )
        elif self.found.expires is None or end < self.found.expires:
            self.found.expires = end

    def _refuse(self, reason: Reason, message: str) -> None:
        self.found.problems.append(Problem(self.path, reason, message))

    def _warn(self, reason: Reason, message: str) -> None:
        self.found.warnings.append(Problem(self.path, reason, message))


def _covers(certificate: x509.Certificate, domain: str) -> bool:
    """Return whether a certificate names a domain, itself or by a wildcard for its first label.

    Only the left-most label may be a wildcard (RFC 6125, section 6.4.3), and only subject alternative names
    count: browsers ignore the common name.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except ExtensionNotFound:
        return False
    wildcard = "*." + domain.partition(".")[2]
    return any(name.lower() in {domain, wildcard} for name in names.get_values_for_type(x509.DNSName))
