"""The condition Exposed, the addresses, and whether Ready waits for the entrance."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.operator.entrances import (
    ADDRESS,
    APIS,
    PARENTS,
    condition,
    exposed,
    is_exposed,
    parents,
    ready,
    values,
    with_status,
)
from support.operator.keys import tls_secret
from support.operator.snapshots import NOW, answer, applied, live_domain, message, served, snapshot
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason

ACCEPTED = parents(condition("Accepted"))
BALANCER = {"type": "LoadBalancer"}
ISSUER = {"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}}


def test_a_load_balancer_with_an_address() -> None:
    """The domain is exposed, its addresses are in the status, and an Event names them."""
    waits = exposed(service=BALANCER)
    assert is_exposed(waits)[:2] == ("False", "LoadBalancerPending")
    assert ready(waits) == ("False", "LoadBalancerPending")
    there = with_status(waits, "Service", ADDRESS)
    assert is_exposed(there) == ("True", "Exposed", "chat.example.com is reached at 203.0.113.7")
    assert ready(there) == ("True", "Serving")
    assert values(there) == ["203.0.113.7"]
    told = {note.reason: note for note in decide(there, NOW).notes}
    assert told.keys() == {"Exposed", "Serving", "AddressesChanged"}
    assert told["AddressesChanged"].message == "the addresses of the entrance: 203.0.113.7 (Service)"
    after = applied(there, decide(there, NOW))
    assert (decide(after, NOW).notes, decide(after, NOW).status) == ((), ())
    lost = with_status(after, "Service", {})
    gone = {note.reason: note for note in decide(lost, NOW).notes}
    assert gone["AddressesChanged"].type == "Warning"
    assert gone["AddressesChanged"].message == "the entrance has no address any more"
    assert values(lost) == []


def test_one_event_for_one_reason() -> None:
    """Ready and Exposed with one reason are one Event."""
    fresh = snapshot(live=live_domain(exposure={"service": BALANCER}), apis=APIS)
    running = exposed(service=BALANCER)
    running = replace(running, live={**running.live, "status": {}})
    assert [note.reason for note in decide(running, NOW).notes] == ["LoadBalancerPending"]
    assert decide(running, NOW).notes[0].type == "Normal"
    assert sorted(note.reason for note in decide(fresh, NOW).notes) == [
        "LoadBalancerPending",
        "RelaysStarting",
    ]


@pytest.mark.parametrize(
    ("parts", "early", "late", "holds"),
    [
        ({"service": BALANCER}, "LoadBalancerPending", "LoadBalancerWithoutAddress", True),
        ({"ingress": {}}, "IngressPending", "IngressWithoutAddress", False),
        ({"gateway": {"parentRefs": PARENTS}}, "RoutePending", "RouteNotAnswered", True),
    ],
    ids=["a load balancer", "an Ingress", "a route"],
)
def test_a_wait_is_a_failure_after_five_minutes(
    parts: dict[str, Any], early: str, late: str, *, holds: bool
) -> None:
    """The reason changes after five minutes, and the next decision is due then; Stalled follows Ready."""
    waits = exposed(**parts)
    outcome = decide(waits, NOW)
    assert answer(outcome, waits, "Exposed") == ("False", early)
    assert answer(outcome, waits, "Stalled") == ("", "")
    assert outcome.reconcile_at is not None
    assert outcome.reconcile_at <= NOW + timedelta(minutes=5)
    waits = applied(waits, outcome)
    soon = decide(waits, NOW + timedelta(minutes=4, seconds=59))
    assert soon.status == ()
    failed = decide(waits, NOW + timedelta(minutes=5))
    assert answer(failed, waits, "Exposed") == ("False", late)
    assert answer(failed, waits, "Stalled") == (("True", late) if holds else ("", ""))
    stays = applied(waits, failed)
    assert decide(stays, NOW + timedelta(minutes=9)).status == ()


def test_another_spec_starts_the_five_minutes_anew() -> None:
    """A new generation has five minutes of its own."""
    waits = exposed(service=BALANCER)
    waits = applied(waits, decide(waits, NOW))
    later = NOW + timedelta(minutes=6)
    metadata = {**waits.live["metadata"], "generation": 8}
    edited = replace(waits, live={**waits.live, "metadata": metadata})
    assert answer(decide(edited, later), edited, "Exposed") == ("False", "LoadBalancerPending")


def test_a_refusal_precedes_a_wait() -> None:
    """What only a person can correct is told before what may pass."""
    both = exposed(service=BALANCER, gateway={"parentRefs": PARENTS})
    refused = parents(condition("Accepted", "False", "NotAllowedByListeners", "no"))
    both = with_status(both, "HTTPRoute", refused)
    assert is_exposed(both)[:2] == ("False", "RouteRefused")
    assert ready(both) == ("False", "RouteRefused")
    stalls = decide(both, NOW)
    assert answer(stalls, both, "Stalled") == ("False", "RouteRefused")


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"ingress": {}}, "Ingress"),
        ({"gateway": {"parentRefs": PARENTS}}, "HTTPRoute"),
        ({"gateway": {"parentRefs": PARENTS, "listenerSet": {}}}, "ListenerSet"),
    ],
)
def test_an_api_that_is_not_installed(parts: dict[str, Any], kind: str) -> None:
    """The kind is named; relays serve, and Ready says that what was asked for is not there."""
    apis = {name: version for name, version in APIS.items() if name != kind}
    without = exposed(apis=apis, **parts)
    assert is_exposed(without) == ("False", "APINotInstalled", f"the cluster has no API for the kind {kind}")
    assert ready(without) == ("False", "APINotInstalled")
    forbidden = Problem("the API server", Reason.API_FORBIDDEN, "no right")
    denied = exposed(apis={**APIS, kind: forbidden}, **parts)
    assert is_exposed(denied) == ("False", "APIForbidden", "the API server: no right")


def test_a_certificate_whose_api_is_not_installed() -> None:
    """Without cert-manager the Secret is waited for, with that reason."""
    live = live_domain(tls={"secretName": "chat-tls"}, exposure={"certificate": ISSUER})
    fresh = snapshot(live=live, apis={})
    assert is_exposed(fresh)[:2] == ("False", "APINotInstalled")
    assert ready(fresh) == ("False", "APINotInstalled")


def with_certificate(**parts: object) -> DomainSnapshot:
    keys = tls_secret("chat-tls", "chat.example.com")
    keys["metadata"] = {**keys["metadata"], "annotations": {"cert-manager.io/certificate-name": "chat-relay"}}
    live = live_domain(tls={"secretName": "chat-tls"}, exposure={"certificate": ISSUER, **parts})
    return served(live=live, secrets={"chat-tls": keys}, apis=APIS)


def test_a_certificate_that_is_not_ready_does_not_hold_relays_that_serve() -> None:
    """An old certificate stays in use: Exposed tells the reason, Ready is about the relays."""
    running = with_certificate()
    assert is_exposed(running)[:2] == ("False", "CertificatePending")
    assert ready(running) == ("True", "Serving")
    failed = {"conditions": [condition("Issuing", "False", "Failed", "rate limited")]}
    assert is_exposed(with_status(running, "Certificate", failed))[:2] == ("False", "CertificateFailed")
    issued = with_status(running, "Certificate", {"conditions": [condition("Ready")]})
    assert is_exposed(issued) == ("True", "Exposed", "chat.example.com is reached within the cluster")


def test_routes_of_a_domain_with_tls() -> None:
    """The TLSRoute must be accepted; a Gateway for wss alone has no listener for the HTTPRoute."""
    running = with_certificate(gateway={"parentRefs": PARENTS})
    running = with_status(running, "Certificate", {"conditions": [condition("Ready")]})
    refused = parents(condition("Accepted", "False", "NoMatchingListener", "none"))
    assert is_exposed(with_status(running, "HTTPRoute", ACCEPTED))[:2] == ("False", "RoutePending")
    wss = with_status(with_status(running, "HTTPRoute", refused), "TLSRoute", ACCEPTED)
    assert is_exposed(wss) == ("True", "Exposed", "chat.example.com is reached through its Gateway")


def test_addresses_of_a_gateway() -> None:
    """The addresses of the Gateways that accept are told; those of others are not."""
    gateway = {"status": {"addresses": [{"value": "203.0.113.9"}]}}
    asked = exposed(gateway={"parentRefs": PARENTS})
    asked = replace(asked, gateways={("team-a", "public"): gateway})
    assert values(asked) == []
    assert values(with_status(asked, "HTTPRoute", ACCEPTED)) == ["203.0.113.9"]
    unread = replace(with_status(asked, "HTTPRoute", ACCEPTED), gateways={})
    assert values(unread) == []


def test_listeners_of_a_domain() -> None:
    """With listeners of its own the domain waits for the Gateway's answer to them, too."""
    own = exposed(gateway={"parentRefs": PARENTS, "listenerSet": {}})
    parent = {"group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": "chat-relay"}
    own = with_status(own, "HTTPRoute", parents(condition("Accepted"), parent=parent))
    assert is_exposed(own)[:2] == ("False", "RoutePending")
    own = with_status(own, "ListenerSet", {"conditions": [condition("Accepted")]})
    own = replace(own, gateways={("team-a", "public"): {"status": {"addresses": [{"value": "203.0.113.9"}]}}})
    assert is_exposed(own)[0] == "True"
    assert values(own) == ["203.0.113.9"]


def test_an_ingress_with_an_address() -> None:
    """The Ingress' address is the domain's."""
    there = with_status(exposed(ingress={}), "Ingress", ADDRESS)
    assert is_exposed(there) == ("True", "Exposed", "chat.example.com is reached at 203.0.113.7")


def test_ports_of_nodes_are_told() -> None:
    """A NodePort has no address of its own: its ports are in the message."""
    ports = exposed(service={"type": "NodePort"})
    live = ports.children["Service"]
    numbered = [{**port, "nodePort": 30080} for port in live["spec"]["ports"]]
    child = {**live, "spec": {**live["spec"], "ports": numbered}}
    ports = replace(ports, children={**ports.children, "Service": child})
    assert is_exposed(ports)[2] == "chat.example.com is reached at ports of every node: http 30080"
    assert message(decide(ports, NOW), ports, "Ready") == "2 relays serve chat.example.com"
