"""The children of an entrance: when they are applied, kept and deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.operator.entrances import (
    APIS,
    PARENTS,
    edited,
    entrance,
    exposed,
    is_exposed,
    ready,
    retired,
    with_status,
)
from support.operator.keys import secret, tls_secret
from support.operator.snapshots import (
    NO_PLAN,
    NOW,
    applied,
    claim,
    kinds,
    live_domain,
    served,
    snapshot,
)
from wsedge_operator.desired.digest import with_digest
from wsedge_operator.desired.service import service
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_operator.reconcile.problem import Problem
from wsedge_operator.reconcile.reasons import Reason

OFF = {"enabled": False, "originProtocol": "HTTP"}
TLS = {"secretName": "chat-tls"}
ISSUER = {"issuerRef": {"name": "letsencrypt"}}
FORBIDDEN = Problem("the API server", Reason.API_FORBIDDEN, "no right")


def of(outcome: Outcome, kind: str) -> Any:
    (made,) = [made for made in outcome.entrance if made["kind"] == kind]
    return made


def test_a_domain_without_an_entrance_has_the_same_service_as_before() -> None:
    """Without spec.exposure the Service is byte for byte that of the last release, and nothing is added."""
    fresh = snapshot(apis=APIS)
    outcome = decide(fresh, NOW)
    assert (outcome.entrance, outcome.retire) == ((), ())
    (made,) = [made for made in outcome.apply if made["kind"] == "Service"]
    assert made == with_digest(service(live_domain(), tls=False))
    assert is_exposed(served(apis=APIS)) == ("", "", "")


def test_an_entrance_is_written_once() -> None:
    """A settled domain with every kind of entrance has no further write."""
    every: dict[str, Any] = {
        "service": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
        "ingress": {"className": "nginx"},
        "gateway": {"parentRefs": PARENTS},
        "dns": {"ttlSeconds": 60},
    }
    settled = exposed(**every)
    assert {"Service", "Ingress", "HTTPRoute"} <= settled.children.keys()
    outcome = decide(settled, NOW)
    assert (outcome.apply, outcome.entrance, outcome.retire, outcome.restore) == ((), (), (), ())


def test_the_writes_of_an_entrance_are_apart() -> None:
    """A webhook or a quota that refuses a part of the entrance must not stop the relays' own writes."""
    fresh = snapshot(live=live_domain(exposure={"service": {"type": "NodePort"}, "ingress": {}}), apis=APIS)
    outcome = decide(fresh, NOW)
    before = ["Secret", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "Deployment"]
    assert kinds(outcome) == [*before, "Secret"]
    assert entrance(outcome) == ["Service", "Ingress"]
    assert of(outcome, "Service")["spec"]["type"] == "NodePort"


def test_the_entrance_is_not_there_before_the_domain_is_served() -> None:
    """No byte before the plan is in force: not even an address."""
    fresh = snapshot(live=live_domain(exposure={"ingress": {}}), apis=APIS, account_state=NO_PLAN)
    outcome = decide(fresh, NOW)
    assert (outcome.apply, outcome.entrance) == ((), ())
    assert is_exposed(fresh)[:2] == ("False", "NoRelays")


def test_a_part_that_is_not_asked_for_is_deleted() -> None:
    """From an Ingress to a Gateway: the route is applied, and the Ingress is deleted after it."""
    before = exposed(ingress={})
    outcome = decide(edited(before, exposure={"gateway": {"parentRefs": PARENTS}}), NOW)
    assert (entrance(outcome), retired(outcome)) == (["HTTPRoute"], ["Ingress"])
    without = decide(edited(before, exposure=None), NOW)
    assert retired(without) == ["Ingress"]
    (ref,) = without.retire
    assert ref.uid == "uid-Ingress"


def test_a_child_that_is_being_deleted_is_not_deleted_again() -> None:
    """Another delete call would change nothing."""
    before = edited(exposed(ingress={}), exposure=None)
    going = {
        **before.children["Ingress"],
        "metadata": {**before.children["Ingress"]["metadata"], "deletionTimestamp": "2026-11-22T12:00:00Z"},
    }
    assert decide(replace(before, children={**before.children, "Ingress": going}), NOW).retire == ()


def test_a_load_balancer_becomes_a_plain_service() -> None:
    """Without spec.exposure the Service is what it was before it."""
    before = edited(exposed(service={"type": "LoadBalancer"}), exposure=None)
    made = of(decide(before, NOW), "Service")
    assert made == with_digest(service(live_domain(), tls=False))


def test_an_entrance_stays_while_the_domain_is_off() -> None:
    """Its address is in DNS records; it follows the spec meanwhile."""
    before = edited(exposed(ingress={}, service={"type": "LoadBalancer"}), websocket=OFF)
    off = applied(before, decide(before, NOW))
    off = replace(off, pods=(), relays={}, children={k: off.children[k] for k in ("Service", "Ingress")})
    assert (decide(off, NOW).entrance, decide(off, NOW).retire, decide(off, NOW).delete) == ((), (), ())
    assert is_exposed(off)[:2] == ("False", "LoadBalancerPending")
    assert ready(off) == ("True", "Disabled")
    changed = decide(edited(off, exposure={"ingress": {"className": "other"}}), NOW)
    assert entrance(changed) == ["Service", "Ingress"]
    assert retired(decide(edited(off, exposure=None), NOW)) == ["Ingress"]


def test_an_entrance_of_a_lost_name_is_closed() -> None:
    """The host name is another object's now: Ingress and routes go, and the Service leaves DNS."""
    before = exposed(ingress={}, gateway={"parentRefs": PARENTS}, service={"type": "LoadBalancer"}, dns={})
    lost = replace(before, claims=(claim("other", 1), claim("chat", 2)))
    outcome = decide(lost, NOW)
    assert retired(outcome) == ["Ingress", "HTTPRoute"]
    made = of(outcome, "Service")
    assert not any(key.startswith("external-dns") for key in made["metadata"]["annotations"])
    assert made["spec"]["type"] == "LoadBalancer"
    nothing = replace(snapshot(apis=APIS), claims=lost.claims)
    assert (decide(nothing, NOW).entrance, decide(nothing, NOW).retire) == ((), ())


def test_an_entrance_of_a_namespace_that_is_not_selected_stays() -> None:
    """A namespace's labels change no child."""
    outcome = decide(replace(edited(exposed(ingress={}), exposure=None), selected=False), NOW)
    assert (outcome.entrance, outcome.retire) == ((), ())


def test_an_entrance_of_an_unreadable_spec_stays() -> None:
    """What cannot be read keeps what is there, and its condition."""
    before = exposed(service={"type": "LoadBalancer"}, ingress={})
    before = with_status(before, "Service", {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
    before = applied(before, decide(before, NOW))
    unread = edited(before, exposure={"service": {"type": "OfANewerVersion"}})
    outcome = decide(unread, NOW)
    assert (outcome.entrance, outcome.retire) == ((), ())
    (status,) = outcome.status
    assert status.status["addresses"] == before.live["status"]["addresses"]
    assert is_exposed(unread)[:2] == ("False", "IngressPending")


def test_the_service_is_in_dns_where_clients_use_it() -> None:
    """A Service behind another entrance is not published; the only entrance is."""
    only = of(decide(snapshot(live=live_domain(exposure={"dns": {}}), apis=APIS), NOW), "Service")
    assert only["metadata"]["annotations"]["external-dns.kubernetes.io/hostname"] == "chat.example.com"
    behind = snapshot(live=live_domain(exposure={"dns": {}, "ingress": {}}), apis=APIS)
    assert list(of(decide(behind, NOW), "Service")["metadata"]["annotations"]) == ["wsedge.io/desired"]
    assert (
        "external-dns.kubernetes.io/hostname" in of(decide(behind, NOW), "Ingress")["metadata"]["annotations"]
    )


def test_children_of_an_api_that_cannot_be_used_stay() -> None:
    """A right that was revoked by mistake withdraws no entrance."""
    before = exposed(ingress={}, gateway={"parentRefs": PARENTS, "listenerSet": {}})
    assert {"ListenerSet", "HTTPRoute", "Ingress"} <= before.children.keys()
    kept = {kind: live for kind, live in before.children.items() if kind != "ListenerSet"}
    without = replace(before, apis={**APIS, "ListenerSet": FORBIDDEN}, children=kept)
    assert (decide(without, NOW).entrance, decide(without, NOW).retire) == ((), ())
    gone = {**{key: value for key, value in APIS.items() if key != "Ingress"}}
    nowhere = replace(before, apis=gone, children={k: v for k, v in kept.items() if k != "Ingress"})
    assert "Ingress" not in entrance(decide(nowhere, NOW))


def test_an_older_definition_withdraws_nothing() -> None:
    """A rollback of the definition drops spec.exposure: that asks for no deletion."""
    before = edited(exposed(service={"type": "LoadBalancer"}, ingress={}), exposure=None)
    old = replace(before, is_exposure_declared=False)
    outcome = decide(old, NOW)
    assert (outcome.entrance, outcome.retire) == ((), ())
    assert "Service" not in kinds(outcome)
    assert is_exposed(old)[:2] == ("Unknown", "DefinitionOutdated")
    assert is_exposed(replace(served(), is_exposure_declared=False)) == ("", "", "")
    again = decide(old, NOW).reconcile_at
    assert again is not None  # no event tells that the definition was replaced
    assert again <= NOW + timedelta(seconds=30)
    only_ingress = replace(edited(exposed(ingress={}), exposure=None), is_exposure_declared=False)
    assert is_exposed(only_ingress)[:2] == ("Unknown", "DefinitionOutdated")


def test_a_definition_that_was_older_withdraws_nothing() -> None:
    """What it has dropped is lost, but was not withdrawn by a user: that would be another generation."""
    asked = exposed(ingress={})
    asked = applied(asked, decide(asked, NOW))
    asked = with_status(asked, "Ingress", {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
    dropped = edited(asked, exposure=None)
    dropped.live["metadata"]["generation"] -= 1
    outcome = decide(dropped, NOW)
    assert (outcome.entrance, outcome.retire) == ((), ())
    assert is_exposed(dropped)[:2] == ("Unknown", "DefinitionOutdated")
    stays = applied(dropped, outcome)
    assert [entry["value"] for entry in stays.live["status"]["addresses"]] == ["203.0.113.7"]
    assert decide(stays, NOW).status == ()
    assert retired(decide(edited(stays, accessLog={"samplePercent": 1}), NOW)) == ["Ingress"]


def test_an_older_definition_has_no_addresses() -> None:
    """Server-side apply would refuse the whole status for one unknown field."""
    before = exposed(service={"type": "LoadBalancer"})
    before = with_status(before, "Service", {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
    old = decide(replace(before, is_exposure_declared=False), NOW)
    assert old.reconcile_at == NOW + timedelta(seconds=30)
    (status,) = old.status
    assert "addresses" not in status.status
    (status,) = decide(before, NOW).status
    assert status.status["addresses"] == [{"type": "IPAddress", "value": "203.0.113.7", "via": "Service"}]


def test_routes_where_tls_is_passed_through() -> None:
    """With spec.tls a TLSRoute leads to port 443; where TLS ends at the Gateway, the HTTPRoute is alone."""
    keys = {"chat-tls": tls_secret("chat-tls", "chat.example.com")}
    live = live_domain(tls=TLS, exposure={"gateway": {"parentRefs": PARENTS}})
    outcome = decide(snapshot(live=live, secrets=keys, apis=APIS), NOW)
    assert entrance(outcome) == ["Service", "HTTPRoute", "TLSRoute"]
    live = live_domain(tls=TLS, exposure={"gateway": {"parentRefs": PARENTS, "tls": "Terminate"}})
    assert entrance(decide(snapshot(live=live, secrets=keys, apis=APIS), NOW)) == ["Service", "HTTPRoute"]
    # TLSRoute is installed apart from HTTPRoute in older releases of the API.
    apis = {kind: version for kind, version in APIS.items() if kind not in {"TLSRoute", "HTTPRoute"}}
    assert entrance(decide(snapshot(live=live_domain(**live["spec"]), secrets=keys, apis=apis), NOW)) == [
        "Service"
    ]


def test_listeners_of_an_experimental_api() -> None:
    """XListenerSet is used where there is no ListenerSet, and replaced once there is."""
    apis = {**APIS, "XListenerSet": "gateway.networking.x-k8s.io/v1alpha1"}
    older = {kind: version for kind, version in apis.items() if kind != "ListenerSet"}
    before = exposed(apis=older, gateway={"parentRefs": PARENTS, "listenerSet": {}})
    route = before.children["HTTPRoute"]
    assert route["spec"]["parentRefs"] == [
        {"group": "gateway.networking.x-k8s.io", "kind": "XListenerSet", "name": "chat-relay"}
    ]
    outcome = decide(replace(before, apis=apis), NOW)
    assert entrance(outcome) == ["ListenerSet", "HTTPRoute"]
    assert retired(outcome) == ["XListenerSet"]


def test_a_certificate_comes_before_the_relays() -> None:
    """The first configuration waits for the Secret that cert-manager makes."""
    live = live_domain(tls=TLS, exposure={"certificate": ISSUER, "ingress": {}})
    fresh = snapshot(live=live, apis=APIS)
    outcome = decide(fresh, NOW)
    assert (kinds(outcome), entrance(outcome)) == ([], ["Certificate"])
    assert ready(fresh) == ("False", "CertificatePending")
    assert is_exposed(fresh)[:2] == ("False", "CertificatePending")
    waits = applied(fresh, outcome)
    assert decide(waits, NOW).entrance == ()


def test_a_certificate_does_not_replace_a_secret_of_another_owner() -> None:
    """A user who may write a WebSocketDomain may not be allowed to write that Secret."""
    keys = {"chat-tls": tls_secret("chat-tls", "chat.example.com")}
    live = live_domain(tls=TLS, exposure={"certificate": ISSUER})
    theirs = snapshot(live=live, secrets=keys, apis=APIS)
    outcome = decide(theirs, NOW)
    assert entrance(outcome) == ["Service"]
    assert is_exposed(theirs)[:2] == ("False", "SecretOfAnotherOwner")
    assert ready(served(live=live, secrets=keys, apis=APIS)) == ("True", "Serving")
    ours = {**keys["chat-tls"]}
    ours["metadata"] = {**ours["metadata"], "annotations": {"cert-manager.io/certificate-name": "chat-relay"}}
    made = snapshot(live=live, secrets={"chat-tls": ours}, apis=APIS)
    assert entrance(decide(made, NOW)) == ["Service", "Certificate"]
    # Once it is there, it stays although the Secret is replaced by another one.
    running = served(live=live, secrets={"chat-tls": ours}, apis=APIS)
    assert decide(replace(running, secrets=keys), NOW).retire == ()


def test_a_secret_that_no_certificate_makes_is_missing() -> None:
    """Without exposure.certificate the reason is the same as before; so it is for other Secrets."""
    live = live_domain(tls=TLS, exposure={"ingress": {}})
    assert ready(snapshot(live=live, apis=APIS)) == ("False", "SecretNotFound")
    live = live_domain(tls=TLS, exposure={"certificate": ISSUER}, originTLS={"caSecretName": "room-ca"})
    keys = {"chat-tls": secret("chat-tls", {})}
    assert ready(snapshot(live=live, apis=APIS, secrets=keys))[1] == "SecretInvalid"
