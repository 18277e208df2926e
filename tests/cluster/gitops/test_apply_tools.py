"""Our manifests with other tools: server-side apply, a repeated kubectl apply, kustomize, strict YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator.cluster import domain, plan
from support.operator.crds import ensure_crds
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.api.generation.crd import KINDS, definition

ROOT = Path(__file__).resolve().parents[3]
CHART = str(ROOT / "charts" / "wsedge")
LABELS = {
    "helm.sh/chart": "mine",
    "app.kubernetes.io/part-of": "platform",
    "app.kubernetes.io/version": "7",
    "rbac.authorization.k8s.io/aggregate-to-view": "false",
    "team": "edge",
}
EVERYTHING: dict[str, Any] = {
    "domainPolicy": {"rules": [{"namespaceSelector": {}, "domains": ["*"]}]},
    "commonLabels": LABELS,
    "operator": {"podLabels": {**LABELS, "app.kubernetes.io/part-of": "pods"}, "replicas": 2},
    "statistics": {"podLabels": LABELS, "adminSubjects": ["system:serviceaccount:a:b"]},
    "networkPolicy": {"enabled": True, "statisticsFrom": [{"namespaceSelector": {}}]},
    "imagePullSecrets": [{"name": "registry"}],
}


class Strict(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, as kustomize does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key comes twice: {keys}, {node.start_mark}"
        return super().construct_mapping(node, deep)


def render(cluster: Cluster, values: dict[str, Any], *options: str) -> str:
    return cluster.helm("template", "twice", CHART, "--values", "-", *options, input=json.dumps(values))


def test_each_key_is_rendered_once(cluster: Cluster) -> None:
    """Labels of the values replace the chart's own, and a strict loader accepts every template."""
    text = render(cluster, EVERYTHING)
    objects = [each for each in yaml.load_all(text, Strict) if each]
    for each in objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "platform", each["metadata"]["name"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
    (view,) = [each for each in objects if each["metadata"]["name"] == "twice-wsedge-view"]
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            pod = each["spec"]["template"]["metadata"]["labels"]
            assert each["spec"]["selector"]["matchLabels"].items() <= pod.items()
    (operator,) = [each for each in objects if each["kind"] == "Deployment"]
    assert operator["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "pods"


@pytest.mark.parametrize("label", ["name", "instance", "component", "managed-by"])
@pytest.mark.parametrize("where", ["commonLabels", "operator.podLabels", "statistics.podLabels"])
def test_a_label_that_selects_cannot_be_replaced(cluster: Cluster, where: str, label: str) -> None:
    """The operator would not find its pods under another label; the refusal has the value's path."""
    escaped = f"app\\.kubernetes\\.io/{label}"
    with pytest.raises(CommandFailed, match=f"at '/{where.replace('.', '/')}/app.kubernetes.io~1{label}'"):
        cluster.helm("template", "wsedge", CHART, "--set", f"{where}.{escaped}=mine")


def apply(cluster: Cluster, namespace: str, text: str, *options: str) -> str:
    return cluster.kubectl("apply", "--namespace", namespace, "--filename=-", *options, input=text)


def server_side(cluster: Cluster, namespace: str, text: str, manager: str) -> str:
    return apply(cluster, namespace, text, "--server-side", f"--field-manager={manager}")


@pytest.fixture
def rendered(cluster: Cluster, namespace: str) -> Iterator[str]:
    """Apply the chart without the CRDs into the test's namespace; delete it at the end."""
    ensure_crds(cluster)
    values: dict[str, Any] = {**EVERYTHING, "crds": {"install": False}, "fullnameOverride": namespace}
    # No pod of it may run: a second operator would serve the namespaces of other tests.
    values["operator"] = {**values["operator"], "replicas": 0}
    text = render(cluster, values, "--namespace", namespace)
    yield text
    cluster.kubectl("delete", "--filename=-", "--ignore-not-found", "--wait=false", input=text)


def test_two_managers_agree_on_the_chart(cluster: Cluster, namespace: str, rendered: str) -> None:
    """A second server-side manager applies the same chart without a conflict, and nothing changes."""
    server_side(cluster, namespace, rendered, "a")
    kinds = "deploy,sts,svc,netpol,sa,role,rolebinding"
    # The chart's alone: an operator that another test installed makes the relays of its test domain.
    chart = "--selector=app.kubernetes.io/managed-by=Helm"
    versions = ("get", kinds, chart, "--namespace", namespace, "--output")
    generation = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.generation}{'\\n'}{end}"
    before = cluster.kubectl(*versions, generation)
    assert len(before.splitlines()) > 5
    server_side(cluster, namespace, rendered, "b")
    assert cluster.kubectl(*versions, generation) == before


WHOLE = domain(
    host="apply.example.com",
    enabled=False,
    origins=[{"service": {"name": "room", "port": 1}}, {"host": "a.example.com", "backup": True}],
    clients={
        "allowedOrigins": ["https://a.example.com"],
        "trustedProxies": ["10.0.0.0/8"],
        "allowedPaths": ["/a"],
    },
    originHealthCheck={},
    tls={"secretName": "s"},
    limits={},
    lifecycle={},
)


def test_two_managers_agree_on_a_domain_and_a_plan(cluster: Cluster, namespace: str) -> None:
    """The CRD sets no default in an atomic list, so a second manager of the same YAML has no conflict."""
    ensure_crds(cluster)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [plan(), WHOLE]})
    server_side(cluster, namespace, text, "a")
    server_side(cluster, namespace, text, "b")
    live = cluster.kubectl("get", "wsd/chat", "--namespace", namespace, "--output=jsonpath={.spec.origins}")
    assert json.loads(live) == WHOLE["spec"]["origins"]
    generation = ("get", "wsd/chat", "--namespace", namespace, "--output=jsonpath={.metadata.generation}")
    assert cluster.kubectl(*generation) == "1"


def test_an_unchanged_apply_reports_unchanged(cluster: Cluster, namespace: str) -> None:
    """A second `kubectl apply` of a domain and of the quickstart's objects reports `unchanged`."""
    ensure_crds(cluster)
    files = sorted((ROOT / "examples" / "quickstart").glob("*.yaml"))
    text = "\n---\n".join(file.read_text() for file in files).replace("quickstart", namespace)
    # A domain name has one owner in the cluster, which may be another test's quickstart.
    text = text.replace("chat.example.com", f"{namespace}.example.com")
    apply(cluster, namespace, text)
    assert {line.split()[-1] for line in apply(cluster, namespace, text).splitlines()} == {"unchanged"}
    host = f"whole.{namespace}.example.com"
    spec = {**WHOLE["spec"], "domain": host}
    whole = json.dumps({**WHOLE, "metadata": {"name": "whole"}, "spec": spec})
    apply(cluster, namespace, whole)
    assert apply(cluster, namespace, whole).split()[-1] == "unchanged"


def test_no_atomic_list_has_a_default(cluster: Cluster) -> None:
    """Atomic lists have no defaults in any CRD at any depth."""

    def look(schema: dict[str, Any], path: str, *, atomic: bool) -> None:
        assert not (atomic and "default" in schema), path
        for name, child in schema.get("properties", {}).items():
            look(child, f"{path}.{name}", atomic=atomic)
        if "items" in schema:
            inside = atomic or schema.get("x-kubernetes-list-type", "atomic") == "atomic"
            look(schema["items"], f"{path}[]", atomic=inside)
        if isinstance(schema.get("additionalProperties"), dict):
            look(schema["additionalProperties"], f"{path}{{}}", atomic=atomic)

    for kind in KINDS:
        for version in definition(kind)["spec"]["versions"]:
            look(version["schema"]["openAPIV3Schema"], kind.name, atomic=False)


# Fields that are the name of an object of the namespace, and those that have it as `name`.
ONE_NAME = ("SecretName", "secretName", "ClaimName", "configMapName", "ServiceName", "serviceAccountName")
NAMED = ("service", "imagePullSecrets", "issuerRef", "parentRefs")
OBJECTS = [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "room"}},
    {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "places"}},
    *(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        for name in ("tls", "ca", "client", "registry")
    ),
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "wsedge-relay-chat"}},
    {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "ours"}},
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "public"}},
    domain(
        host="a.example.com",
        origins=[
            {"host": "room"},
            {"service": {"name": "room", "port": 1}},
            {"service": {"name": "other", "port": 1}},
        ],
        tls={"secretName": "tls"},
        originTLS={"caSecretName": "ca", "clientCertificateSecretName": "client"},
        relay={
            "replicas": 1,
            "geo": {"volumeClaimName": "places"},
            "pod": {"serviceAccountName": "wsedge-relay-chat", "imagePullSecrets": [{"name": "registry"}]},
        },
        exposure={
            "gateway": {"parentRefs": [{"name": "public"}, {"name": "public", "namespace": "gateways"}]},
            "certificate": {"issuerRef": {"name": "ours"}},
        },
    ),
]


def test_kustomize_renames_the_objects_that_a_domain_names(cluster: Cluster, tmp_path: Path) -> None:
    """A prefix changes each name of an object in the same kustomization, and no other name."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(OBJECTS))
    (tmp_path / "wsedge.yaml").write_text((ROOT / "kustomize" / "wsedge.yaml").read_text())
    kustomization = {
        "resources": ["all.yaml"],
        "configurations": ["wsedge.yaml"],
        "namePrefix": "my-",
        "replicas": [{"name": "chat", "count": 3}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    made = yaml.safe_load_all(cluster.kubectl("kustomize", str(tmp_path)))
    (spec,) = [each["spec"] for each in made if each["kind"] == "WebSocketDomain"]
    services = [origin["service"]["name"] for origin in spec["origins"] if "service" in origin]
    assert (services, spec["origins"][0]["host"]) == (["my-room", "other"], "room")
    assert spec["tls"] == {"secretName": "my-tls"}
    assert spec["originTLS"] == {"caSecretName": "my-ca", "clientCertificateSecretName": "my-client"}
    assert (spec["relay"]["replicas"], spec["relay"]["geo"]) == (3, {"volumeClaimName": "my-places"})
    assert spec["relay"]["pod"] == {
        "serviceAccountName": "my-wsedge-relay-chat",
        "imagePullSecrets": [{"name": "my-registry"}],
    }
    assert spec["exposure"] == {
        "gateway": {"parentRefs": [{"name": "my-public"}, {"name": "public", "namespace": "gateways"}]},
        "certificate": {"issuerRef": {"name": "my-ours"}},
    }


def test_kustomize_knows_every_name_of_an_object_in_a_domain() -> None:
    """The configuration has each field of the CRD that names an object of the namespace."""

    def names(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
        for name, child in schema.get("properties", {}).items():
            inside = child.get("items", child)
            if name.endswith(ONE_NAME):
                yield "/".join((*path, name))
            if name in NAMED and "name" in (fields := inside.get("properties", {})):
                # Where the object may be in another namespace, kustomize compares that too.
                yield "/".join((*path, name, *(() if "namespace" in fields else ("name",))))
            yield from names(inside, (*path, name))

    configuration = yaml.safe_load((ROOT / "kustomize" / "wsedge.yaml").read_text())
    known = {field["path"] for entry in configuration["nameReference"] for field in entry["fieldSpecs"]}
    (crd,) = [definition(kind) for kind in KINDS if kind.name == "WebSocketDomain"]
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert known == set(names(spec, ("spec",)))


@pytest.mark.parametrize(("user", "told"), [("1000720000", "1000720000"), ("null", "none")])
def test_relays_run_as_the_user_of_the_chart(cluster: Cluster, user: str, told: str) -> None:
    """Relays run as the user of the chart's pods; without one, the cluster assigns it to all of them."""
    fields = ("runAsUser", "runAsGroup", "fsGroup")
    values = [part for field in fields for part in ("--set", f"podSecurityContext.{field}={user}")]
    text = cluster.helm("template", "wsedge", CHART, *values)
    (operator,) = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "Deployment"]
    pod = operator["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert environment["WSEDGE_OPERATOR_RELAY_USER"] == told
    assert (pod["securityContext"].get("runAsUser") is None) == (told == "none")
