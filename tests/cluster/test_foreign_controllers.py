"""Writes of other clients to the relays' objects: people, autoscalers, webhooks, backups, quotas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan, until
from support.operator.webhook import webhook
from wsedge_devcluster.cluster.cluster import Cluster

CHILDREN = "configmap,deployment,service,serviceaccount,poddisruptionbudget"
SELECTOR = "wsedge.io/domain-name=chat"
TEMPLATE = "/spec/template/spec"
RELAY = f"{TEMPLATE}/containers/0"
TAMPERED: list[dict[str, Any]] = [
    {"op": "add", "path": f"{RELAY}/args", "value": ["--host", "0.0.0.0"]},
    {"op": "add", "path": f"{RELAY}/env/-", "value": {"name": "WSEDGE_RELAY_TOKEN_FILE_2", "value": "x"}},
    {"op": "add", "path": f"{RELAY}/envFrom", "value": [{"configMapRef": {"name": "x", "optional": True}}]},
    {"op": "add", "path": f"{RELAY}/lifecycle", "value": {"preStop": {"exec": {"command": ["true"]}}}},
    {"op": "add", "path": f"{TEMPLATE}/volumes/-", "value": {"name": "extra", "emptyDir": {}}},
    {"op": "add", "path": f"{TEMPLATE}/hostNetwork", "value": True},
    {"op": "add", "path": f"{TEMPLATE}/nodeSelector", "value": {"nowhere": "true"}},
    {"op": "add", "path": "/spec/paused", "value": True},
    {
        "op": "add",
        "path": f"{TEMPLATE}/containers/-",
        "value": {"name": "sniffer", "image": "sniffer:1"},
    },
    {
        "op": "add",
        "path": f"{TEMPLATE}/initContainers",
        "value": [{"name": "first", "image": "first:1"}],
    },
]


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    place = Place(installed, namespace)
    place.apply(plan(), domain(host=f"{namespace}.example.com", relay={"replicas": 2}))
    place.await_reason("wsd/chat", "Ready", "Serving")
    return place


def live(place: Place, resource: str) -> dict[str, Any]:
    found = place.get(resource)
    assert found is not None
    return found


def json_patch(place: Place, resource: str, operations: list[dict[str, Any]], *options: str) -> None:
    place.kubectl("patch", resource, "--type=json", "--patch", json.dumps(operations), *options)


def notes(place: Place, reason: str) -> list[str]:
    return [event["note"] for event in place.items("events.events.k8s.io") if event["reason"] == reason]


def test_changes_of_other_clients_to_a_relay_are_reverted_and_reported(place: Place) -> None:
    """Changes that could hide bytes from the meter are reverted; a restart and other annotations stay.

    Some changes use the operator's own field manager, since any client may claim that name.
    """
    template = live(place, "deployment/chat-relay")["spec"]["template"]
    for manager in ("kubectl-edit", "wsedge"):
        json_patch(place, "deployment/chat-relay", TAMPERED, f"--field-manager={manager}")
        until(
            "the template is as it was",
            lambda: live(place, "deployment/chat-relay")["spec"]["template"] == template,
        )
    assert "paused" not in live(place, "deployment/chat-relay")["spec"]
    told = notes(place, "ChangedFromOutside")
    assert any("spec.template.spec.containers[relay].args" in note for note in told)
    assert any("kubectl-edit" in note for note in told)

    port = {"name": "side", "port": 9090, "targetPort": 9090}
    json_patch(
        place,
        "service/chat-relay",
        [
            {"op": "add", "path": "/spec/ports/-", "value": port},
            {"op": "add", "path": "/spec/selector/app", "value": "mine"},
            {"op": "add", "path": "/spec/externalIPs", "value": ["192.0.2.1"]},
            {"op": "add", "path": "/spec/ports/0/appProtocol", "value": "kubernetes.io/ws"},
            {"op": "add", "path": "/metadata/annotations/external-dns", "value": "chat.example.com"},
        ],
    )

    def is_ours() -> bool:
        spec = live(place, "service/chat-relay")["spec"]
        ports = [each["port"] for each in spec["ports"]]
        return "app" not in spec["selector"] and "externalIPs" not in spec and ports == [80]

    until("the Service leads to the relays alone", is_ours)
    service = live(place, "service/chat-relay")
    assert service["metadata"]["annotations"]["external-dns"] == "chat.example.com"
    assert service["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/ws"

    place.kubectl("rollout", "restart", "deployment/chat-relay")
    place.kubectl("annotate", "deployment/chat-relay", "team=blue")
    place.kubectl("rollout", "status", "deployment/chat-relay", "--timeout=120s")
    place.await_reason("wsd/chat", "Ready", "Serving")
    program = live(place, "deployment/chat-relay")
    assert "kubectl.kubernetes.io/restartedAt" in program["spec"]["template"]["metadata"]["annotations"]
    assert program["metadata"]["annotations"]["team"] == "blue"
    assert len(notes(place, "ChangedFromOutside")) == len({*notes(place, "ChangedFromOutside")})


def test_changes_of_admission_to_the_relays_stay(place: Place, tmp_path: Path) -> None:
    """An image mirror and a sidecar that admission adds at each write stay, without repeated writes."""

    def mutation(request: dict[str, Any]) -> list[dict[str, Any]]:
        containers = request["object"]["spec"]["template"]["spec"]["containers"]
        image = containers[0]["image"].removeprefix("mirror.example.com/")
        mirrored = {"op": "replace", "path": f"{RELAY}/image", "value": f"mirror.example.com/{image}"}
        # The operator's own admission policy requires this of each write.
        restricted = containers[0]["securityContext"]
        sidecar = {"name": "proxy", "image": "mirror.example.com/proxy:1", "securityContext": restricted}
        added = {"op": "add", "path": f"{TEMPLATE}/containers/-", "value": sidecar}
        return [mirrored, *([added] if len(containers) == 1 else [])]

    with webhook(place.cluster, place.namespace, tmp_path, mutation, "apps/deployments"):
        place.patch("wsd/chat", {"spec": {"relay": {"replicas": 1}}})
        until("the webhook has been there", lambda: len(_images(place)) == 2)
        generation = live(place, "wsd/chat")["metadata"]["generation"]
        admitted = live(place, "deployment/chat-relay")["metadata"]["generation"]
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        observed = f"jsonpath={{.status.observedGeneration}}={generation + 1}"
        place.kubectl("wait", "wsd/chat", f"--for={observed}", "--timeout=120s")
        # The operator has reconciled it since, without a write.
        assert live(place, "deployment/chat-relay")["metadata"]["generation"] == admitted
        assert _images(place)[0].startswith("mirror.example.com/")
        # A field that a person adds is still reverted beside it.
        json_patch(place, "deployment/chat-relay", TAMPERED[:1])
        until("the argument is gone", lambda: "args" not in _relay(place))
        assert len(_images(place)) == 2
    assert notes(place, "ChangedFromOutside") != []


def _relay(place: Place) -> dict[str, Any]:
    containers = live(place, "deployment/chat-relay")["spec"]["template"]["spec"]["containers"]
    return dict(containers[0])


def _images(place: Place) -> list[str]:
    template = live(place, "deployment/chat-relay")["spec"]["template"]
    return [container["image"] for container in template["spec"]["containers"]]


def test_the_number_that_an_autoscaler_sets_stays_and_is_reported(place: Place) -> None:
    """A scale by the subresource, as of a HorizontalPodAutoscaler, stays; 0 and an edit use the spec."""
    manager = "--field-manager=kube-controller-manager"
    scale = {"spec": {"replicas": 3}}
    place.kubectl(
        "patch",
        "deployment/chat-relay",
        "--subresource=scale",
        "--type=merge",
        "-p",
        json.dumps(scale),
        manager,
    )
    until(
        "it is told", lambda: "scaled the Deployment to 3" in place.condition("wsd/chat", "Ready")["message"]
    )
    place.await_reason("wsd/chat", "Ready", "Serving")
    place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
    place.kubectl("wait", "wsd/chat", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=120s")
    assert live(place, "deployment/chat-relay")["spec"]["replicas"] == 3
    assert any("scale the WebSocketDomain" in note for note in notes(place, "ScaledFromOutside"))
    place.kubectl("scale", "deployment/chat-relay", "--replicas=0")
    until("some relays are there", lambda: live(place, "deployment/chat-relay")["spec"]["replicas"] == 2)
    place.kubectl("scale", "deployment/chat-relay", "--replicas=3")
    until(
        "it is told", lambda: "scaled the Deployment to 3" in place.condition("wsd/chat", "Ready")["message"]
    )
    place.patch("wsd/chat", {"spec": {"relay": {"replicas": 1}}})
    until("an edit counts", lambda: live(place, "deployment/chat-relay")["spec"]["replicas"] == 1)
    place.await_reason("wsd/chat", "Ready", "Serving")
    assert "outside" not in place.condition("wsd/chat", "Ready")["message"]


def test_orphans_and_restored_objects_are_adopted(place: Place) -> None:
    """Children without an owner serve after a deletion with --cascade=orphan or a restore."""
    made = live(place, "wsd/chat")
    before = {item["kind"]: item["metadata"]["uid"] for item in place.items(CHILDREN, SELECTOR)}
    pods = {pod["metadata"]["uid"] for pod in place.items("pod", SELECTOR)}
    place.kubectl("delete", "wsd/chat", "--cascade=orphan")
    kept = {key: made["metadata"][key] for key in ("name", "namespace")}
    place.apply({**{key: made[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept})
    place.await_reason("wsd/chat", "Ready", "Serving")
    uid = live(place, "wsd/chat")["metadata"]["uid"]
    children = place.items(CHILDREN, SELECTOR)
    assert {item["kind"]: item["metadata"]["uid"] for item in children} == before
    assert {ref["uid"] for item in children for ref in item["metadata"]["ownerReferences"]} == {uid}
    assert {pod["metadata"]["uid"] for pod in place.items("pod", SELECTOR)} == pods


def test_a_rollout_without_progress_has_the_reason_in_the_status(place: Place) -> None:
    """While new pods are refused and old ones serve, the reason is Kubernetes' own; it then heals."""
    limits = {"limits": [{"type": "Pod", "min": {"memory": "1Gi"}}]}
    place.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "big"}, "spec": limits})
    place.kubectl("rollout", "restart", "deployment/chat-relay")
    told = place.await_reason("wsd/chat", "Ready", "FailedCreate")
    assert "minimum memory usage per Pod is 1Gi" in told["message"]
    assert "2 are available" in told["message"]
    place.kubectl("delete", "limitrange/big")
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_a_webhook_that_is_down_is_reported(place: Place, tmp_path: Path) -> None:
    """Each write of a child fails with 500: after four attempts the status reports it; then it heals."""
    with webhook(place.cluster, place.namespace, tmp_path, lambda _: None, "/configmaps"):
        place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": 9}}})
        told = place.await_reason("wsd/chat", "Ready", "ApplyFailed")
        assert "hook.example.com" in told["message"]
    place.await_reason("wsd/chat", "Ready", "Serving")
    with webhook(place.cluster, place.namespace, tmp_path, lambda _: None, "wsedge.io/*", "/configmaps"):
        place.kubectl("delete", "configmap/chat-relay")
        until("an Event tells it", lambda: "hook.example.com" in "".join(notes(place, "ApplyFailed")[1:]))
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_a_namespace_that_is_deleted_causes_no_warning(place: Place) -> None:
    """The operator does not count or retry writes that a terminating namespace refuses."""
    place.kubectl("delete", "namespace", place.namespace, "--timeout=120s")
    place.cluster.kubectl("create", "namespace", place.namespace)  # the fixture deletes it
    text = place.cluster.kubectl(
        "logs", "--namespace=wsedge-system", "deployment/wsedge-operator", "--tail=-1"
    )
    lines = [line for line in text.splitlines() if place.namespace in line]
    assert lines
    assert [line for line in lines if '"warning"' in line or '"error"' in line] == []
