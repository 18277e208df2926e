"""Children that another client changed: what is removed, and what is retained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.operator.children import Live, pod_spec, relay, scaled, settled, template, with_child
from support.operator.snapshots import NOW, served
from wsedge_operator.desired.exact import parts
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import Admitted, DomainSnapshot

RESTARTED = "kubectl.kubernetes.io/restartedAt"


EVICTABLE = {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "spool"}


ADDED: dict[str, tuple[Callable[[Live], object], str]] = {
    "an argument": (
        lambda live: relay(live).update(args=["--x"]),
        "spec.template.spec.containers[relay].args",
    ),
    "a variable": (
        lambda live: relay(live)["env"].append({"name": "X", "value": "1"}),
        "spec.template.spec.containers[relay].env[X]",
    ),
    "a variable given twice": (
        lambda live: relay(live)["env"].append({"name": "WSEDGE_RELAY_CONFIG", "value": "/tmp/x"}),
        "spec.template.spec.containers[relay].env",
    ),
    "variables from elsewhere": (
        lambda live: relay(live).update(envFrom=[{"secretRef": {"name": "x"}}]),
        "spec.template.spec.containers[relay].envFrom",
    ),
    "another command": (
        lambda live: relay(live).update(command=["sh"]),
        "spec.template.spec.containers[relay].command[0]",
    ),
    "a lifecycle hook": (
        lambda live: relay(live).update(lifecycle={"postStart": {"exec": {"command": ["true"]}}}),
        "spec.template.spec.containers[relay].lifecycle",
    ),
    "a capability": (
        lambda live: relay(live)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "spec.template.spec.containers[relay].securityContext.capabilities.add",
    ),
    "a mount": (
        lambda live: relay(live)["volumeMounts"].append({"name": "x", "mountPath": "/x"}),
        "spec.template.spec.containers[relay].volumeMounts[x]",
    ),
    "a volume": (
        lambda live: pod_spec(live)["volumes"].append({"name": "x", "emptyDir": {}}),
        "spec.template.spec.volumes[x]",
    ),
    "a container": (
        lambda live: pod_spec(live)["containers"].append({"name": "x", "image": "x"}),
        "spec.template.spec.containers[x]",
    ),
    "an init container": (
        lambda live: pod_spec(live).update(initContainers=[{"name": "x", "image": "x"}]),
        "spec.template.spec.initContainers",
    ),
    "the host's network": (
        lambda live: pod_spec(live).update(hostNetwork=True),
        "spec.template.spec.hostNetwork",
    ),
    "another identity": (
        lambda live: pod_spec(live).update(serviceAccountName="x"),
        "spec.template.spec.serviceAccountName",
    ),
    "the API server's token": (
        lambda live: pod_spec(live).pop("automountServiceAccountToken"),
        "spec.template.spec.automountServiceAccountToken",
    ),
    "an annotation that injects": (
        lambda live: template(live)["metadata"].update(annotations={"inject": "yes"}),
        "spec.template.metadata.annotations",
    ),
    "a label": (
        lambda live: template(live)["metadata"]["labels"].update(app="x"),
        "spec.template.metadata.labels.app",
    ),
    "a pause of rollouts": (lambda live: live["spec"].update(paused=True), "spec.paused"),
}


def dry_run(before: DomainSnapshot, admitted: Any) -> DomainSnapshot:
    """Return the snapshot after a dry run that answered `admitted` for the Deployment."""
    (asked,) = decide(before, NOW).dry_run
    return replace(before, admitted={"Deployment": Admitted(asked.digest, parts(admitted))})


@pytest.mark.parametrize(("change", "path"), ADDED.values(), ids=ADDED.keys())
def test_an_addition_to_a_relay_is_removed_with_an_event(change: Callable[[Live], object], path: str) -> None:
    """First a dry run; a field that the answer does not have was added by another client."""
    before = with_child("Deployment", change)
    outcome = decide(before, NOW)
    assert [exact.ref.kind for exact in outcome.dry_run] == ["Deployment"]
    assert not outcome.restore
    assert not outcome.apply
    good = served().children["Deployment"]
    outcome = decide(dry_run(before, good), NOW)
    (restored,) = outcome.restore
    assert not outcome.dry_run
    assert not outcome.apply
    assert dict(restored.parts)["spec"] == good["spec"]
    (note,) = outcome.notes
    assert (note.type, note.reason) == ("Warning", "ChangedFromOutside")
    assert path in note.message


@pytest.mark.parametrize(("change", "path"), ADDED.values(), ids=ADDED.keys())
def test_an_addition_of_admission_is_retained(change: Callable[[Live], object], path: str) -> None:
    """The dry run has the same addition: a sidecar, an image mirror, a new default."""
    before = with_child("Deployment", change)
    outcome = decide(dry_run(before, before.children["Deployment"]), NOW)
    assert (outcome.dry_run, outcome.restore, outcome.apply, outcome.notes) == ((), (), (), ())


def test_the_answer_for_an_older_manifest_is_ignored() -> None:
    """After an edit there is another dry run."""
    before = with_child("Deployment", lambda live: relay(live).update(args=["--x"]))
    old = Admitted("older", parts(before.children["Deployment"]))
    assert decide(replace(before, admitted={"Deployment": old}), NOW).dry_run != ()


def _defaults(live: Live) -> None:
    live["spec"] |= {"progressDeadlineSeconds": 600}
    template(live)["metadata"]["creationTimestamp"] = None
    pod_spec(live).update(restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    pod_spec(live)["serviceAccount"] = pod_spec(live)["serviceAccountName"]
    relay(live).update(
        resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File"
    )
    relay(live)["livenessProbe"]["successThreshold"] = 1


HARMLESS: dict[str, tuple[str, Callable[[Live], object]]] = {
    "the API server's defaults": ("Deployment", _defaults),
    "a restart by kubectl": (
        "Deployment",
        lambda live: template(live)["metadata"]["annotations"].update({RESTARTED: "2026-11-22T12:00:00Z"}),
    ),
    "annotations of the Deployment": (
        "Deployment",
        lambda live: live["metadata"]["annotations"].update({"deployment.kubernetes.io/revision": "4"}),
    ),
    "labels of the Service": ("Service", lambda live: live["metadata"]["labels"].update(team="blue")),
    "annotations of the Service": (
        "Service",
        lambda live: live["metadata"]["annotations"].update({"external-dns": "x"}),
    ),
    "a hint about a port": (
        "Service",
        lambda live: live["spec"]["ports"][0].update(appProtocol="kubernetes.io/ws", nodePort=30000),
    ),
    "another key of the ConfigMap": ("ConfigMap", lambda live: live["data"].update(x="y")),
    "a pull secret of the identity": (
        "ServiceAccount",
        lambda live: live.update(imagePullSecrets=[{"name": "x"}]),
    ),
}


@pytest.mark.parametrize(("kind", "change"), HARMLESS.values(), ids=HARMLESS.keys())
def test_a_harmless_addition_is_retained(kind: str, change: Callable[[Live], object]) -> None:
    """There is neither a dry run nor a write."""
    outcome = decide(with_child(kind, change), NOW)
    assert (outcome.dry_run, outcome.restore, outcome.apply) == ((), (), ())


def test_a_restoration_retains_a_restart_and_the_number_of_relays() -> None:
    """Other clients may write these values of the exact parts."""

    def change(live: Live) -> None:
        relay(live)["args"] = ["--x"]
        template(live)["metadata"]["annotations"] |= {RESTARTED: "now", "inject": "yes"}
        scaled(5)(live)

    before = with_child("Deployment", change)
    (asked,) = settled(before).dry_run
    spec = dict(asked.parts)["spec"]
    assert spec["template"]["metadata"]["annotations"] == EVICTABLE | {RESTARTED: "now"}
    assert spec["replicas"] == 5
