"""The manifests of an entrance: Service, Ingress, routes, listeners, Certificate, annotations for DNS."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.snapshots import live_domain
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.exposure.certificate import certificate, is_made_by
from wsedge_operator.desired.exposure.dns import with_dns
from wsedge_operator.desired.exposure.gateway import (
    http_route,
    listener_set,
    parents,
    passes_tls_through,
    tls_route,
)
from wsedge_operator.desired.exposure.ingress import ingress
from wsedge_operator.desired.service import service

OWNER = live_domain()
TLS = {"secretName": "chat-tls"}
Made = dict[str, Any]


def spec_of(exposure: Made, **spec: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(exposure=exposure, **spec)).spec


def test_the_fields_of_a_service() -> None:
    """Each field that is set is written as it is; no other field is."""
    fields = {
        "type": "LoadBalancer",
        "loadBalancerClass": "example.com/lb",
        "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
    }
    exposure = spec_of({"service": {**fields, "annotations": {"a": "b"}}}).exposure
    assert exposure is not None
    made = service(OWNER, tls=False, exposure=exposure.service, annotations={"a": "b"})
    assert made["spec"] == {**service(OWNER, tls=False)["spec"], **fields}
    assert made["metadata"]["annotations"] == {"a": "b"}
    empty = spec_of({"service": {}}).exposure
    assert empty is not None
    assert service(OWNER, tls=False, exposure=empty.service, annotations={}) == service(OWNER, tls=False)


@pytest.mark.parametrize(
    ("exposure", "tls", "port", "entry"),
    [
        ({}, None, "http", None),
        ({}, TLS, "http", {"hosts": ["chat.example.com"], "secretName": "chat-tls"}),
        ({"tls": "Passthrough"}, TLS, "https", {"hosts": ["chat.example.com"]}),
    ],
    ids=["ws", "TLS ends at the controller", "TLS is passed through"],
)
def test_an_ingress(exposure: Made, tls: Any, port: str, entry: Any) -> None:
    """The port of the backend and the entry for TLS follow the place where TLS ends."""
    spec = spec_of({"ingress": exposure}, **({"tls": tls} if tls else {}))
    assert spec.exposure is not None
    assert spec.exposure.ingress is not None
    made = ingress(OWNER, spec, spec.exposure.ingress, api_version="networking.k8s.io/v1")["spec"]
    (rule,) = made["rules"]
    assert rule["host"] == "chat.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"]["port"] == {"name": port}
    assert made.get("tls") == ([entry] if entry else None)
    assert "ingressClassName" not in made


def test_annotations_for_dns() -> None:
    """external-dns of every release reads the host name and the TTL, beside the user's annotations."""
    assert with_dns({"a": "b"}, spec_of({})) == {"a": "b"}
    assert with_dns(None, WebSocketDomain.model_validate(live_domain()).spec) == {}
    hostname = {
        "external-dns.alpha.kubernetes.io/hostname": "chat.example.com",
        "external-dns.kubernetes.io/hostname": "chat.example.com",
    }
    assert with_dns({"a": "b"}, spec_of({"dns": {}})) == {"a": "b", **hostname}
    assert with_dns({}, spec_of({"dns": {"ttlSeconds": 60}})) == {
        **hostname,
        "external-dns.alpha.kubernetes.io/ttl": "60",
        "external-dns.kubernetes.io/ttl": "60",
    }


def test_routes() -> None:
    """Both routes have the domain as their only host, and lead to the ports of the same Service."""
    refs: list[Made] = [
        {"name": "public", "namespace": "gateways", "sectionName": "http", "port": 80},
        {"kind": "ListenerSet", "name": "own"},
    ]
    spec = spec_of({"gateway": {"parentRefs": refs}, "dns": {}}, tls=TLS)
    assert spec.exposure is not None
    assert spec.exposure.gateway is not None
    parent_refs = parents(OWNER, spec.exposure.gateway, None)
    group = {"group": "gateway.networking.k8s.io"}
    assert parent_refs == [{**group, "kind": "Gateway", **refs[0]}, {**group, **refs[1]}]
    http = http_route(OWNER, spec, parent_refs, api_version="gateway.networking.k8s.io/v1")
    tls = tls_route(OWNER, spec, parent_refs, api_version="gateway.networking.k8s.io/v1alpha3")
    assert tls["apiVersion"] == "gateway.networking.k8s.io/v1alpha3"
    for made, port in ((http, 80), (tls, 443)):
        assert made["spec"]["hostnames"] == ["chat.example.com"]
        assert made["spec"]["parentRefs"] == parent_refs
        (backend,) = made["spec"]["rules"][0]["backendRefs"]
        assert (backend["name"], backend["port"]) == ("chat-relay", port)
        assert "external-dns.kubernetes.io/hostname" in made["metadata"]["annotations"]
    assert "matches" not in tls["spec"]["rules"][0]


@pytest.mark.parametrize(
    ("gateway", "tls", "through", "listeners"),
    [
        ({}, None, False, [("http", 80, "HTTP", None)]),
        (
            {"listenerSet": {"httpPort": 8080, "httpsPort": 8443}},
            TLS,
            True,
            [("http", 8080, "HTTP", None), ("https", 8443, "TLS", {"mode": "Passthrough"})],
        ),
        (
            {"tls": "Terminate"},
            TLS,
            False,
            [
                ("http", 80, "HTTP", None),
                (
                    "https",
                    443,
                    "HTTPS",
                    {
                        "mode": "Terminate",
                        "certificateRefs": [{"group": "", "kind": "Secret", "name": "chat-tls"}],
                    },
                ),
            ],
        ),
    ],
    ids=["ws", "TLS is passed through", "TLS ends at the Gateway"],
)
def test_listeners(gateway: Made, tls: Any, through: bool, listeners: list[Any]) -> None:
    """The listeners are of the domain's name and open to routes of its namespace alone."""
    asked = {"parentRefs": [{"name": "public"}], "listenerSet": {}, **gateway}
    spec = spec_of({"gateway": asked}, **({"tls": tls} if tls else {}))
    assert spec.exposure is not None
    exposure = spec.exposure.gateway
    assert exposure is not None
    assert exposure.listenerSet is not None
    assert passes_tls_through(spec, exposure) == through
    made = listener_set(
        OWNER,
        spec,
        exposure,
        exposure.listenerSet,
        kind="ListenerSet",
        api_version="gateway.networking.k8s.io/v1",
    )
    found = made["spec"]["listeners"]
    assert [(each["name"], each["port"], each["protocol"], each.get("tls")) for each in found] == listeners
    assert {each["hostname"] for each in found} == {"chat.example.com"}
    assert made["spec"]["parentRef"]["name"] == "public"
    assert parents(OWNER, exposure, made) == [
        {"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "chat-relay"}
    ]


def test_a_certificate() -> None:
    """A Certificate of the domain alone, whose Secret is spec.tls.secretName."""
    asked = {
        "certificate": {"issuerRef": {"name": "x", "kind": "AWSPCAIssuer", "group": "awspca.example.com"}}
    }
    exposure = spec_of(asked, tls=TLS).exposure
    assert exposure is not None
    assert exposure.certificate is not None
    names = {"domain": "chat.example.com", "secret_name": "chat-tls", "api_version": "cert-manager.io/v1"}
    made = certificate(OWNER, exposure.certificate, **names)
    assert made["spec"] == {
        "secretName": "chat-tls",
        "dnsNames": ["chat.example.com"],
        "issuerRef": asked["certificate"]["issuerRef"],
    }
    short = spec_of({"certificate": {"issuerRef": {"name": "x"}}}, tls=TLS).exposure
    assert short is not None
    assert short.certificate is not None
    reference = certificate(OWNER, short.certificate, **names)["spec"]["issuerRef"]
    assert reference == {"name": "x", "kind": "Issuer", "group": "cert-manager.io"}


def test_whose_secret_it_is() -> None:
    """cert-manager names the Certificate on the Secret that it made."""
    own = {"cert-manager.io/certificate-name": "chat-relay"}
    assert is_made_by({"metadata": {"annotations": own}}, OWNER)
    assert not is_made_by(
        {"metadata": {"annotations": {**own, "cert-manager.io/certificate-name": "x"}}}, OWNER
    )
    assert not is_made_by({"metadata": {}}, OWNER)
