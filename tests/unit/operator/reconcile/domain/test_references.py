"""Which Services and Secrets a domain names, also while its spec is invalid."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.snapshots import live_domain
from wsedge_operator.reconcile.domain.references import gateway_names, secret_names, service_names

SERVICES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "hosts alone": ([{"host": "10.0.0.7"}], ()),
    "a Service beside a host": ([{"host": "10.0.0.7"}, {"service": {"name": "room"}}], ("room",)),
    "two Services, one of them twice": (
        [{"service": {"name": name}} for name in ("room", "hall", "room")],
        ("hall", "room"),
    ),
    "a name that is not text": ([{"service": {"name": 7}}, {"service": {"name": "room"}}], ("room",)),
    "a Service that is not a map": ([{"service": "room"}], ()),
    "an origin that is not a map": (["room"], ()),
    "origins that are not a list": ({"service": {"name": "room"}}, ()),
    "no origins": (None, ()),
}


@pytest.mark.parametrize(("origins", "names"), SERVICES.values(), ids=SERVICES.keys())
def test_services(origins: Any, names: tuple[str, ...]) -> None:
    """The names are sorted, each once; an invalid part is skipped and the others count."""
    assert service_names(live_domain(origins=origins)) == names


SECRETS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no Secret": ({}, ()),
    "one per field": (
        {
            "tls": {"secretName": "x"},
            "originTLS": {"caSecretName": "ca", "clientCertificateSecretName": "client"},
        },
        ("ca", "client", "x"),
    ),
    "one for two fields": (
        {"tls": {"secretName": "x"}, "originTLS": {"clientCertificateSecretName": "x"}},
        ("x",),
    ),
    "a name that is not text": ({"tls": {"secretName": ["x"]}}, ()),
    "a field that is not a map": ({"tls": "x", "originTLS": {"caSecretName": "ca"}}, ("ca",)),
}


@pytest.mark.parametrize(("spec", "names"), SECRETS.values(), ids=SECRETS.keys())
def test_secrets(spec: dict[str, Any], names: tuple[str, ...]) -> None:
    """The names are sorted, each once; an invalid part is skipped and the others count."""
    assert secret_names(live_domain(**spec)) == names


def test_an_object_without_a_spec_names_nothing() -> None:
    """Another version may have stored it."""
    live = {**live_domain(), "spec": None}
    assert (service_names(live), secret_names(live)) == ((), ())


def test_gateways() -> None:
    """Gateways are named with their namespace; other parents and invalid parts are skipped."""
    parents = [
        {"name": "public"},
        {"name": "internal", "namespace": "gateways", "kind": "Gateway"},
        {"name": "own", "kind": "ListenerSet"},
    ]
    live = live_domain(exposure={"gateway": {"parentRefs": parents}})
    assert gateway_names(live) == {("team-a", "public"), ("gateways", "internal")}
    assert gateway_names(live_domain(exposure={"gateway": {"parentRefs": "public"}})) == frozenset()
    assert gateway_names(live_domain()) == frozenset()
