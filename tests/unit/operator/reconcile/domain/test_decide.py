"""What is decided for a WebSocketDomain, sentence by sentence."""

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
    """What is named comes before what names it; the pods come last."""
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


def test_a_served_domain_is_left_alone() -> None:
    """Nothing is applied, deleted, poked, written or told for a domain that is as it should be."""
    assert decide(served(), NOW) == Outcome()


def test_decisions_are_byte_stable() -> None:
    """The same snapshot gives the same bytes, at whatever time."""
    first, second = decide(snapshot(), NOW), decide(snapshot(), NOW + timedelta(days=1))
    assert json.dumps(first.apply) == json.dumps(second.apply)


def test_a_domain_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    """No child is made anew while the domain waits for its children to go."""
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
def test_not_served(changes: dict[str, Any], ready: tuple[str, str], stalled: bool) -> None:
    """A domain that is not to be served has no child, and Ready says whether that is well."""
    before = snapshot(**changes)
    outcome = decide(before, NOW)
    assert outcome.apply == ()
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ready
    assert (answer(outcome, before, "Stalled")[0] == "True") is stalled


def test_a_scheduled_domain_is_looked_at_when_its_plan_begins() -> None:
    """The wake-up is the plan's first instant, and the status gives it."""
    before = snapshot(account_state=SCHEDULED)
    outcome = decide(before, NOW)
    assert outcome.reconcile_at == LATER
    assert "2026-12-01T00:00:00Z" in message(outcome, before, "Ready")


def test_the_owner_of_a_domain_is_not_disturbed_by_claims() -> None:
    """The oldest claim stays accepted, whoever else claims."""
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
def test_what_cannot_be_read_keeps_all_that_serves(spec: dict[str, Any]) -> None:
    """Nobody decided to switch it off: no child is touched, and the status tells which field it is."""
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


def test_a_flood_of_problems_is_cut() -> None:
    """A condition's message is bounded by the API server: ten are named, the rest counted."""
    before = snapshot(live=live_domain(origins=[{"host": "-" * 300, "weight": "x"}] * 64))
    text = message(decide(before, NOW), before, "Ready")
    assert "spec.origins[0].host" in text
    assert "; and 119 more" in text
    assert len(text) < 5000


def test_what_is_understood_of_an_unreadable_object_is_done() -> None:
    """Switched off, or without a plan in force, it is drained; deleted, it goes."""
    off = unread(served(), {"websocket": {"enabled": False, "originProtocol": "QUIC"}})
    assert [domain.enabled for domain in config(decide(off, NOW)).domains] == [False]
    quic = {"websocket": {"enabled": True, "originProtocol": "QUIC"}, "lifecycle": {"drainSeconds": "long"}}
    ended = replace(unread(served(), quic), account_state=NO_PLAN)
    assert [domain.enabled for domain in config(decide(ended, NOW)).domains] == [False]
    assert answer(decide(ended, NOW), ended, "Ready") == ("False", "Draining")
    going = unread(served(), quic)
    going.live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert decide(going, NOW) == Outcome()


def test_a_domain_that_can_be_read_again_goes_on() -> None:
    """When it has been put right, it is served as if nothing had been."""
    good = served()
    before = applied(unread(good, quic := {"limits": "none"}), decide(unread(good, quic), NOW))
    after = replace(before, live={**live_domain(), "status": before.live["status"]})
    outcome = decide(after, NOW)
    assert (outcome.apply, outcome.delete) == ((), ())
    assert answer(outcome, after, "Ready") == ("True", "Serving")
    assert answer(outcome, after, "Stalled") == ("", "")


def test_fields_of_a_version_to_come_are_ignored_and_told() -> None:
    """The domain is served by the rest; condition and event name the fields."""
    before = snapshot(live=live_domain(exposure={"type": "Gateway"}, relay={"pod": {"labels": {}}}))
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert answer(outcome, before, "Accepted") == ("True", "UnknownFields")
    for path in ("spec.exposure", "spec.relay.pod"):
        assert path in message(outcome, before, "Accepted")
    assert ("Warning", "UnknownFields") in [(note.type, note.reason) for note in outcome.notes]
    assert answer(outcome, before, "Stalled") == ("", "")


def test_a_flood_of_unknown_fields_is_cut() -> None:
    """Ten are named, the rest counted."""
    before = snapshot(live=live_domain(**{f"x{number:02}": 1 for number in range(15)}))
    text = message(decide(before, NOW), before, "Accepted")
    assert text.endswith("spec.x08, spec.x09 and 5 more")


@pytest.mark.parametrize(
    "status",
    [{"observedGeneration": -1}, {"conditions": [], "observedGeneration": "7", "address": {"httpPort": "x"}}],
    ids=["that of a new object", "one of another version"],
)
def test_a_status_of_another_version_hinders_nobody(status: dict[str, Any]) -> None:
    """The spec is what is asked for; the status is written anew."""
    before = snapshot(live={**live_domain(), "status": status})
    outcome = decide(before, NOW)
    assert "Deployment" in kinds(outcome)
    assert applied(before, outcome).live["status"]["observedGeneration"] == 7


def test_another_tenant_is_not_named() -> None:
    """Whose a name is concerns its namespace alone: neither status nor event of another one tells."""
    others = (claim("secret-name", 1, namespace="team-secret"), claim("chat", 2))
    before = snapshot(claims=others)
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "DomainConflict")
    assert "secret" not in str(outcome)
    same = snapshot(claims=(claim("older", 1), claim("chat", 2)))
    assert '"older"' in message(decide(same, NOW), same, "Ready")


def test_the_first_service_is_noted_for_ever() -> None:
    """From then on the name is kept, also while it is off or cannot be resolved."""
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


def test_what_was_never_served_has_no_such_note() -> None:
    """Neither switched off, nor without a plan, nor with a Secret that is missing."""
    for changes in (
        {"live": live_domain(websocket={"enabled": False})},
        {"account_state": NO_PLAN},
        {"live": live_domain(tls={"secretName": "x"})},
        {"live": live_domain(limits="none")},
    ):
        before = snapshot(**changes)
        assert answer(decide(before, NOW), before, "NameKept") == ("", "")


def test_what_the_last_release_served_counts_as_served() -> None:
    """It noted no time: configuration or address shows it, and the object's creation stands for it."""
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
def test_what_cannot_be_resolved_is_told_by_field(changes: dict[str, Any], reason: str, text: str) -> None:
    """A new domain waits with nothing made; the condition names field, thing and rule."""
    before = snapshot(**changes)
    outcome = decide(before, NOW)
    assert outcome.apply == ()
    assert answer(outcome, before, "ConfigurationCurrent") == ("False", reason)
    assert answer(outcome, before, "Ready") == ("False", reason)
    # It may be on its way, applied in the same second.
    assert answer(outcome, before, "Stalled") == ("False", reason)
    assert message(outcome, before, "Ready") == text


@pytest.mark.parametrize(("changes", "reason", "text"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_the_last_good_configuration_stays(changes: dict[str, Any], reason: str, text: str) -> None:
    """A served domain keeps configuration, key material and pods, and says what is wrong."""
    good = served()
    live = {**changes.get("live", good.live), "status": good.live["status"]}
    before = replace(good, **{**changes, "live": live})
    outcome = decide(before, NOW)
    assert "ConfigMap" not in kinds(outcome)
    assert "Secret" not in kinds(outcome)
    assert "Service" not in kinds(outcome)
    assert outcome.delete == ()
    assert answer(outcome, before, "Ready") == ("False", reason)


def test_all_problems_are_told_at_once() -> None:
    """A person mends all fields in one edit."""
    live = live_domain(
        tls={"secretName": "x"},
        originTLS={"caSecretName": "ca"},
        origins=[{"service": {"name": "r", "port": 1}}],
    )
    before = snapshot(live=live)
    text = message(decide(before, NOW), before, "Ready")
    assert [path in text for path in ("spec.origins[0]", "spec.tls", "spec.originTLS")] == [True] * 3


def test_a_service_is_reached_at_its_cluster_ip() -> None:
    """The port of the Service stands for both ports unless they are given."""
    origins = [{"service": {"name": "room", "port": 8000}, "httpsPort": 8443, "weight": 3}]
    services = {"room": service("room", 8000, 8443)}
    (origin,) = (
        config(decide(snapshot(live=live_domain(origins=origins), services=services), NOW)).domains[0].origins
    )
    assert (origin.host, origin.httpPort, origin.httpsPort, origin.weight) == ("127.96.0.7", 8000, 8443, 3)


def test_a_service_of_an_external_name_is_that_name() -> None:
    """An ExternalName Service needs no address of the cluster."""
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
    """The child Secret is applied first, the Service gets its port 443, the pods are not concerned."""
    outcome = decide(tls_snapshot(), NOW)
    assert kinds(outcome)[:2] == ["Secret", "ConfigMap"]
    assert sorted(outcome.apply[0]["data"]) == ["admin-token", "tls.crt", "tls.key"]
    tls = config(outcome).domains[0].tls
    assert tls is not None
    assert tls.fingerprint is not None
    ports = [p["port"] for made in outcome.apply if made["kind"] == "Service" for p in made["spec"]["ports"]]
    assert ports == [80, 443]


def test_a_rotated_certificate_is_a_new_generation_and_no_new_pod() -> None:
    """Another fingerprint, another generation, the same pod template."""
    first, second = decide(tls_snapshot(), NOW), decide(tls_snapshot(), NOW)
    assert config(first).generation != config(second).generation
    assert first.apply[-1] == second.apply[-1]
    assert first.apply[-1]["kind"] == "Deployment"


def test_key_material_goes_with_the_last_reference() -> None:
    """Without spec.tls the child Secret has the relays' token alone, and its pods stay."""
    before = served()
    child = before.children["Secret"]
    child = {**child, "data": {**child["data"], "tls.key": "eA=="}}
    child["metadata"] = {**child["metadata"], "annotations": {"wsedge.io/desired": "of-before"}}
    outcome = decide(replace(before, children={**before.children, "Secret": child}), NOW)
    assert [(made["kind"], sorted(made["data"])) for made in outcome.apply] == [("Secret", ["admin-token"])]
    assert outcome.delete == ()


def test_what_goes_already_is_not_deleted_again() -> None:
    """A Secret or a budget that somebody's finalizer holds is left to that."""
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


def test_a_certificate_is_looked_at_when_it_runs_out() -> None:
    """The operator wakes up at the end of the certificate to say so."""
    assert decide(tls_snapshot(days=3), NOW).reconcile_at == NOW + timedelta(days=2)


@pytest.mark.parametrize(
    ("host", "at", "reason"),
    [
        ("chat.example.com", NOW + timedelta(days=60), "CertificateExpired"),
        ("other.example.com", NOW, "CertificateName"),
        ("*.example.com", NOW, "Current"),
    ],
)
def test_a_doubtful_certificate_is_served_and_told(host: str, at: datetime, reason: str) -> None:
    """Expired, or for another name: the relays get it all the same, the condition says so."""
    before = tls_snapshot(host)
    before = applied(before, decide(before, at))
    alive = pod()
    generation = before.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    before = replace(before, pods=(alive,), relays={"uid-pod-1": report(alive, generation)})
    assert answer(decide(before, at), before, "ConfigurationCurrent") == ("True", reason)
    assert answer(decide(before, at), before, "Ready") == ("True", "Serving")


def edited(**changes: Any) -> DomainSnapshot:
    """A served domain whose heartbeat was edited just now."""
    good = served(**changes)
    live = live_domain(websocket={"enabled": True, "heartbeatSeconds": 5, "originProtocol": "HTTP"})
    live["metadata"]["generation"] = 8
    live["status"] = good.live["status"]
    return replace(good, live=live)


def test_an_edit_changes_the_configuration_alone_and_pokes_the_pods() -> None:
    """One ConfigMap is applied, each pod that runs something else is poked once, and asked again soon."""
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


def test_a_relay_that_refuses_is_told_with_its_reason() -> None:
    """The status carries what the relay says about the configuration."""
    before = edited()
    before = applied(before, decide(before, NOW))
    generation = before.children["ConfigMap"]["metadata"]["annotations"]["wsedge.io/generation"]
    refusing = report(before.pods[0], "old", refusedGeneration=generation, refusedReason="domains.0: no")
    before = replace(before, relays={**before.relays, "uid-pod-1": refusing})
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "Refused")
    assert message(outcome, before, "Ready").endswith("domains.0: no")


def test_a_relay_that_does_not_answer_is_asked_less_and_less() -> None:
    """Behind a network policy it would keep the operator busy for ever; the status says which and why."""
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
    """Ready's reason is Kubernetes' own word for what keeps the pod."""
    before = served()
    program = {**before.children["Deployment"], "status": {"observedGeneration": 1, "availableReplicas": 0}}
    before = replace(
        before, pods=(pod("pod-1", **status),), children={**before.children, "Deployment": program}
    )
    assert answer(decide(before, NOW), before, "Ready") == ("False", reason)


def test_a_deployment_that_can_make_no_pod_is_told() -> None:
    """A quota or an admission rule that refuses pods is in the Deployment's ReplicaFailure."""
    before = served()
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    program = {**before.children["Deployment"], "status": {"conditions": [failure]}}
    before = replace(before, pods=(), relays={}, children={**before.children, "Deployment": program})
    assert answer(decide(before, NOW), before, "Ready") == ("False", "FailedCreate")


def test_a_write_that_was_refused_is_told() -> None:
    """The API server's words are in the condition."""
    before = snapshot(failure="PATCH …: 403 Forbidden: exceeded quota")
    assert answer(decide(before, NOW), before, "Ready") == ("False", "ApplyFailed")


def switched_off(connections: int, at: datetime = NOW) -> tuple[DomainSnapshot, Outcome]:
    """A domain that was served and switched off at NOW; its relays run that, with open connections."""
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
    """The relays are told, poked, and asked again; nothing is deleted while connections are open."""
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
def test_drained_relays_go_first_then_the_rest(connections: int, after_seconds: int) -> None:
    """Budget and Deployment; once the pods are gone, what they used. The Service keeps its address."""
    before, outcome = switched_off(connections, NOW + timedelta(seconds=after_seconds))
    assert {ref.kind for ref in outcome.delete} == {"PodDisruptionBudget", "Deployment"}
    gone = replace(applied(before, outcome), pods=())
    last = decide(gone, NOW)
    assert {ref.kind for ref in last.delete} == {"ConfigMap", "Secret", "ServiceAccount"}
    end = applied(gone, last)
    assert answer(decide(end, NOW), end, "Ready") == ("True", "Disabled")
    assert end.children.keys() == {"Service"}
    assert "configuration" not in applied(end, decide(end, NOW)).live["status"]


def test_what_the_pods_use_stays_until_they_are_gone() -> None:
    """Pods that are going still report their last counts with their token."""
    before, outcome = switched_off(0)
    assert decide(applied(before, outcome), NOW).delete == ()


def test_a_plan_that_ends_drains_too() -> None:
    """The end of the plan is a switch-off."""
    before = replace(served(), account_state=NO_PLAN)
    outcome = decide(before, NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [False]
    assert answer(outcome, before, "Ready") == ("False", "Draining")


def test_switching_on_again_ends_the_drain() -> None:
    """The configuration loses its drain, the pods stay."""
    before, _ = switched_off(3)
    live = {**live_domain(), "status": before.live["status"]}
    outcome = decide(replace(before, live=live), NOW)
    assert kinds(outcome) == ["ConfigMap"]
    assert [domain.enabled for domain in config(outcome).domains] == [True]
    assert "wsedge.io/draining-since" not in outcome.apply[0]["metadata"]["annotations"]


def test_relays_that_never_ran_are_not_waited_for() -> None:
    """Crash-looping pods have no connection to close."""
    good = served(pods=[pod("pod-1", **waiting("CrashLoopBackOff"))])
    live = {**live_domain(websocket={"enabled": False}), "status": good.live["status"]}
    outcome = decide(replace(good, live=live), NOW)
    assert "Deployment" in {ref.kind for ref in outcome.delete}


def test_one_relay_needs_no_budget() -> None:
    """With a single relay a budget would keep nodes from being drained."""
    assert "PodDisruptionBudget" not in kinds(decide(snapshot(live=live_domain(relay={"replicas": 1})), NOW))


def test_each_turn_of_ready_is_told_once() -> None:
    """An Event per change of Ready's reason; Warning when it does not pass by itself."""
    before = snapshot(account_state=NO_PLAN)
    first = decide(before, NOW)
    assert [(note.type, note.reason) for note in first.notes] == [("Warning", "NoPlan")]
    assert decide(applied(before, first), NOW).notes == ()


def test_only_relays_that_lag_are_asked() -> None:
    """Current pods are left in peace; a restarted container, or another generation, is asked."""
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


def test_all_relays_are_asked_while_they_drain() -> None:
    """The number of open connections is only known by asking."""
    before, _ = switched_off(3)
    assert len(pods_to_query(before.pods, before.relays, before.children["ConfigMap"])) == 2


def test_a_later_end_of_the_plan_is_looked_at() -> None:
    """A served domain wakes up at the instant at which its plan changes."""
    ending = replace(IN_FORCE, reason="Ending", changes_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert decide(replace(served(), account_state=ending), NOW).reconcile_at == datetime(
        2026, 12, 1, tzinfo=UTC
    )
