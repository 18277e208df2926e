"""The exact parts of children: what another client may add to them, and what is removed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.operator.snapshots import NOW, answer, live_domain, message, served
from wsedge_operator.desired.exact import differences, differences_from_admitted, parts, replacements
from wsedge_operator.desired.names import child_labels
from wsedge_operator.desired.ownership import Ownership, ownership
from wsedge_operator.reconcile.domain.decide import decide
from wsedge_operator.reconcile.domain.snapshot import Admitted, DomainSnapshot
from wsedge_operator.reconcile.outcome import Outcome

Live = dict[str, Any]
RESTARTED = "kubectl.kubernetes.io/restartedAt"
EVICTABLE = {"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "spool"}


def with_child(kind: str, change: Callable[[Live], object], **changes: Any) -> DomainSnapshot:
    """Return a served domain with one child that another client changed."""
    before = served(**changes)
    child = copy.deepcopy(dict(before.children[kind]))
    change(child)
    return replace(before, children={**before.children, kind: child})


def template(live: Live) -> Live:
    found: Live = live["spec"]["template"]
    return found


def relay(live: Live) -> Live:
    found: Live = template(live)["spec"]["containers"][0]
    return found


def pod(live: Live) -> Live:
    found: Live = template(live)["spec"]
    return found


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
        lambda live: pod(live)["volumes"].append({"name": "x", "emptyDir": {}}),
        "spec.template.spec.volumes[x]",
    ),
    "a container": (
        lambda live: pod(live)["containers"].append({"name": "x", "image": "x"}),
        "spec.template.spec.containers[x]",
    ),
    "an init container": (
        lambda live: pod(live).update(initContainers=[{"name": "x", "image": "x"}]),
        "spec.template.spec.initContainers",
    ),
    "the host's network": (
        lambda live: pod(live).update(hostNetwork=True),
        "spec.template.spec.hostNetwork",
    ),
    "another identity": (
        lambda live: pod(live).update(serviceAccountName="x"),
        "spec.template.spec.serviceAccountName",
    ),
    "the API server's token": (
        lambda live: pod(live).pop("automountServiceAccountToken"),
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
    pod(live).update(restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    pod(live)["serviceAccount"] = pod(live)["serviceAccountName"]
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
        _scaled(5)(live)

    before = with_child("Deployment", change)
    (asked,) = _settled(before).dry_run
    spec = dict(asked.parts)["spec"]
    assert spec["template"]["metadata"]["annotations"] == EVICTABLE | {RESTARTED: "now"}
    assert spec["replicas"] == 5


def _settled(before: DomainSnapshot) -> Outcome:
    """Return the outcome once the Deployment has the digest of the manifest desired now."""
    outcome = decide(before, NOW)
    (applied,) = outcome.apply
    live = copy.deepcopy(dict(before.children["Deployment"]))
    live["metadata"]["annotations"] |= applied["metadata"]["annotations"]
    return decide(replace(before, children={**before.children, "Deployment": live}), NOW)


def test_a_service_selects_only_relays() -> None:
    """Added selectors and ports are removed; further fields of a desired port are retained."""
    good = served().children["Service"]

    def change(live: Live) -> None:
        live["spec"]["selector"]["app"] = "x"
        live["spec"]["ports"][0]["appProtocol"] = "ws"
        live["spec"]["ports"].append({"name": "side", "port": 9090})
        live["spec"]["externalIPs"] = ["192.0.2.1"]

    live = copy.deepcopy(dict(good))
    change(live)
    assert differences(live, good) == (
        "spec.selector.app",
        "spec.ports[side]",
        "spec.externalIPs",
    )
    restored = dict(replacements(live, good))
    assert restored["spec.externalIPs"] is None
    assert restored["spec.selector"] == good["spec"]["selector"]
    assert [port.get("appProtocol") for port in restored["spec.ports"]] == ["ws"]


def _scaled(replicas: int, manager: str = "kube-controller-manager", sub: str = "scale") -> Any:
    entry = {"manager": manager, "operation": "Update", "subresource": sub}
    fields: dict[str, Any] = {"fieldsV1": {"f:spec": {"f:replicas": {}}}}

    def change(live: Live) -> None:
        live["spec"]["replicas"] = replicas
        live["metadata"]["managedFields"] = [{**entry, **fields}]
        live["status"] |= dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)

    return change


def test_the_number_of_an_autoscaler_is_respected_and_reported() -> None:
    """The Deployment is applied once without a number; Ready counts the autoscaler's."""
    before = with_child("Deployment", _scaled(5))
    outcome = decide(before, NOW)
    (applied,) = outcome.apply
    assert "replicas" not in applied["spec"]
    assert [note.reason for note in outcome.notes] == ["ScaledFromOutside"]
    assert answer(outcome, before, "Ready") == ("True", "Serving")
    assert "5 (field manager kube-controller-manager)" in message(outcome, before, "Ready")
    settled = _settled(before)
    assert (settled.apply, settled.dry_run, settled.restore, settled.notes) == ((), (), (), ())


NOT_LEFT = {
    "to nothing": _scaled(0),
    "beyond what a domain may have": _scaled(101),
    "by an edit of the object itself": _scaled(5, "kubectl-edit", ""),
}


@pytest.mark.parametrize("change", NOT_LEFT.values(), ids=NOT_LEFT.keys())
def test_a_number_that_is_not_respected_is_written_back(change: Any) -> None:
    """spec.relay.replicas is applied."""
    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2


def test_an_edit_of_the_number_counts_over_an_autoscaler() -> None:
    """spec.relay.replicas differs from the annotation: it was edited after the autoscaler's write."""

    def change(live: Live) -> None:
        _scaled(5)(live)
        live["metadata"]["annotations"]["wsedge.io/asked-replicas"] = "3"

    (applied,) = decide(with_child("Deployment", change), NOW).apply
    assert applied["spec"]["replicas"] == 2
    assert "wsedge.io/asked-replicas" not in applied["metadata"]["annotations"]


def test_writes_that_do_not_last_make_a_domain_not_ready() -> None:
    """Relays may serve, but with fields that another client writes."""
    before = replace(served(), contested="Deployment: changed back each time")
    outcome = decide(before, NOW)
    assert answer(outcome, before, "Ready") == ("False", "WritesDoNotLast")


def owned(*references: Live, labels: Live | None = None, digest: str = "d") -> Live:
    annotations = {"wsedge.io/desired": digest} if digest else {}
    found = child_labels("chat") if labels is None else labels
    return {"metadata": {"labels": found, "annotations": annotations, "ownerReferences": list(references)}}


def by(kind: str = "WebSocketDomain", name: str = "chat", uid: str = "old", group: str = "wsedge.io") -> Live:
    return {"apiVersion": f"{group}/v1alpha1", "kind": kind, "name": name, "uid": uid}


OWNERS = {
    "our object": (owned(by(uid="uid-chat"), labels={}, digest=""), Ownership.OURS),
    "nobody": (owned(), Ownership.ORPHAN),
    "our object as it was before": (owned(by()), Ownership.ORPHAN),
    "nobody, without our digest": (owned(digest=""), Ownership.FOREIGN),
    "nobody, of another domain": (owned(labels=child_labels("other")), Ownership.FOREIGN),
    "another domain": (owned(by(name="other")), Ownership.FOREIGN),
    "another kind of that name": (owned(by(kind="Room")), Ownership.FOREIGN),
    "that kind of another group": (owned(by(group="example.com")), Ownership.FOREIGN),
    "ours as it was, and somebody": (owned(by(), by(kind="Room", uid="r")), Ownership.FOREIGN),
}


@pytest.mark.parametrize(("child", "whose"), OWNERS.values(), ids=OWNERS.keys())
def test_an_orphan_is_adopted_and_a_foreign_object_is_not(child: Live, whose: Ownership) -> None:
    """A restore drops owner references, or retains those of an object that no longer exists."""
    assert ownership(child, "chat", "uid-chat") is whose


def test_a_budget_of_another_selector_is_replaced() -> None:
    """With an added label in its selector it protects no relay."""
    before = served(live=live_domain(relay={"replicas": 2}))
    good = before.children["PodDisruptionBudget"]
    live = copy.deepcopy(dict(good))
    live["spec"]["selector"]["matchLabels"]["app"] = "x"
    assert differences(live, good) == ("spec.selector.matchLabels.app",)


LIMITED = {"resources": {"limits": {"cpu": "0.5", "memory": "1Gi"}}}
LIMITS = "spec.template.spec.containers[relay].resources.limits"


def limits(live: Live) -> Live:
    found: Live = relay(live)["resources"]["limits"]
    return found


EQUAL: dict[str, Callable[[Live], object]] = {
    "a quantity in canonical form": lambda live: limits(live).update(cpu="500m", memory="1024Mi"),
    "the size of the spool in another unit": lambda live: pod(live)["volumes"][3]["emptyDir"].update(
        sizeLimit="65536Ki"
    ),
    "an empty list that is stored": lambda live: pod(live).update(initContainers=[]),
    "an empty map that is stored": lambda live: pod(live).update(nodeSelector={}),
}


@pytest.mark.parametrize("change", EQUAL.values(), ids=EQUAL.keys())
def test_other_forms_of_a_value_are_no_difference(change: Callable[[Live], object]) -> None:
    """The API server and webhooks write quantities and empty values in forms of their own."""
    good = served(live=live_domain(relay=LIMITED)).children["Deployment"]
    live = copy.deepcopy(dict(good))
    change(live)
    assert live != good
    assert differences(live, good) == ()


UNEQUAL: dict[str, tuple[Callable[[Live], object], str]] = {
    "another limit": (lambda live: limits(live).update(cpu="501m"), f"{LIMITS}.cpu"),
    "a limit that was removed": (lambda live: limits(live).pop("memory"), f"{LIMITS}.memory"),
    "a limit that was added": (lambda live: limits(live).update({"x.io/gpu": "1"}), f"{LIMITS}.x.io/gpu"),
    "a longer command": (
        lambda live: relay(live)["command"].append("--x"),
        "spec.template.spec.containers[relay].command",
    ),
    "all annotations removed": (
        lambda live: template(live)["metadata"].pop("annotations"),
        "spec.template.metadata.annotations",
    ),
    "text in place of a list": (
        lambda live: relay(live).update(command="sh"),
        "spec.template.spec.containers[relay].command",
    ),
}


@pytest.mark.parametrize(("change", "path"), UNEQUAL.values(), ids=UNEQUAL.keys())
def test_a_difference_is_named_by_its_path(change: Callable[[Live], object], path: str) -> None:
    """The Event names the field that another client changed."""
    good = served(live=live_domain(relay=LIMITED)).children["Deployment"]
    live = copy.deepcopy(dict(good))
    change(live)
    assert differences(live, good) == (path,)


def test_a_known_default_counts_after_a_dry_run() -> None:
    """The API server's answer has its defaults: a default that the live object lacks is a difference then."""
    good = served().children["Deployment"]
    admitted = copy.deepcopy(dict(good))
    pod(admitted)["dnsPolicy"] = "ClusterFirst"
    assert differences(admitted, good) == ()
    assert differences_from_admitted(good, parts(admitted)) == ("spec.template.spec.dnsPolicy",)
    assert differences_from_admitted(admitted, parts(admitted)) == ()
