"""Which contents of a Secret relays get, and which faults are errors or warnings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.operator.keys import certificate
from support.operator.snapshots import NOW, live_domain, secret
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.reconcile.domain.key_material import key_material

YESTERDAY = NOW - timedelta(days=1)


def spec(**fields: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(**fields)).spec


def pair(host: str = "chat.example.com", days: int = 30) -> tuple[bytes, bytes]:
    return certificate(host, begins=YESTERDAY, days=days)


def nameless() -> tuple[bytes, bytes]:
    """Return a certificate whose domain is only its common name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(YESTERDAY)
        .not_valid_after(YESTERDAY + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def test_material_of_all_fields_has_one_file_name_each() -> None:
    """The certificate for clients, the authority for origins and the client certificate do not collide."""
    (chain, key), (client, client_key) = pair(), pair("relay")
    secrets = {
        "x": secret("x", tls_crt=chain, tls_key=key),
        "ca": secret("ca", ca_crt=chain + client),
        "c": secret("c", tls_crt=client, tls_key=client_key),
    }
    found = key_material(
        spec(tls={"secretName": "x"}, originTLS={"caSecretName": "ca", "clientCertificateSecretName": "c"}),
        secrets,
        NOW,
    )
    assert (found.problems, found.warnings) == ([], [])
    assert found.contents == {
        "tls.crt": chain,
        "tls.key": key,
        "origin-ca.crt": chain + client,
        "origin-client.crt": client,
        "origin-client.key": client_key,
    }


def test_a_spec_without_secrets_has_no_material() -> None:
    """Nothing is read, and nothing expires."""
    found = key_material(spec(), {}, NOW)
    assert (found.contents, found.problems, found.warnings, found.expires) == ({}, [], [], None)


NOT_BASE64 = {"metadata": {"name": "ca"}, "data": {"ca.crt": "!"}}
AUTHORITIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a Secret that does not exist": ({}, "SecretNotFound", 'Secret "ca" not found'),
    "a Secret without data": (
        {"ca": {"metadata": {"name": "ca"}}},
        "SecretInvalid",
        'Secret "ca" has no key ca.crt',
    ),
    "an empty value": ({"ca": secret("ca", ca_crt=b"")}, "SecretInvalid", 'Secret "ca" has no key ca.crt'),
    "a value that is not base64": ({"ca": NOT_BASE64}, "SecretInvalid", 'Secret "ca": ca.crt is not base64'),
    "a value that is no certificate": (
        {"ca": secret("ca", ca_crt=b"PEM")},
        "SecretInvalid",
        'Secret "ca": ca.crt has no PEM certificate',
    ),
}


@pytest.mark.parametrize(("secrets", "reason", "text"), AUTHORITIES.values(), ids=AUTHORITIES.keys())
def test_an_invalid_authority_is_an_error(secrets: dict[str, Any], reason: str, text: str) -> None:
    """The error names the field and the Secret, and no file is made."""
    found = key_material(spec(originTLS={"caSecretName": "ca"}), secrets, NOW)
    assert found.contents == {}
    assert [(str(problem), problem.reason) for problem in found.problems] == [
        (f"spec.originTLS.caSecretName: {text}", reason)
    ]


def test_a_key_with_a_password_is_an_error() -> None:
    """Relays have no password to open it with."""
    chain, _ = pair()
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    found = key_material(
        spec(tls={"secretName": "x"}), {"x": secret("x", tls_crt=chain, tls_key=locked)}, NOW
    )
    assert [problem.message for problem in found.problems] == [
        'Secret "x": tls.key has no PEM private key without a password'
    ]
    assert found.contents == {}


NAMES: dict[str, tuple[tuple[bytes, bytes], bool]] = {
    "the domain itself": (pair(), True),
    "the domain in capitals": (pair("CHAT.example.com"), True),
    "a wildcard for the first label": (pair("*.example.com"), True),
    "a wildcard for two labels": (pair("*.com"), False),
    "another host": (pair("room.example.com"), False),
    "a common name alone": (nameless(), False),
}


@pytest.mark.parametrize(("made", "is_covered"), NAMES.values(), ids=NAMES.keys())
def test_a_certificate_of_another_name_is_a_warning(made: tuple[bytes, bytes], is_covered: bool) -> None:
    """RFC 6125, 6.4.3; the relays get it all the same, since a client may accept it."""
    chain, key = made
    found = key_material(spec(tls={"secretName": "x"}), {"x": secret("x", tls_crt=chain, tls_key=key)}, NOW)
    assert found.contents == {"tls.crt": chain, "tls.key": key}
    expected = [] if is_covered else ['the certificate in Secret "x" does not name chat.example.com']
    assert [warning.message for warning in found.warnings] == expected


@pytest.mark.parametrize(("serving", "client"), [(10, 20), (20, 10)], ids=["the first", "the second"])
def test_the_first_certificate_to_expire_counts(serving: int, client: int) -> None:
    """`expires` is the earlier end of validity of both."""
    (chain, key), (other, other_key) = pair(days=serving), pair(days=client)
    secrets = {
        "x": secret("x", tls_crt=chain, tls_key=key),
        "c": secret("c", tls_crt=other, tls_key=other_key),
    }
    fields = {"tls": {"secretName": "x"}, "originTLS": {"clientCertificateSecretName": "c"}}
    assert key_material(spec(**fields), secrets, NOW).expires == YESTERDAY + timedelta(days=10)


def test_an_expired_certificate_is_a_warning_and_no_later_date() -> None:
    """Its end is in the message; there is no instant to reconcile at again."""
    chain, key = pair(days=1)
    found = key_material(spec(tls={"secretName": "x"}), {"x": secret("x", tls_crt=chain, tls_key=key)}, NOW)
    assert [(warning.reason, warning.message) for warning in found.warnings] == [
        ("CertificateExpired", 'the certificate in Secret "x" expired at 2026-11-22T12:00:00Z')
    ]
    assert found.expires is None
    assert found.contents["tls.crt"] == chain
