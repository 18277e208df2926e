"""What controllers say of an entrance: addresses, answers to routes, conditions of a Certificate."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.entrances import PARENT, condition, parents
from wsedge_operator.reconcile.domain.entrance import reports
from wsedge_operator.reconcile.domain.snapshot import Address

Object = dict[str, Any]


def test_a_text_of_another_controller_is_one_short_line() -> None:
    """Line breaks and control characters become spaces, and a long text is cut."""
    assert reports.one_line(" no\n listener\x1b[31m \t allows it ") == "no listener [31m allows it"
    assert reports.one_line("x" * 301) == "x" * 299 + "…"
    assert len(reports.one_line("y " * 10**6)) == 300
    assert reports.one_line("x" * 300) == "x" * 300


def balancer(*entries: Any, kind: str = "Service") -> Object:
    return {"kind": kind, "status": {"loadBalancer": {"ingress": list(entries)}}}


@pytest.mark.parametrize(
    ("live", "found"),
    [
        (balancer({"ip": "203.0.113.7"}), [("IPAddress", "203.0.113.7")]),
        (balancer({"ip": "2001:DB8::7"}), [("IPAddress", "2001:db8::7")]),
        (balancer({"hostname": "lb.example.com."}), [("Hostname", "lb.example.com")]),
        (
            balancer({"ip": "203.0.113.7", "hostname": "lb_1.example.com"}),
            [("IPAddress", "203.0.113.7"), ("Hostname", "lb_1.example.com")],
        ),
        (balancer({"hostname": "a b"}, {"hostname": "<b>"}, {"hostname": "a..b"}, {"ip": ""}, "text"), []),
        (balancer({"hostname": "x" * 254}), []),
        (balancer({"hostname": "bücher.example"}), []),
        ({"kind": "Service", "status": {"loadBalancer": {"ingress": {"ip": "203.0.113.7"}}}}, []),
        ({"kind": "Service", "status": None}, []),
        ({"kind": "Service"}, []),
        (None, []),
    ],
    ids=[
        "an IPv4 address",
        "an IPv6 address",
        "a host name",
        "both",
        "values that are neither are left out",
        "a name is at most 253 characters",
        "a name is ASCII",
        "a status of another form",
        "an empty status",
        "no status",
        "no object",
    ],
)
def test_addresses_of_a_load_balancer(live: Object | None, found: list[tuple[str, str]]) -> None:
    """Addresses and host names are read, and no other text."""
    assert [(a.type, a.value) for a in reports.load_balancer_addresses(live)] == found


def test_addresses_of_a_gateway() -> None:
    """A named address is a notion of its controller, and no address."""
    addresses = [
        {"value": "203.0.113.9"},
        {"type": "Hostname", "value": "gw.example.com"},
        {"type": "NamedAddress", "value": "pool-1"},
        "text",
    ]
    found = reports.gateway_addresses({"status": {"addresses": addresses}})
    assert [a.value for a in found] == ["203.0.113.9", "gw.example.com"]
    assert reports.gateway_addresses({}) == ()


def test_addresses_are_merged() -> None:
    """Each address is listed once, in an order of its own, and at most sixteen are."""
    first, second = Address("IPAddress", "203.0.113.7", "Service"), Address("Hostname", "b", "Ingress")
    assert reports.merged([first, second], [first]) == (second, first)
    many = [Address("IPAddress", f"203.0.113.{index}", "Service") for index in range(40)]
    assert len(reports.merged(many)) == 16


def test_ports_of_nodes() -> None:
    """The ports of nodes are named; a Service without them has none."""
    ports = [{"name": "http", "nodePort": 30080}, {"name": "https", "nodePort": 30443}, {"name": "x"}]
    assert reports.node_ports({"spec": {"ports": ports}}) == "http 30080, https 30443"
    assert reports.node_ports(None) == ""


ACCEPTED = condition("Accepted")


def route(status: Any = None, *refs: Object) -> Object:
    spec = {"parentRefs": list(refs) or [PARENT]}
    return {"metadata": {"namespace": "team-a", "generation": 3}, "spec": spec, "status": status}


OTHER = {**PARENT, "name": "internal", "namespace": "gateways", "sectionName": "http"}
ROUTES: dict[str, tuple[Any, str]] = {
    "accepted": (route(parents(ACCEPTED, condition("ResolvedRefs"))), ""),
    "accepted, without a word on references": (route(parents(ACCEPTED)), ""),
    "accepted by one of two parents": (
        route(
            {
                "parents": [
                    {"parentRef": PARENT, "conditions": [condition("Accepted", "False", "NoMatchingParent")]},
                    {"parentRef": OTHER, "conditions": [ACCEPTED]},
                ]
            },
            PARENT,
            OTHER,
        ),
        "",
    ),
    "accepted, named without defaults": (
        route(parents(ACCEPTED, parent={"name": "public", "namespace": "team-a"})),
        "",
    ),
    "refused": (
        route(parents(condition("Accepted", "False", "NotAllowedByListeners", "no"))),
        "RouteRefused",
    ),
    "refused without a reason": (
        route(parents({"type": "Accepted", "status": "False"})),
        "RouteRefused",
    ),
    "what it refers to is not found": (
        route(parents(ACCEPTED, condition("ResolvedRefs", "False", "BackendNotFound", "no"))),
        "RouteNotResolved",
    ),
    "an answer about an older generation": (
        route(parents({**ACCEPTED, "observedGeneration": 2})),
        "RoutePending",
    ),
    "an answer about this generation": (route(parents({**ACCEPTED, "observedGeneration": 3})), ""),
    "an answer that is pending": (
        route(parents(condition("Accepted", "Unknown", "Pending"))),
        "RoutePending",
    ),
    "an answer without conditions": (route(parents()), "RoutePending"),
    "an answer of a parent that is not asked": (
        route(parents(ACCEPTED, parent={**PARENT, "name": "other"})),
        "RoutePending",
    ),
    "no answer": (route({"parents": []}), "RoutePending"),
    "no status": (route(), "RoutePending"),
    "no route": (None, "RoutePending"),
    "a status of another form": (route({"parents": ["text", {"parentRef": 1}]}), "RoutePending"),
}


@pytest.mark.parametrize(("live", "reason"), ROUTES.values(), ids=ROUTES.keys())
def test_a_route(live: Object | None, reason: str) -> None:
    """A route leads to relays when one parent accepts it and finds the Service."""
    found = reports.route_finding(live, "HTTPRoute")
    assert (found.reason if found else "") == reason


def test_a_refusal_says_who_refuses_and_why() -> None:
    """The message has the parent, its reason and its words."""
    refusal = condition("Accepted", "False", "NotAllowedByListeners", "not\nallowed")
    found = reports.route_finding(route(parents(refusal, parent=OTHER), OTHER), "TLSRoute")
    assert found is not None
    assert found.message == (
        "TLSRoute: Gateway gateways/internal, listener http, refuses it: NotAllowedByListeners: not allowed"
    )
    waits = reports.route_finding(route(None, PARENT, OTHER), "HTTPRoute")
    assert waits is not None
    assert "for Gateway public, Gateway gateways/internal, listener http,:" in waits.message


def test_gateways_that_accept() -> None:
    """Gateways that accept a route or a ListenerSet are named with their namespace."""
    accepted = route(
        {
            "parents": [
                {"parentRef": PARENT, "conditions": [ACCEPTED]},
                {"parentRef": OTHER, "conditions": [condition("Accepted", "False")]},
                {"parentRef": {**PARENT, "kind": "ListenerSet"}, "conditions": [ACCEPTED]},
            ]
        }
    )
    assert list(reports.accepting_gateways(accepted)) == [("team-a", "public")]
    listeners = {"metadata": {"namespace": "team-a"}, "spec": {"parentRef": OTHER}}
    assert list(reports.accepting_gateways({**listeners, "status": {"conditions": [ACCEPTED]}})) == [
        ("gateways", "internal")
    ]
    assert list(reports.accepting_gateways(listeners)) == []
    assert list(reports.accepting_gateways(None)) == []


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ([ACCEPTED], ""),
        ([condition("Accepted", "False", "NotAllowed")], "ListenersRefused"),
        ([condition("Accepted", "False", "Pending")], "RoutePending"),
        ([condition("Accepted", "Unknown", "Pending")], "RoutePending"),
        ([], "RoutePending"),
    ],
    ids=["accepted", "refused", "pending", "unknown", "no answer"],
)
def test_a_listener_set(conditions: list[Object], reason: str) -> None:
    """A Gateway accepts or refuses the listeners."""
    found = reports.listener_set_finding({"metadata": {}, "status": {"conditions": conditions}})
    assert (found.reason if found else "") == reason


@pytest.mark.parametrize(
    ("conditions", "reason", "text"),
    [
        ([condition("Ready")], "", ""),
        (
            [condition("Ready", "False", "DoesNotExist", "as Secret does not exist"), condition("Issuing")],
            "CertificatePending",
            "the Certificate is not ready: DoesNotExist: as Secret does not exist",
        ),
        (
            [condition("Ready", "False"), condition("Issuing", "False", "Failed", "rate limited")],
            "CertificateFailed",
            "cert-manager could not issue the certificate: Failed: rate limited",
        ),
        ([], "CertificatePending", "the Certificate is not ready: no controller has answered"),
    ],
    ids=["ready", "issuing", "failed", "no controller"],
)
def test_a_certificate(conditions: list[Object], reason: str, text: str) -> None:
    """cert-manager's words are passed on."""
    found = reports.certificate_finding({"metadata": {}, "status": {"conditions": conditions}})
    assert (found.reason, found.message) == (reason, text) if found else reason == ""


def request(
    name: str, *conditions: Object, uid: str = "c", created: str = "2026-11-22T12:00:00Z"
) -> dict[str, Any]:
    """Return a CertificateRequest of the Certificate of this uid."""
    owner = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "uid": uid}
    metadata = {"name": name, "creationTimestamp": created, "ownerReferences": [owner]}
    return {"metadata": metadata, "status": {"conditions": list(conditions)}}


NOT_FOUND = {
    "type": "Ready",
    "status": "False",
    "reason": "Pending",
    "message": 'Referenced "Issuer" not found',
}
DENIED = {"type": "Denied", "status": "True", "reason": "Policy", "message": "no names of others"}
INVALID = {"type": "InvalidRequest", "status": "True", "reason": "Bad", "message": "no CSR"}
ISSUED = {"type": "Ready", "status": "True", "reason": "Issued", "message": "done"}
LATER = "2026-11-22T12:00:01Z"
REQUESTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "none": ([], ""),
    "the issuer does not exist": (
        [request("a", NOT_FOUND)],
        '; its CertificateRequest: Pending: Referenced "Issuer" not found',
    ),
    "it is denied, and therefore not ready": (
        [request("a", NOT_FOUND, DENIED)],
        "; its CertificateRequest: Policy: no names of others",
    ),
    "it is invalid": ([request("a", NOT_FOUND, INVALID)], "; its CertificateRequest: Bad: no CSR"),
    "it is issued": ([request("a", ISSUED)], ""),
    "nobody has answered": ([request("a")], ""),
    "the newest has another answer": (
        [request("b", ISSUED, created=LATER), request("a", NOT_FOUND)],
        "",
    ),
    "another Certificate's": ([request("a", DENIED, uid="other")], ""),
    "a tenant's object of any form": ([{"metadata": {"ownerReferences": ["x"]}, "status": "y"}], ""),
}


@pytest.mark.parametrize(("requests", "words"), REQUESTS.values(), ids=REQUESTS.keys())
def test_the_words_of_an_issuer(requests: list[dict[str, Any]], words: str) -> None:
    """A Certificate that waits has the words of its newest request, whoever else has made requests."""
    live = {"metadata": {"uid": "c"}, "status": {}}
    found = reports.certificate_finding(live, requests)
    assert found is not None
    assert found.message == f"the Certificate is not ready: no controller has answered{words}"
