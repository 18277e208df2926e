"""The decision about a WebSocketDomain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.operator.keys import certificate
from support.operator.snapshots import (
    IN_FORCE,
    LATER,
    NO_PLAN,
    NOW,
    SCHEDULED,
    URL,
    answer,
    applied,
    claim,
    live_domain,
    message,
    pod,
    report,
    secret,
    served,
    service,
    snapshot,
    stored,
    waiting,
)
from wsedge_operator.reconcile.domain.claims import served_since
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.rollout import pods_to_query
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot, RelayReport
from wsedge_operator.reconcile.outcome import Outcome
from wsedge_relay.contract import RelayConfig


def config(outcome: Outcome) -> RelayConfig:
    (text,) = [made["data"]["relay.json"] for made in outcome.apply if made["kind"] == "ConfigMap"]
    return RelayConfig.model_validate_json(text)


def kinds(outcome: Outcome) -> list[str]:
    return [made["kind"] for made in outcome.apply]


def test_a_new_domain_gets_all_children_in_order() -> None:
    """A child comes before the children that name it; the Deployment comes last."""
    outcome = decide(snapshot(), NOW)
    assert kinds(outcome) == [
        "Secret",
        "ConfigMap",
        "ServiceAccount",
        "Service",
        "PodDisruptionBudget",
        "Deployment",
    ]
    made = config(outcome)
    assert made.generation.startswith("team-a/chat@7.")
    assert made.domains[0].domain == "chat.example.com"
    assert made.domains[0].account == "team-a"
    assert made.statistics is not None
    assert made.statistics.url == URL


def test_a_served_domain_needs_no_write() -> None:
    """The outcome is empty: no write, no poke, no Event."""
    assert decide(served(), NOW) == Outcome()


def test_decisions_are_byte_stable() -> None:
    """The same snapshot gives the same bytes, whenever it is decided."""
    first, second = decide(snapshot(), NOW), decide(snapshot(), NOW + timedelta(days=1))
    assert json.dumps(first.apply) == json.dumps(second.apply)


def test_a_domain_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    """No child is created again while the garbage collector deletes them."""
    live = live_domain()
    live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert decide(snapshot(live=live), NOW) == Outcome()


UNSERVED: dict[str, tuple[dict[str, Any], tuple[str, str], bool]] = {
    "without a plan it waits for one": ({"account_state": NO_PLAN}, ("False", "NoPlan"), False),
    "with a plan for later it is ready": ({"account_state": SCHEDULED}, ("True", "Scheduled"), False),
    "a younger claim is refused": (
        {"claims": (claim("older", day=1), claim("chat", day=2))},
        ("False", "DomainConflict"),
        True,
    ),
    "of equal age the lower uid owns": (
        {"claims": (claim("a"), claim("chat"))},
        ("False", "DomainConflict"),
        True,
    ),
    "switched off it is ready": (
        {"live": live_domain(websocket={"enabled": False})},
        ("True", "Disabled"),
        False,
    ),
    "a younger claim gives way to one that can be served": (
        {"claims": (claim("chat", day=1, can_be_served=False), claim("younger", day=2))},
        ("False", "DomainConflict"),
        True,
    ),
    "a spec that this version cannot read is unreadable": (
        {"live": live_domain(websocket={"enabled": True, "originProtocol": "QUIC"})},
        ("False", "Unreadable"),
        True,
    ),
    "one without a name is unreadable": (
        {"live": live_domain(domain=None), "claims": ()},
        ("False", "Unreadable"),
        True,
    ),
}


@pytest.mark.parametrize(("changes", "ready", "stalled"), UNSERVED.values(), ids=UNSERVED.keys())
def test_a_domain_that_is_not_served(changes: dict[str, Any], ready: tuple[str, str], stalled: bool) -> None:
    """It has no child, and Ready is true if that is as requested."""
    before = snapshot(**changes)
    outcome = decide(before, NOW)
    assert outcome.apply == ()
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ready
    assert (answer(outcome, before, "Stalled")[0] == "True") is stalled


def test_a_scheduled_domain_is_reconciled_when_its_plan_begins() -> None:
    """The next reconciliation is at the start of the plan, which is in the message."""
    before = snapshot(account_state=SCHEDULED)
    outcome = decide(before, NOW)
    assert outcome.reconcile_at == LATER
    assert "2026-12-01T00:00:00Z" in message(outcome, before, "Ready")


def test_a_newer_claim_does_not_change_the_owner() -> None:
    """The outcome of the owner is empty."""
    assert decide(replace(served(), claims=(claim("chat", 1), claim("newer", 2))), NOW) == Outcome()


UNREADABLE: dict[str, dict[str, Any]] = {
    "a protocol of a version to come": {"websocket": {"enabled": True, "originProtocol": "QUIC"}},
    "a type that has changed": {"limits": [{"connections": 1}]},
    "a field that must be is missing": {"origins": None},
    "a switch that is no boolean": {"websocket": {"enabled": "Sometimes", "originProtocol": "HTTP"}},
}


def unread(good: DomainSnapshot, spec: dict[str, Any]) -> DomainSnapshot:
    return replace(good, live={**live_domain(**spec), "status": good.live["status"]})


@pytest.mark.parametrize("spec", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_spec_changes_no_child(spec: dict[str, Any]) -> None:
    """Relays continue, and the condition names the invalid field."""
    before = unread(served(), spec)
    outcome = decide(before, NOW)
    assert (outcome.apply, outcome.delete, outcome.pokes, outcome.costs) == ((), (), (), ())
    assert answer(outcome, before, "Accepted") == ("Unknown", "Unreadable")
    assert answer(outcome, before, "ConfigurationCurrent") == ("True", "Current")
    assert answer(outcome, before, "Ready") == ("False", "Unreadable")
    assert answer(outcome, before, "Stalled") == ("True", "Unreadable")
    (name,) = spec
    assert f"spec.{name}" in message(outcome, before, "Ready")
    assert "the relays continue with their last configuration" in message(outcome, before, "Ready")
    after = applied(before, outcome)
    assert after.live["status"]["configuration"] == before.live["status"]["configuration"]
    assert decide(after, NOW) == Outcome()


def test_a_long_list_of_faults_is_cut() -> None:
    """The API server bounds a message: it has ten faults and the number of others."""
    before = snapshot(live=live_domain(origins=[{"host": "-" * 300, "weight": "x"}] * 64))
    text = message(decide(before, NOW), before, "Ready")
    assert "spec.origins[0].host" in text
    assert "; and 119 more" in text
    assert len(text) < 5000


def test_an_unreadable_domain_can_be_switched_off_and_deleted() -> None:
    """The switch, the end of the plan and the deletion are readable without the whole spec."""
    off = unread(served(), {"websocket": {"enabled": False, "originProtocol": "QUIC"}})
    assert [domain.enabled for domain in config(decide(off, NOW)).domains] == [False]
    quic = {"websocket": {"enabled": True, "originProtocol": "QUIC"}, "lifecycle": {"drainSeconds": "long"}}
    ended = replace(unread(served(), quic), account_state=NO_PLAN)
    assert [domain.enabled for domain in config(decide(ended, NOW)).domains] == [False]
    assert answer(decide(ended, NOW), ended, "Ready") == ("False", "Draining")
    going = unread(served(), quic)
    going.live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert decide(going, NOW) == Outcome()


def test_a_corrected_spec_is_served() -> None:
    """No child changes when the spec is as before the invalid edit."""
    good = served()
    before = applied(unread(good, quic := {"limits": "none"}), decide(unread(good, quic), NOW))
    after = replace(before, live={**live_domain(), "status": before.live["status"]})
    outcome = decide(after, NOW)
    assert (outcome.apply, outcome.delete) == ((), ())
    assert answer(outcome, after, "Ready") == ("True", "Serving")
    assert answer(outcome, after, "Stalled") == ("", "")


def test_unknown_fields_are_ignored_and_reported() -> None:
    """The domain is served; a condition and an Event name the fields."""
    before = snapshot(live=live_domain(exposure={"type": "Gateway"}, relay={"pod": {"labels": {}}}))
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert answer(outcome, before, "Accepted") == ("True", "UnknownFields")
    for path in ("spec.exposure", "spec.relay.pod"):
        assert path in message(outcome, before, "Accepted")
    assert ("Warning", "UnknownFields") in [(note.type, note.reason) for note in outcome.notes]
    assert answer(outcome, before, "Stalled") == ("", "")


def test_a_long_list_of_unknown_fields_is_cut() -> None:
    """The message has ten fields and the number of others."""
    before = snapshot(live=live_domain(**{f"x{number:02}": 1 for number in range(15)}))
    text = message(decide(before, NOW), before, "Accepted")
    assert text.endswith("spec.x08, spec.x09 and 5 more")


@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": -1}, {"conditions": [], "observedGeneration": "7", "address": {"httpPort": "x"}}],
    ids=["that of a new object", "one of another version"],
)
def test_a_status_of_another_version_is_replaced(status: dict[str, Any]) -> None:
    """Only the spec is parsed."""
    before = snapshot(live={**live_domain(), "status": status})
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert applied(before, outcome).live["status"]["observedGeneration"] == 7


def test_another_tenant_is_not_named() -> None:
    """Neither the status nor an Event has the name of an owner in another namespace."""
    others = (claim("secret-name", 1, namespace="team-secret"), claim("chat", 2))
    before = snapshot(claims=others)
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "DomainConflict")
    assert "secret" not in str(outcome)
    same = snapshot(claims=(claim("older", 1), claim("chat", 2)))
    assert '"older"' in message(decide(same, NOW), same, "Ready")


def test_a_served_domain_has_the_condition_name_kept() -> None:
    """It remains while the domain is off, unreadable, without a plan or without a Secret."""
    good = served()
    assert served_since(good.live) == NOW
    later = NOW + timedelta(days=1)
    for spec, account_state in (
        ({"websocket": {"enabled": False}}, IN_FORCE),
        ({"tls": {"secretName": "x"}}, IN_FORCE),
        ({"limits": "none"}, IN_FORCE),
        ({}, NO_PLAN),
    ):
        before = replace(unread(good, spec), account_state=account_state)
        after = applied(before, decide(before, later))
        assert served_since(after.live) == NOW
        assert answer(decide(before, later), before, "NameKept") == ("True", "HasBeenServed")


def test_a_domain_that_was_never_served_has_no_condition_name_kept() -> None:
    """It is off, unreadable, without a plan or without a Secret."""
    for changes in (
        {"live": live_domain(websocket={"enabled": False})},
        {"account_state": NO_PLAN},
        {"live": live_domain(tls={"secretName": "x"})},
        {"live": live_domain(limits="none")},
    ):
        before = snapshot(**changes)
        assert answer(decide(before, NOW), before, "NameKept") == ("", "")


def test_a_domain_that_the_last_release_served_counts_as_served() -> None:
    """Its status has a configuration or an address; the time is that of its creation."""
    for part in ({"configuration": "team-a/chat@7.0"}, {"address": {"service": "chat-relay"}}):
        before = snapshot(live={**live_domain(), "status": part}, statistics_url="")
        after = applied(before, decide(before, NOW))
        assert served_since(after.live) == datetime(2026, 11, 1, tzinfo=UTC)


PROBLEMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a missing Service": (
        {"live": live_domain(origins=[{"service": {"name": "room", "port": 80}}])},
        "ServiceNotFound",
        'spec.origins[0].service.name: Service "room" not found',
    ),
    "a Service without that port": (
        {
            "live": live_domain(origins=[{"host": "a"}, {"service": {"name": "room", "port": 80}}]),
            "services": {"room": service("room", 8000, 9000)},
        },
        "ServicePortNotFound",
        'spec.origins[1].service.port: Service "room" has no port 80 (it has 8000, 9000)',
    ),
    "a headless Service": (
        {
            "live": live_domain(origins=[{"service": {"name": "room", "port": 80}}]),
            "services": {"room": service("room", 80, clusterIP="None")},
        },
        "ServiceWithoutAddress",
        'spec.origins[0].service.name: Service "room" has no cluster IP (it is headless);'
        " name a Service that has one, or hosts",
    ),
    "a missing TLS Secret": (
        {"live": live_domain(tls={"secretName": "x"})},
        "SecretNotFound",
        'spec.tls.secretName: Secret "x" not found',
    ),
    "a Secret without the key": (
        {"live": live_domain(tls={"secretName": "x"}), "secrets": {"x": secret("x", tls_crt=b"c")}},
        "SecretInvalid",
        'spec.tls.secretName: Secret "x" has no key tls.key',
    ),
    "a Secret that holds no certificate": (
        {
            "live": live_domain(tls={"secretName": "x"}),
            "secrets": {"x": secret("x", tls_crt=b"c", tls_key=b"k")},
        },
        "SecretInvalid",
        'spec.tls.secretName: Secret "x": tls.crt has no PEM certificate',
    ),
    "a Secret whose key is no key": (
        {
            "live": live_domain(tls={"secretName": "x"}),
            "secrets": {"x": secret("x", tls_crt=certificate()[0], tls_key=b"k")},
        },
        "SecretInvalid",
        'spec.tls.secretName: Secret "x": tls.key has no PEM private key without a password',
    ),
    "a key of another certificate": (
        {
            "live": live_domain(tls={"secretName": "x"}),
            "secrets": {"x": secret("x", tls_crt=certificate()[0], tls_key=certificate()[1])},
        },
        "CertificateMismatch",
        'spec.tls.secretName: Secret "x": the key in tls.key does not belong to the certificate in tls.crt',
    ),
    "a missing authority": (
        {"live": live_domain(originTLS={"caSecretName": "ca"})},
        "SecretNotFound",
        'spec.originTLS.caSecretName: Secret "ca" not found',
    ),
    "a missing client certificate": (
        {"live": live_domain(originTLS={"clientCertificateSecretName": "c"})},
        "SecretNotFound",
        'spec.originTLS.clientCertificateSecretName: Secret "c" not found',
    ),
    "statistics that are not there": (
        {"statistics_url": ""},
        "StatisticsNotFound",
        "statistics: the Service of the statistics is not found",
    ),
}


@pytest.mark.parametrize(("changes", "reason", "text"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_fault_of_a_reference_is_named_by_field(changes: dict[str, Any], reason: str, text: str) -> None:
    """A new domain gets no children; the message has the field, the object and the fault."""
    before = snapshot(**changes)
    outcome = decide(before, NOW)
    assert outcome.apply == ()
    assert answer(outcome, before, "ConfigurationCurrent") == ("False", reason)
    assert answer(outcome, before, "Ready") == ("False", reason)
    # It may be on its way, applied in the same second.
    assert answer(outcome, before, "Stalled") == ("False", reason)
    assert message(outcome, before, "Ready") == text


@pytest.mark.parametrize(("changes", "reason", "text"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_the_last_good_configuration_remains(changes: dict[str, Any], reason: str, text: str) -> None:
    """A served domain keeps its configuration, key material and pods."""
    good = served()
    live = {**changes.get("live", good.live), "status": good.live["status"]}
    before = replace(good, **{**changes, "live": live})
    outcome = decide(before, NOW)
    assert "ConfigMap" not in kinds(outcome)
    assert "Secret" not in kinds(outcome)
    assert "Service" not in kinds(outcome)
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ("False", reason)


def test_all_faults_are_in_one_message() -> None:
    """A person can correct all fields in one edit."""
    live = live_domain(
        tls={"secretName": "x"},
        originTLS={"caSecretName": "ca"},
        origins=[{"service": {"name": "r", "port": 1}}],
    )
    before = snapshot(live=live)
    text = message(decide(before, NOW), before, "Ready")
    assert [path in text for path in ("spec.origins[0]", "spec.tls", "spec.originTLS")] == [True] * 3


def test_a_service_is_reached_at_its_cluster_ip() -> None:
    """service.port is both ports, unless httpPort or httpsPort is set."""
    origins = [{"service": {"name": "room", "port": 8000}, "httpsPort": 8443, "weight": 3}]
    services = {"room": service("room", 8000, 8443)}
    (origin,) = (
        config(decide(snapshot(live=live_domain(origins=origins), services=services), NOW)).domains[0].origins
    )
    assert (origin.host, origin.httpPort, origin.httpsPort, origin.weight) == ("127.96.0.7", 8000, 8443, 3)


def test_a_service_of_an_external_name_is_that_name() -> None:
    """An ExternalName Service needs no cluster IP."""
    services = {"room": service("room", type="ExternalName", externalName="room.example.net")}
    live = live_domain(origins=[{"service": {"name": "room", "port": 80}}])
    (origin,) = config(decide(snapshot(live=live, services=services), NOW)).domains[0].origins
    assert origin.host == "room.example.net"


def tls_snapshot(host: str = "chat.example.com", **options: Any) -> DomainSnapshot:
    chain, key = certificate(host, begins=NOW - timedelta(days=1), **options)
    return snapshot(
        live=live_domain(tls={"secretName": "x"}), secrets={"x": secret("x", tls_crt=chain, tls_key=key)}
    )


def test_key_material_goes_into_one_secret_before_the_configuration() -> None:
    """The Secret is applied first, the Service gets port 443, the pod template does not change."""
    outcome = decide(tls_snapshot(), NOW)
    assert kinds(outcome)[:2] == ["Secret", "ConfigMap"]
    assert sorted(outcome.apply[0]["data"]) == ["admin-token", "tls.crt", "tls.key"]
    tls = config(outcome).domains[0].tls
    assert tls is not None
    assert tls.fingerprint is not None
    ports = [p["port"] for made in outcome.apply if made["kind"] == "Service" for p in made["spec"]["ports"]]
    assert ports == [80, 443]


def test_a_rotated_certificate_is_a_new_generation_and_no_new_pod() -> None:
    """The fingerprint and the generation differ; the Deployment is equal."""
    first, second = decide(tls_snapshot(), NOW), decide(tls_snapshot(), NOW)
    assert config(first).generation != config(second).generation
    assert first.apply[-1] == second.apply[-1]
    assert first.apply[-1]["kind"] == "Deployment"


def test_key_material_is_removed_with_the_last_reference() -> None:
    """Without spec.tls the Secret has only the relays' token; no pod changes."""
    before = served()
    child = before.children["Secret"]
    child = {**child, "data": {**child["data"], "tls.key": "eA=="}}
    child["metadata"] = {**child["metadata"], "annotations": {"wsedge.io/desired": "of-before"}}
    outcome = decide(replace(before, children={**before.children, "Secret": child}), NOW)
    assert [(made["kind"], sorted(made["data"])) for made in outcome.apply] == [("Secret", ["admin-token"])]
    assert outcome.delete == ()


def test_a_child_that_is_being_deleted_is_not_deleted_again() -> None:
    """A finalizer of another client may delay the deletion."""
    before = served()
    going = {
        kind: stored(
            {
                "apiVersion": version,
                "kind": kind,
                "metadata": {
                    "name": "chat-relay",
                    "namespace": "team-a",
                    "deletionTimestamp": "2026-11-22T12:00:00Z",
                },
            }
        )
        for kind, version in (("Secret", "v1"), ("PodDisruptionBudget", "policy/v1"))
    }
    single = live_domain(relay={"replicas": 1})
    outcome = decide(replace(before, live=single, children={**before.children, **going}), NOW)
    assert outcome.delete == ()


def test_a_domain_is_reconciled_when_its_certificate_expires() -> None:
    """The condition becomes CertificateExpired then."""
    assert decide(tls_snapshot(days=3), NOW).reconcile_at == NOW + timedelta(days=2)


@pytest.mark.parametrize(
    ("host", "at", "reason"),
    [
        ("chat.example.com", NOW + timedelta(days=60), "CertificateExpired"),
        ("other.example.com", NOW, "CertificateName"),
        ("*.example.com", NOW, "Current"),
    ],
)
def test_a_certificate_that_clients_may_refuse_is_served_with_a_warning(
    host: str, at: datetime, reason: str
) -> None:
    """It has expired or names another domain: Ready is true, and the condition has the reason."""
    before = tls_snapshot(host)
    before = applied(before, decide(before, at))
    alive = pod()
    generation = before.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    before = replace(before, pods=(alive,), relays={"uid-pod-1": report(alive, generation)})
    assert answer(decide(before, at), before, "ConfigurationCurrent") == ("True", reason)
    assert answer(decide(before, at), before, "Ready") == ("True", "Serving")


def edited(**changes: Any) -> DomainSnapshot:
    """Return a served domain whose heartbeat was edited just now."""
    good = served(**changes)
    live = live_domain(websocket={"enabled": True, "heartbeatSeconds": 5, "originProtocol": "HTTP"})
    live["metadata"]["generation"] = 8
    live["status"] = good.live["status"]
    return replace(good, live=live)


def test_an_edit_changes_only_the_configuration_and_pokes_the_pods() -> None:
    """One ConfigMap is applied; pods that lag are poked once in ten seconds and queried again."""
    before = edited()
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    generation = config(outcome).generation
    assert {(poke.pod, poke.generation) for poke in outcome.pokes} == {
        ("pod-1", generation),
        ("pod-2", generation),
    }
    assert answer(outcome, before, "ConfigurationCurrent") == ("False", "RollingOut")
    assert outcome.reconcile_at == NOW + timedelta(seconds=1)
    annotations = {"wsedge.io/generation": generation, "wsedge.io/poked-at": "2026-11-22T12:00:00Z"}
    poked = [{**live, "metadata": {**live["metadata"], "annotations": annotations}} for live in before.pods]
    after = replace(applied(before, outcome), pods=tuple(poked))
    assert decide(after, NOW + timedelta(seconds=9)).pokes == ()
    assert len(decide(after, NOW + timedelta(seconds=10)).pokes) == 2


def test_a_relay_that_refuses_a_configuration_is_reported() -> None:
    """The condition has the relay's reason."""
    before = edited()
    before = applied(before, decide(before, NOW))
    generation = before.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    refusing = report(before.pods[0], "old", refusedGeneration=generation, refusedReason="domains.0: no")
    before = replace(before, relays={**before.relays, "uid-pod-1": refusing})
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "Refused")
    assert message(outcome, before, "Ready").endswith("domains.0: no")


def test_the_delay_before_the_next_query_grows() -> None:
    """A relay behind a network policy never answers; the condition has its name and the error."""
    before = edited()
    silent = pod("pod-1")
    silent["status"]["containerStatuses"][0]["ready"] = True
    before = replace(before, pods=(silent,), relays={"uid-pod-1": RelayReport(0, None, "TimeoutError: ")})
    before = applied(before, decide(before, NOW))
    for minutes, seconds in ((0, 1), (2, 12), (60, 30)):
        now = NOW + timedelta(minutes=minutes)
        assert decide(before, now).reconcile_at == now + timedelta(seconds=seconds)
    told = message(decide(before, NOW), before, "ConfigurationCurrent")
    assert told.endswith("; pod-1 does not answer: TimeoutError: ")


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "an image that cannot be pulled": (waiting("ErrImagePull", "not found"), "ImagePullBackOff"),
    "an image that is not tried for a while": (waiting("ImagePullBackOff"), "ImagePullBackOff"),
    "a missing key of a ConfigMap": (waiting("CreateContainerConfigError"), "CreateContainerConfigError"),
    "a container that crashes": (waiting("CrashLoopBackOff", restarts=3), "CrashLoopBackOff"),
    "a container that crashed and runs for a moment": (
        {"containerStatuses": [{"restartCount": 2, "ready": False, "state": {"running": {}}}]},
        "CrashLoopBackOff",
    ),
    "no node that fits": (
        {
            "containerStatuses": [],
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
            ],
        },
        "Unschedulable",
    ),
    "a container on its way": (waiting("ContainerCreating"), "RelaysStarting"),
}


@pytest.mark.parametrize(("status", "reason"), TROUBLE.values(), ids=TROUBLE.keys())
def test_why_a_relay_does_not_run(status: dict[str, Any], reason: str) -> None:
    """The reason of Ready is the word of Kubernetes for the pod's problem."""
    before = served()
    program = {**before.children["Deployment"], "status": {"observedGeneration": 1, "availableReplicas": 0}}
    before = replace(
        before, pods=(pod("pod-1", **status),), children={**before.children, "Deployment": program}
    )
    assert answer(decide(before, NOW), before, "Ready") == ("False", reason)


def test_a_deployment_that_cannot_create_pods_is_reported() -> None:
    """Its condition ReplicaFailure has the cause: a quota or an admission policy."""
    before = served()
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    program = {**before.children["Deployment"], "status": {"conditions": [failure]}}
    before = replace(before, pods=(), relays={}, children={**before.children, "Deployment": program})
    assert answer(decide(before, NOW), before, "Ready") == ("False", "FailedCreate")


def test_a_refused_write_is_reported() -> None:
    """The message is the API server's answer."""
    before = snapshot(failure="PATCH …: 403 Forbidden: exceeded quota")
    assert answer(decide(before, NOW), before, "Ready") == ("False", "ApplyFailed")


def switched_off(connections: int, at: datetime = NOW) -> tuple[DomainSnapshot, Outcome]:
    """Return a domain that is switched off at NOW and drains, and its outcome at `at`."""
    good = served()
    live = live_domain(websocket={"enabled": False, "originProtocol": "HTTP"})
    live["metadata"]["generation"] = 8
    live["status"] = good.live["status"]
    before = replace(good, live=live)
    outcome = decide(before, NOW)
    after = applied(before, outcome)
    generation = config(outcome).generation
    relays = {p["metadata"]["uid"]: report(p, generation, connections=connections) for p in after.pods}
    after = replace(after, relays=relays)
    return after, decide(after, at)


def test_switching_off_drains_first() -> None:
    """Relays are poked and queried; no child is deleted while connections are open."""
    good = served()
    live = {**live_domain(websocket={"enabled": False}), "status": good.live["status"]}
    before = replace(good, live=live)
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [False]
    assert outcome.apply[0]["metadata"]["annotations"]["wsedge.io/draining-since"] == "2026-11-22T12:00:00Z"
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ("False", "Draining")
    _, waiting_on = switched_off(connections=3)
    assert waiting_on.delete == ()
    assert waiting_on.apply == ()
    assert waiting_on.reconcile_at == NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("connections", "after_seconds"), [(0, 1), (3, 30 + 15)], ids=["all closed", "deadline passed"]
)
def test_the_deployment_is_deleted_first_then_the_other_children(
    connections: int, after_seconds: int
) -> None:
    """The other children follow once no pod is left, except for the Service."""
    before, outcome = switched_off(connections, NOW + timedelta(seconds=after_seconds))
    assert {ref.kind for ref in outcome.delete} == {"PodDisruptionBudget", "Deployment"}
    gone = replace(applied(before, outcome), pods=())
    last = decide(gone, NOW)
    assert {ref.kind for ref in last.delete} == {"ConfigMap", "Secret", "ServiceAccount"}
    end = applied(gone, last)
    assert answer(decide(end, NOW), end, "Ready") == ("True", "Disabled")
    assert end.children.keys() == {"Service"}
    assert "configuration" not in applied(end, decide(end, NOW)).live["status"]


def test_children_of_pods_that_end_are_retained() -> None:
    """Pods that end still report their last usage with their token."""
    before, outcome = switched_off(0)
    assert decide(applied(before, outcome), NOW).delete == ()


def test_a_plan_that_ends_drains_too() -> None:
    """The end of the plan switches the domain off."""
    before = replace(served(), account_state=NO_PLAN)
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [False]
    assert answer(outcome, before, "Ready") == ("False", "Draining")


def test_switching_on_again_ends_the_drain() -> None:
    """The ConfigMap has no draining-since annotation, and no pod changes."""
    before, _ = switched_off(3)
    live = {**live_domain(), "status": before.live["status"]}
    outcome = decide(replace(before, live=live), NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [True]
    assert "wsedge.io/draining-since" not in outcome.apply[0]["metadata"]["annotations"]


def test_relays_that_do_not_run_need_no_drain() -> None:
    """A pod that crashes has no connection."""
    good = served(pods=[pod("pod-1", **waiting("CrashLoopBackOff"))])
    live = {**live_domain(websocket={"enabled": False}), "status": good.live["status"]}
    outcome = decide(replace(good, live=live), NOW)
    assert "Deployment" in {ref.kind for ref in outcome.delete}


def test_one_relay_needs_no_budget() -> None:
    """With a single relay the budget would protect nothing."""
    assert "PodDisruptionBudget" not in kinds(decide(snapshot(live=live_domain(relay={"replicas": 1})), NOW))


def test_each_change_of_ready_is_one_event() -> None:
    """Its type is Warning if the reason does not end without an edit."""
    before = snapshot(account_state=NO_PLAN)
    first = decide(before, NOW)
    assert [(note.type, note.reason) for note in first.notes] == [("Warning", "NoPlan")]
    assert decide(applied(before, first), NOW).notes == ()


def test_only_relays_that_lag_are_queried() -> None:
    """A relay lags if its container restarted, it runs another generation, or it did not answer."""
    good = served()
    config_map = good.children["ConfigMap"]
    assert pods_to_query(good.pods, good.relays, config_map) == []
    again = pod("pod-1")
    again["status"]["containerStatuses"][0]["restartCount"] = 1
    assert pods_to_query([again], good.relays, config_map) == [again]
    mute = {"uid-pod-1": RelayReport(0, None, "refused")}
    assert pods_to_query([good.pods[0]], mute, config_map) == [good.pods[0]]
    assert pods_to_query([pod("pod-9", **waiting("CrashLoopBackOff"))], {}, config_map) == []
    assert pods_to_query(good.pods, good.relays, None) == []


def test_all_relays_are_queried_while_they_drain() -> None:
    """Their answers have the number of open connections."""
    before, _ = switched_off(3)
    assert len(pods_to_query(before.pods, before.relays, before.children["ConfigMap"])) == 2


def test_a_served_domain_is_reconciled_when_its_plan_ends() -> None:
    """The next reconciliation is at the time of the change."""
    ending = replace(IN_FORCE, reason="Ending", changes_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert decide(replace(served(), account_state=ending), NOW).reconcile_at == datetime(
        2026, 12, 1, tzinfo=UTC
    )
