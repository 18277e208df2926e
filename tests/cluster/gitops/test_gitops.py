"""A repository that is applied again and again: nothing changes, nothing is pruned, nothing hangs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import Place, domain, plan
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster

OPERATOR = "deployment/wsedge-operator"
OURS = "wsd,billingplan"
CHILDREN = "configmap,secret,service,serviceaccount,deployment,poddisruptionbudget,ingress"
SELECTOR = "wsedge.io/domain-name=chat"
# What Argo CD writes on every object of an application.
TRACKING = {
    "labels": {"app.kubernetes.io/instance": "edge"},
    "annotations": {"argocd.argoproj.io/tracking-id": "edge:wsedge.io/WebSocketDomain:team/chat"},
}


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


def files(place: Place, folder: Path) -> Path:
    """Write a repository's manifests into `folder`: a plan, and a domain with an entrance."""
    entrance = {"service": {"type": "NodePort"}, "ingress": {"className": "none"}}
    whole = domain(host=f"{place.namespace}.example.com", exposure=entrance, limits={"connections": 100})
    folder.mkdir()
    for made in (plan(), whole):
        text = yaml.safe_dump({**made, "metadata": {**made["metadata"], "namespace": place.namespace}})
        (folder / f"{made['kind'].lower()}.yaml").write_text(text)
    return folder


def client_side(place: Place, folder: Path) -> tuple[list[str], str | None]:
    return [f"--filename={files(place, folder / 'plain')}"], None


def server_side(place: Place, folder: Path) -> tuple[list[str], str | None]:
    return ["--server-side", f"--filename={files(place, folder / 'plain')}"], None


def kustomized(place: Place, folder: Path) -> tuple[list[str], str | None]:
    made = files(place, folder / "base")
    labels = {"labels": [{"pairs": {"team": "edge"}}], "resources": [each.name for each in made.iterdir()]}
    (made / "kustomization.yaml").write_text(yaml.safe_dump(labels))
    return [f"--kustomize={made}"], None


def templated(place: Place, folder: Path) -> tuple[list[str], str | None]:
    chart = folder / "chart"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: chat, version: 1.0.0}")
    files(place, chart / "templates")
    return ["--filename=-"], place.cluster.helm("template", "chat", str(chart))


WAYS: dict[str, Callable[[Place, Path], tuple[list[str], str | None]]] = {
    "client-side apply": client_side,
    "server-side apply": server_side,
    "kustomize": kustomized,
    "helm template": templated,
}


def versions(place: Place, *more: str) -> dict[str, str]:
    """Return the resourceVersion of each of our objects and of each child."""
    live = [*place.items(OURS), *place.items(",".join((CHILDREN, *more)), SELECTOR)]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in live
    }


def settle(place: Place) -> None:
    """Wait until the domain is served and the operator has no more to write."""
    place.await_reason("wsd/chat", "Ready", "Serving")
    seen = (place.get("wsd/chat") or {})["metadata"]["generation"]
    place.kubectl("wait", "wsd/chat", f"--for=jsonpath={{.status.observedGeneration}}={seen}")


@pytest.mark.parametrize("way", WAYS)
def test_a_second_apply_of_the_same_files_changes_nothing(place: Place, tmp_path: Path, way: str) -> None:
    """`kubectl diff` is empty and each resourceVersion the same: the operator writes no field of a spec."""
    options, text = WAYS[way](place, tmp_path)
    place.kubectl("apply", *options, text=text)
    settle(place)
    before = versions(place)
    assert {name.split("/")[0] for name in before} >= {"WebSocketDomain", "BillingPlan", "Ingress", "Service"}
    assert place.kubectl("diff", *options, text=text) == ""
    place.kubectl("apply", *options, text=text)
    settle(place)
    assert versions(place) == before


def test_pruning_deletes_no_child(place: Place, tmp_path: Path) -> None:
    """`kubectl apply --prune` deletes what left the repository, and nothing that the operator made."""
    made = files(place, tmp_path / "all")
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "extra"}}
    allowed = [f"core/v1/{kind}" for kind in ("ConfigMap", "Secret", "Service", "ServiceAccount")]
    allowed += ["apps/v1/Deployment", "policy/v1/PodDisruptionBudget", "networking.k8s.io/v1/Ingress"]
    (made / "extra.yaml").write_text(yaml.safe_dump(extra))
    prune = [f"--filename={made}", "--prune", "--all", *(f"--prune-allowlist={kind}" for kind in allowed)]
    place.kubectl("apply", *prune)
    settle(place)
    before = versions(place)
    (made / "extra.yaml").unlink()
    place.kubectl("apply", *prune)
    assert place.get("configmap/extra") is None
    settle(place)
    assert versions(place) == before


def test_tracking_marks_stay_on_our_objects(place: Place, tmp_path: Path) -> None:
    """Labels and annotations by which Argo CD owns objects reach no child: it would prune the child."""
    place.kubectl("apply", f"--filename={files(place, tmp_path / 'all')}")
    settle(place)
    children = versions(place)
    place.patch("wsd/chat", {"metadata": TRACKING})
    # The next edit is decided after the patch, so the children of that decision have seen it.
    place.patch("wsd/chat", {"spec": {"limits": {"connections": 200}}})
    settle(place)
    items = place.items(f"{CHILDREN},pod,replicaset,endpointslice", SELECTOR)
    assert {"Deployment", "Service", "Pod", "ReplicaSet"} <= {item["kind"] for item in items}
    for item in items:
        metadata = item["metadata"]
        assert "app.kubernetes.io/instance" not in metadata["labels"], metadata["name"]
        assert not [key for key in metadata.get("annotations") or {} if "argoproj" in key], metadata["name"]
        assert metadata["ownerReferences"], metadata["name"]  # by which Argo CD shows it below its owner
    after = versions(place)
    changed = {name for name, version in children.items() if after[name] != version}
    assert changed == {"WebSocketDomain/chat", "ConfigMap/chat-relay"}
    live = (place.get("wsd/chat") or {})["metadata"]
    assert live["labels"] == TRACKING["labels"]
    assert TRACKING["annotations"].items() <= live["annotations"].items()


def test_fields_of_other_managers_stay(place: Place, tmp_path: Path) -> None:
    """An annotation of a cloud's controller, a label of an inventory and a node port outlast an edit."""
    place.kubectl("apply", f"--filename={files(place, tmp_path / 'all')}")
    settle(place)
    service = place.get("service/chat-relay") or {}
    ports = [port["nodePort"] for port in service["spec"]["ports"]]
    foreign = {
        "metadata": {"annotations": {"cloud.example.com/balancer": "lb-1"}, "labels": {"team": "edge"}}
    }
    for child in ("service", "deployment", "configmap", "ingress"):
        place.kubectl(
            *("patch", f"{child}/chat-relay", "--type=merge", "--field-manager=cloud"),
            *("--patch", json.dumps(foreign)),
        )
    entrance = {"service": {"type": "NodePort", "externalTrafficPolicy": "Local"}}
    place.patch("wsd/chat", {"spec": {"exposure": entrance, "limits": {"connections": 200}}})
    settle(place)
    service = place.get("service/chat-relay") or {}
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert [port["nodePort"] for port in service["spec"]["ports"]] == ports
    for child in ("service", "deployment", "configmap", "ingress"):
        metadata = (place.get(f"{child}/chat-relay") or {})["metadata"]
        assert metadata["annotations"]["cloud.example.com/balancer"] == "lb-1", child
        assert metadata["labels"]["team"] == "edge", child


@pytest.fixture
def stopped(installed: Cluster) -> Iterator[Callable[[], None]]:
    """Give a function that ends the operator; it runs again after the test."""
    system = Place(installed, SYSTEM)

    def stop() -> None:
        system.kubectl("scale", OPERATOR, "--replicas=0")
        system.kubectl("wait", "pod", "--selector=app.kubernetes.io/name=wsedge-operator", "--for=delete")

    yield stop
    system.kubectl("scale", OPERATOR, "--replicas=1")
    system.kubectl("rollout", "status", OPERATOR, "--timeout=120s")


def finalizers(place: Place) -> dict[str, Any]:
    """Return the finalizers of every object of ours and of every child, but those of their namespace."""
    live = [*place.items(OURS), *place.items(f"{CHILDREN},pod,replicaset,endpointslice", SELECTOR)]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["finalizers"]
        for item in live
        if item["metadata"].get("finalizers")
    }


def test_a_namespace_is_deleted_without_the_operator(
    place: Place, stopped: Callable[[], None], tmp_path: Path
) -> None:
    """No object has a finalizer, so the deletion of a served domain's namespace waits for nobody."""
    place.kubectl("apply", f"--filename={files(place, tmp_path / 'all')}")
    settle(place)
    assert finalizers(place) == {}
    stopped()
    place.cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")
    place.cluster.kubectl("wait", f"namespace/{place.namespace}", "--for=delete", "--timeout=90s")
    place.cluster.kubectl("create", "namespace", place.namespace)  # the fixture deletes it
