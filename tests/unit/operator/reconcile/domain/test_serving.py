"""Why a domain that is served is not ready: the first cause of several counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from support.operator.keys import certificate
from support.operator.snapshots import (
    NOW,
    answer,
    applied,
    config,
    kinds,
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
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import DomainSnapshot

STUCK = pod("pod-3", **waiting("ErrImagePull", "not found"))


def rolled(before: DomainSnapshot, **status: Any) -> DomainSnapshot:
    """The domain with this status of its Deployment."""
    live = before.children["Deployment"]
    changed = {**live, "status": {**live["status"], **status}}
    return replace(before, children={**before.children, "Deployment": changed})


STATES: dict[str, tuple[DomainSnapshot, str, str]] = {
    "all relays are available and up to date": (
        served(),
        "Serving",
        "2 relays serve chat.example.com",
    ),
    "a relay is not available yet": (
        rolled(served(), availableReplicas=1),
        "RelaysStarting",
        "1 of 2 relays are available",
    ),
    "no status of the Deployment yet": (
        rolled(served(), availableReplicas=None, observedGeneration=None),
        "RelaysStarting",
        "0 of 2 relays are available",
    ),
    "the Deployment's controller has not seen the last write": (
        rolled(served(), observedGeneration=0),
        "RelaysUpdating",
        "2 of 2 relays are up to date",
    ),
    "new pods are fewer than wanted": (
        rolled(served(), updatedReplicas=1),
        "RelaysUpdating",
        "1 of 2 relays are up to date",
    ),
    "an old pod is left beside the new ones": (
        rolled(served(), replicas=3),
        "RelaysUpdating",
        "2 of 2 relays are up to date",
    ),
    "a rollout whose new pod does not run": (
        rolled(served(pods=[pod("pod-1"), pod("pod-2"), STUCK]), replicas=3, updatedReplicas=1),
        "ImagePullBackOff",
        "pod pod-3: not found; 1 of 2 relays are up to date, 2 are available",
    ),
    "a pod that does not run, and too few others": (
        rolled(served(pods=[pod("pod-1"), STUCK]), availableReplicas=1),
        "ImagePullBackOff",
        "pod pod-3: not found",
    ),
    "writes that another client reverts": (
        replace(served(), contested="Service: spec.ports"),
        "WritesDoNotLast",
        "Service: spec.ports",
    ),
    "a write that failed before anything else": (
        replace(rolled(served(), availableReplicas=0), failure="403 Forbidden"),
        "ApplyFailed",
        "403 Forbidden",
    ),
}


@pytest.mark.parametrize(("before", "reason", "text"), STATES.values(), ids=STATES.keys())
def test_ready(before: DomainSnapshot, reason: str, text: str) -> None:
    """The reason and the message of the condition Ready; it is true for Serving alone."""
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == (str(reason == "Serving"), reason)
    assert message(outcome, before, "Ready") == text


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
    pods = [[made for made in one.apply if made["kind"] == "Deployment"] for one in (first, second)]
    assert len(pods[0]) == 1
    assert pods[0] == pods[1]


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


def test_one_relay_needs_no_budget() -> None:
    """With a single relay the budget would protect nothing."""
    assert "PodDisruptionBudget" not in kinds(decide(snapshot(live=live_domain(relay={"replicas": 1})), NOW))
