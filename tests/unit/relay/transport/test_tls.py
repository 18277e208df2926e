"""Certificates by name, the default certificate, and the domains that it may serve."""

from __future__ import annotations

import ssl
from typing import Any, Final

import pytest

from support.relay.certificates import authority
from wsedge_relay.config.material import Material
from wsedge_relay.contract import Domain
from wsedge_relay.transport.tls import ListenerTls, default_context, domain_context, domain_contexts

NAMES: Final = ("a.example", "b.example", "*")


def domains(*rules: tuple[str, dict[str, Any] | None]) -> list[Domain]:
    """Return domains with these names and fields of `tls` (None: without TLS)."""
    usual = {"account": "a", "originProtocol": "HTTP", "origins": [{"host": "192.0.2.1"}]}
    files = {"certificateFile": "c", "keyFile": "k"}
    return [
        Domain.model_validate(
            {**usual, "domain": name, "tls": None if fields is None else {**files, **fields}}
        )
        for name, fields in rules
    ]


def material() -> Material:
    """Return the certificate of all domains."""
    return Material({("c", "k"): authority().issue(*NAMES[:2])})


# Names with the fields of `tls`, and the domain of the default certificate.
CHOICES: Final[dict[str, tuple[list[tuple[str, dict[str, Any] | None]], str | None]]] = {
    "none without TLS": ([("a.example", None)], None),
    "the first": ([("a.example", {}), ("b.example", {})], "a.example"),
    "the first with TLS": ([("a.example", None), ("b.example", {})], "b.example"),
    "the chosen one": ([("a.example", {}), ("b.example", {"default": True})], "b.example"),
    "none that is excluded": ([("a.example", {"default": False}), ("b.example", {})], "b.example"),
    "none if all are excluded": ([("a.example", {"default": False})], None),
    "the one for any name": ([("a.example", {}), ("*", {})], "*"),
    "the chosen one before that for any name": ([("*", {}), ("a.example", {"default": True})], "a.example"),
}


@pytest.mark.parametrize(("rules", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_default_certificate(
    rules: list[tuple[str, dict[str, Any] | None]], expected: str | None
) -> None:
    """`tls.default` chooses, else the order: the first domain is the oldest."""
    chosen = default_context(domains(*rules), material())
    assert (chosen.domain if chosen is not None else None) == expected
    if chosen is not None:
        assert chosen.is_default


def test_rules_for_handshakes_need_the_domains_own_name() -> None:
    """The default handshake asked for no certificate of the client, and may have chosen HTTP/2."""
    served = domains(("a.example", {"http2": True}), ("b.example", {}))
    contexts = domain_contexts(tuple(served), material())
    pair = authority().issue("c.example")
    verifying = contexts["verifying.example"] = domain_context("verifying.example", pair, http2=True)
    verifying.load_verify_locations(cadata=authority().pem)
    verifying.verify_mode = ssl.CERT_REQUIRED
    listener = ListenerTls()
    listener.set_domains(contexts, contexts["a.example"])
    cases = {
        ("a.example", True): True,
        ("a.example", False): True,
        ("b.example", True): False,
        ("b.example", False): True,
        ("verifying.example", True): False,
        ("verifying.example", False): False,
        ("unserved.example", False): False,
    }
    assert {(name, http2): listener.serves_by_default(name, http2=http2) for name, http2 in cases} == cases
