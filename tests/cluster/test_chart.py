"""The Helm chart: rendered objects, refused values, and the objects that remain after an uninstall."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.chart import CHART, ROOT, Helm, Object, of_kind, pod_of, render
from wsedge_devcluster.cluster.chart import CRDS, SYSTEM, install_chart
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.kube.kinds import CLUSTER_VERBS, OWN_VERBS, VERBS
from wsedge_operator.settings import Settings
from wsedge_relay.contract import DENIED_NETWORKS
from wsedge_statistics.billing.prices import read_book
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.settings import read_settings

Rights = dict[tuple[str, str], set[str]]


def environment(pod: Object) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}


def rights(role: Object) -> Rights:
    answer: Rights = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                answer.setdefault((group, resource), set()).update(rule["verbs"])
    return answer


def as_rights(declared: Mapping[tuple[str, str], Iterable[str]]) -> Rights:
    return {key: set(verbs) for key, verbs in declared.items()}


def walk(value: Any) -> Iterator[Any]:
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def test_a_strict_lint_passes(helm: Helm) -> None:
    """`helm lint --strict` passes."""
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART)


def test_no_role_has_a_wildcard(helm: Helm) -> None:
    """Each rule lists its groups, resources and verbs."""
    roles = of_kind(render(helm), "ClusterRole", "Role")
    assert roles
    assert "*" not in walk(roles)


def test_the_operator_is_granted_exactly_what_it_declares(helm: Helm) -> None:
    """The chart grants the rights that the operator's code declares, in the cluster and in its namespace."""
    roles = {each["metadata"]["name"]: rights(each) for each in of_kind(render(helm), "ClusterRole", "Role")}
    assert roles["wsedge-operator"] == as_rights({**VERBS, **CLUSTER_VERBS})
    assert roles["wsedge-operator-own"] == as_rights(OWN_VERBS)


def test_with_a_list_of_namespaces_there_is_no_right_in_the_cluster(helm: Helm) -> None:
    """WatchNamespaces gives the operator a Role in each listed namespace, and no cluster-wide right."""
    objects = render(
        helm,
        "watchNamespaces={team-a,team-b}",
        "crds.install=false",
        "rbac.userRoles=false",
        "rbac.issuerDiscovery=false",
    )
    assert not of_kind(objects, "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition")
    served = {
        each["metadata"]["namespace"]: rights(each)
        for each in of_kind(objects, "Role")
        if each["metadata"]["name"] == "wsedge-operator"
    }
    assert served == {"team-a": as_rights(VERBS), "team-b": as_rights(VERBS)}
    assert environment(pod_of(objects, "Deployment"))["WSEDGE_OPERATOR_NAMESPACES"] == "team-a,team-b"


IMAGES = {
    "the chart's version by default": ([], "ghcr.io/wsedge/wsedge:0.1.0", "ghcr.io/wsedge/wsedge:0.1.0"),
    "a tag of one's own": (
        ["image.repository=reg.example.com:5000/edge", "image.tag=x"],
        "reg.example.com:5000/edge:x",
        "reg.example.com:5000/edge:x",
    ),
    "a digest wins over the tag": (
        ["image.tag=x", f"image.digest=sha256:{'a' * 64}"],
        f"ghcr.io/wsedge/wsedge@sha256:{'a' * 64}",
        f"ghcr.io/wsedge/wsedge@sha256:{'a' * 64}",
    ),
    "relays with another tag": (
        ["relay.image.tag=compiled"],
        "ghcr.io/wsedge/wsedge:0.1.0",
        "ghcr.io/wsedge/wsedge:compiled",
    ),
}


@pytest.mark.parametrize(("values", "programs", "relays"), IMAGES.values(), ids=IMAGES.keys())
def test_images_are_named_by_tag_or_digest(helm: Helm, values: list[str], programs: str, relays: str) -> None:
    """Operator and statistics run the same image; relays run it too, or their own."""
    objects = render(helm, *values)
    pods = [pod_of(objects, "Deployment"), pod_of(objects, "StatefulSet")]
    assert {pod["containers"][0]["image"] for pod in pods} == {programs}
    assert environment(pods[0])["WSEDGE_OPERATOR_RELAY_IMAGE"] == relays


def test_policies_where_the_cluster_serves_them(helm: Helm) -> None:
    """Policies are rendered with cluster rights from 1.30 on; an impossible combination fails the command."""
    policy = "ValidatingAdmissionPolicy"
    rule = ["domainPolicy.rules[0].namespaces={team-a}", "domainPolicy.rules[0].domains={*.a.example.com}"]
    assert len(of_kind(render(helm), policy)) == 10
    assert len(of_kind(render(helm, *rule), policy)) == 11
    (users,) = of_kind(render(helm, "admission.operator=Disabled", "admission.crds=Disabled"), policy)
    assert users["metadata"]["name"] == "wsedge-exposure"
    assert not of_kind(render(helm, "watchNamespaces={team-a}"), policy)
    assert len(of_kind(render(helm, "watchNamespaces={team-a}", "admission.operator=Enabled"), policy)) == 8
    old = ("template", "wsedge", CHART, "--kube-version=1.29.0")
    assert policy not in helm(*old)
    refused = (
        (rule, "domainPolicy.rules"),
        (["admission.operator=Enabled"], "admission.operator"),
        (["admission.crds=Enabled"], "admission.crds"),
    )
    for value, name in refused:
        with pytest.raises(CommandFailed, match=f"{name}.* 1.30"):
            helm(*old, *(part for each in value for part in ("--set", each)))


def test_entrances_are_bounded_by_rights_or_by_lists(helm: Helm) -> None:
    """Where a user's own rights do not bound an entrance, the administrator must give the lists."""
    policy = "ValidatingAdmissionPolicy"
    names = ("serviceTypes", "ingressClasses", "annotationPrefixes", "gateways", "issuers")
    lists = [part for name in names for part in ("--set-json", f"exposurePolicy.{name}=[]")]
    base = (
        "template",
        "wsedge",
        CHART,
        "--set",
        "admission.operator=Disabled,admission.crds=Disabled",
        "--set",
    )
    text = helm(*base, "exposurePolicy.ownRights=NotRequired", *lists)
    (bounded,) = of_kind([each for each in yaml.safe_load_all(text) if each], policy)
    assert "authorizer" not in json.dumps(bounded)
    assert len(bounded["spec"]["validations"]) == 6
    with pytest.raises(CommandFailed, match=r"NotRequired needs exposurePolicy\.issuers"):
        helm(*base, "exposurePolicy.ownRights=NotRequired", *lists[:-2])
    (both,) = of_kind(
        render(
            helm,
            "admission.operator=Disabled",
            "admission.crds=Disabled",
            "exposurePolicy.gateways={gw/public}",
        ),
        policy,
    )
    assert "authorizer" in json.dumps(both)
    assert not of_kind(render(helm, "watchNamespaces={team-a}"), policy)
    with pytest.raises(CommandFailed, match=r"exposurePolicy.* 1.30"):
        helm(*base, "exposurePolicy.ownRights=Required", "--kube-version=1.29.0")
    with pytest.raises(CommandFailed, match="exposurePolicy"):
        render(helm, "exposurePolicy.gateways={public}")


def test_a_standby_operator_brings_a_disruption_budget(helm: Helm) -> None:
    """With one replica a budget would block a node's drain; with two it keeps one running."""
    assert not of_kind(render(helm), "PodDisruptionBudget")
    (budget,) = of_kind(render(helm, "operator.replicas=2"), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


def test_relays_are_guarded_as_the_values_say(helm: Helm) -> None:
    """Denied networks and NetworkPolicies of relays are settings of the operator, where values set them."""
    usual = environment(pod_of(render(helm), "Deployment"))
    assert not [name for name in usual if "DENIED" in name or ("POLICY" in name and "PULL" not in name)]
    peer = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team"
    denied = "relay.deniedOriginNetworks={default,10.0.0.0/8,fd00::/8}"
    assert "WSEDGE_OPERATOR_CLUSTER" not in usual
    objects = render(helm, "networkPolicy.enabled=true", f"{peer}=metrics", denied, "cluster=north-1")
    guarded = environment(pod_of(objects, "Deployment"))
    for name, value in guarded.items():
        if name.startswith("WSEDGE_OPERATOR_RELAY_"):
            assert value
    read = Settings(
        relay_network_policy=guarded["WSEDGE_OPERATOR_RELAY_NETWORK_POLICY"],
        relay_metrics_from=json.loads(guarded["WSEDGE_OPERATOR_RELAY_METRICS_FROM"]),
        denied_origin_networks=guarded["WSEDGE_OPERATOR_DENIED_ORIGIN_NETWORKS"],
    )
    assert Settings(cluster=guarded["WSEDGE_OPERATOR_CLUSTER"]).cluster == "north-1"
    assert read.denied_origin_networks == (*DENIED_NETWORKS, "10.0.0.0/8", "fd00::/8")
    assert read.admin_peers is not None
    assert read.admin_peers[1] == {"namespaceSelector": {"matchLabels": {"team": "metrics"}}}
    (labels,) = (each["spec"]["template"]["metadata"]["labels"] for each in of_kind(objects, "Deployment"))
    assert read.admin_peers[0]["podSelector"]["matchLabels"].items() <= labels.items()
    text = helm("template", "wsedge", CHART, "--set-json", "relay.deniedOriginNetworks=[]")
    nothing = environment(pod_of([each for each in yaml.safe_load_all(text) if each], "Deployment"))
    assert nothing["WSEDGE_OPERATOR_DENIED_ORIGIN_NETWORKS"] == "none"
    with pytest.raises(CommandFailed, match="deniedOriginNetworks"):
        render(helm, "relay.deniedOriginNetworks={everything}")


def test_a_network_policy_admits_relays_operator_and_named_readers(helm: Helm) -> None:
    """With networkPolicy.enabled no other pod reaches the statistics; without it there is no policy."""
    assert not of_kind(render(helm), "NetworkPolicy")
    reader = "networkPolicy.statisticsFrom[0].podSelector.matchLabels.app"
    policies = of_kind(render(helm, "networkPolicy.enabled=true", f"{reader}=grafana"), "NetworkPolicy")
    by_name = {each["metadata"]["name"]: each["spec"]["ingress"] for each in policies}
    peers = by_name["wsedge-statistics"][0]["from"]
    labels = [peer["podSelector"]["matchLabels"] for peer in peers]
    assert [each.get("app.kubernetes.io/name", each.get("app")) for each in labels] == [
        "wsedge-operator",
        "wsedge-relay",
        "grafana",
    ]


KEYS_OF_THE_CLUSTER = ("ClusterRole", "ClusterRoleBinding")
KEYS_OF_NAMESPACES = ("Role", "RoleBinding")


def test_the_rpc_brings_a_port_a_service_and_a_right_on_one_name(helm: Helm) -> None:
    """With statistics.dcdn.enabled; without it there is none of them."""
    for objects in (render(helm), render(helm, "statistics.dcdn.enabled=true", "rbac.create=false")):
        assert not [each for each in objects if "access-keys" in each["metadata"]["name"]]
    assert "dcdn" not in json.dumps(of_kind(render(helm), "Service", "StatefulSet", "NetworkPolicy"))
    peer = "networkPolicy.dcdnFrom[0].namespaceSelector.matchLabels.team"
    objects = render(helm, "statistics.dcdn.enabled=true", "networkPolicy.enabled=true", f"{peer}=billing")
    service, *_ = [each for each in of_kind(objects, "Service") if each["metadata"]["name"].endswith("-dcdn")]
    container = pod_of(objects, "StatefulSet")["containers"][0]
    assert (service["spec"]["type"], service["spec"]["ports"][0]["targetPort"]) == ("ClusterIP", "dcdn")
    assert {"name": "dcdn", "containerPort": 8090} in container["ports"]
    assert "--dcdn-listen=$(POD_IP):8090" in container["args"]
    ingress = next(
        each["spec"]["ingress"]
        for each in of_kind(objects, "NetworkPolicy")
        if each["metadata"]["name"] == "wsedge-statistics"
    )
    assert ingress[1]["from"] == [{"namespaceSelector": {"matchLabels": {"team": "billing"}}}]
    role, binding = (
        each for each in of_kind(objects, *KEYS_OF_THE_CLUSTER) if "access-keys" in each["metadata"]["name"]
    )
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["wsedge-access-keys"],
            "verbs": ["list", "watch"],
        }
    ]
    assert binding["subjects"][0]["name"] == "wsedge-statistics"


def test_the_rpc_has_the_certificate_of_a_secret(helm: Helm) -> None:
    """The Secret may be missing: the pod starts without it."""
    objects = render(helm, "statistics.dcdn.enabled=true", "statistics.dcdn.tlsSecret=rpc-tls")
    pod = pod_of(objects, "StatefulSet")
    assert {"name": "dcdn-tls", "secret": {"secretName": "rpc-tls", "optional": True}} in pod["volumes"]
    assert "--dcdn-tls-cert=/var/run/wsedge/dcdn-tls/tls.crt" in pod["containers"][0]["args"]
    assert "/var/run/wsedge/dcdn-tls" in [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]]
    without = pod_of(render(helm, "statistics.dcdn.tlsSecret=rpc-tls"), "StatefulSet")
    assert "dcdn-tls" not in json.dumps(without)


def test_in_some_namespaces_the_right_on_access_keys_is_of_each(helm: Helm) -> None:
    """watchNamespaces: a Role in each, no right in the cluster, and the statistics know which to read."""
    objects = render(helm, "statistics.dcdn.enabled=true", "watchNamespaces={team-a,team-b}")
    named = [each for each in objects if "access-keys" in each["metadata"]["name"]]
    assert not of_kind(named, *KEYS_OF_THE_CLUSTER)
    assert [each["metadata"]["namespace"] for each in of_kind(named, *KEYS_OF_NAMESPACES)] == [
        "team-a",
        "team-b",
        "team-a",
        "team-b",
    ]
    arguments = pod_of(objects, "StatefulSet")["containers"][0]["args"]
    assert [each for each in arguments if "key-namespace" in each] == [
        "--access-key-namespace=team-a",
        "--access-key-namespace=team-b",
    ]


def test_placement_pull_secrets_and_labels_reach_the_pods(helm: Helm) -> None:
    """nodeSelector, tolerations, imagePullSecrets, common labels and pod labels are in each pod template."""
    objects = render(
        helm,
        "imagePullSecrets[0].name=registry",
        "commonLabels.team=edge",
        "statistics.nodeSelector.disk=ssd",
        "operator.tolerations[0].operator=Exists",
        "operator.podLabels.mesh=off",
    )
    operator, statistics = pod_of(objects, "Deployment"), pod_of(objects, "StatefulSet")
    assert operator["imagePullSecrets"] == statistics["imagePullSecrets"] == [{"name": "registry"}]
    assert statistics["nodeSelector"] == {"disk": "ssd"}
    assert operator["tolerations"] == [{"operator": "Exists"}]
    assert all(each["metadata"]["labels"]["team"] == "edge" for each in objects)
    (deployment,) = of_kind(objects, "Deployment")
    assert deployment["spec"]["template"]["metadata"]["labels"]["mesh"] == "off"


def test_the_ledger_can_use_an_existing_claim(helm: Helm) -> None:
    """ExistingClaim replaces the StatefulSet's own claim."""
    (statistics,) = of_kind(render(helm, "statistics.persistence.existingClaim=mine"), "StatefulSet")
    assert "volumeClaimTemplates" not in statistics["spec"]
    volumes = statistics["spec"]["template"]["spec"]["volumes"]
    assert {"name": "ledger", "persistentVolumeClaim": {"claimName": "mine"}} in volumes


def test_a_server_of_clickhouse_takes_several_pods(helm: Helm) -> None:
    """A Deployment without a volume, whose arguments the program accepts; the password is of a Secret."""
    server = "statistics.ledger.clickhouse"
    objects = render(
        helm,
        "statistics.ledger.kind=clickhouse",
        "statistics.replicas=3",
        f"{server}.url=https://ch.example:8443",
        f"{server}.user=wsedge",
        f"{server}.passwordSecret.name=ch-access",
        f"{server}.caConfigMap=ch-ca",
        f"{server}.cluster=main",
    )
    assert not of_kind(objects, "StatefulSet", "PersistentVolumeClaim")
    (workload,) = [
        each for each in of_kind(objects, "Deployment") if each["metadata"]["name"] == "wsedge-statistics"
    ]
    assert workload["spec"]["replicas"] == 3
    assert not {"serviceName", "volumeClaimTemplates"} & workload["spec"].keys()
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = read_settings([each for each in container["args"] if each.startswith(("--cl", "--led"))])
    files = (settings.clickhouse_password_file, settings.clickhouse_ca_file)
    assert (settings.ledger, settings.clickhouse_url) == ("clickhouse", "https://ch.example:8443")
    assert (settings.clickhouse_user, settings.clickhouse_cluster) == ("wsedge", "main")
    mounts = {each["name"]: Path(each["mountPath"]) for each in container["volumeMounts"]}
    assert files == (mounts["clickhouse"] / "password", mounts["clickhouse-ca"] / "ca.crt")
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert "ledger" not in volumes
    assert volumes["clickhouse"]["secret"] == {
        "secretName": "ch-access",
        "items": [{"key": "password", "path": "password"}],
    }
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    (service,) = [each for each in of_kind(objects, "Service") if "statistics" in each["metadata"]["name"]]
    assert service["spec"]["sessionAffinity"] == "ClientIP"
    assert service["spec"]["selector"].items() <= workload["spec"]["template"]["metadata"]["labels"].items()


def test_one_pod_on_a_server_needs_no_more_than_its_url(helm: Helm) -> None:
    """No Secret is mounted, and no budget blocks a node's drain."""
    objects = render(
        helm, "statistics.ledger.kind=clickhouse", "statistics.ledger.clickhouse.url=http://ch:8123"
    )
    assert not of_kind(objects, "PodDisruptionBudget", "StatefulSet")
    (workload,) = [
        each for each in of_kind(objects, "Deployment") if each["metadata"]["name"] == "wsedge-statistics"
    ]
    names = {each["name"] for each in workload["spec"]["template"]["spec"]["volumes"]}
    assert names == {"api-access", "scratch"}


def test_billing_and_its_price_book_reach_the_statistics(helm: Helm) -> None:
    """The settings are arguments that the program accepts, and the book is a file that it can read."""
    assert not [each for each in of_kind(render(helm), "ConfigMap") if "prices" in each["metadata"]["name"]]
    book = "statistics.billing.priceBook"
    objects = render(
        helm,
        "statistics.billing.gbBase=1000",
        "statistics.billing.direction=both",
        "statistics.billing.countIdleDays=false",
        f"{book}.currency=CNY",
        f"{book}.prices[0].method=Traffic",
        f"{book}.prices[0].tiers[0].upTo=10240",
        f"{book}.prices[0].tiers[0].price=0.24",
        f"{book}.prices[0].tiers[1].price=0.23",
    )
    pod = pod_of(objects, "StatefulSet")
    given = [each for each in pod["containers"][0]["args"] if "POD_IP" not in each and "jwks" not in each]
    settings = read_settings(
        [each for each in given if not each.startswith(("--ca-file", "--api-token-file"))]
    )
    assert settings.rules == Rules(1000, "both", Decimal(1), False)
    assert settings.price_book == Path("/var/run/wsedge/prices/prices.json")
    (prices,) = [
        each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == "wsedge-prices"
    ]
    found = read_book(prices["data"]["prices.json"].encode())
    assert [tier.price for tier in found.tiers("Traffic", "CN") or ()] == [Decimal("0.24"), Decimal("0.23")]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts["prices"] == "/var/run/wsedge/prices"


def test_two_releases_share_no_object(helm: Helm) -> None:
    """Releases of two names have no object in common but the CRDs, of which a cluster has one set."""

    def names(release: str) -> set[tuple[str, str]]:
        text = helm("template", release, CHART, "--set", "crds.install=false")
        return {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(text) if each}

    assert not names("wsedge") & names("second")


SELECTOR = (
    "namespaceSelector.matchLabels.edge=true",
    "namespaceSelector.matchExpressions[0].key=wsedge\\.io/stage",
    "namespaceSelector.matchExpressions[0].operator=NotIn",
    "namespaceSelector.matchExpressions[0].values={old,older}",
    "namespaceSelector.matchExpressions[1].key=legacy",
    "namespaceSelector.matchExpressions[1].operator=DoesNotExist",
)


def test_the_namespace_selector_reaches_the_operator(helm: Helm) -> None:
    """The operator parses the selector; the chart refuses it beside a list of namespaces, or incomplete."""
    objects = render(helm)
    assert "WSEDGE_OPERATOR_NAMESPACE_SELECTOR" not in environment(pod_of(objects, "Deployment"))
    text = helm(
        "template", "wsedge", CHART, *(part for value in SELECTOR for part in ("--set-string", value))
    )
    objects = [each for each in yaml.safe_load_all(text) if each]
    value = environment(pod_of(objects, "Deployment"))["WSEDGE_OPERATOR_NAMESPACE_SELECTOR"]
    assert value == "edge=true,wsedge.io/stage notin (old,older),!legacy"
    selector = Settings(namespace_selector=value).selected_labels
    assert selector.matches({"edge": "true"})
    assert not selector.matches({"edge": "true", "wsedge.io/stage": "old"})
    with pytest.raises(CommandFailed, match="set one of the two"):
        render(helm, "watchNamespaces={team-a}", "namespaceSelector.matchLabels.edge=on")
    key = "namespaceSelector.matchExpressions[0]"
    with pytest.raises(CommandFailed, match="edge In needs values"):
        render(helm, f"{key}.key=edge", f"{key}.operator=In")


def test_settings_of_relay_pods_reach_the_operator(helm: Helm) -> None:
    """The operator parses relay.pod; without it the operator has no such setting, and no policy bounds it."""
    assert "WSEDGE_OPERATOR_RELAY_POD" not in environment(pod_of(render(helm), "Deployment"))
    objects = render(
        helm,
        "relay.pod.labels.team=edge",
        "relay.pod.terminationGracePeriodSeconds=600",
        "relay.pod.tolerations[0].operator=Exists",
        "relay.pod.serviceAccountName=wsedge-relay-mesh",
    )
    value = environment(pod_of(objects, "Deployment"))["WSEDGE_OPERATOR_RELAY_POD"]
    read = Settings(relay_pod=json.loads(value)).relay_pod
    assert (read.labels, read.terminationGracePeriodSeconds) == ({"team": "edge"}, 600)
    policy = "ValidatingAdmissionPolicy"
    assert len(of_kind(render(helm, "domainPolicy.podFields={labels}"), policy)) == 11
    old = ("template", "wsedge", CHART, "--kube-version=1.29.0", "--set", "domainPolicy.priorityClasses={a}")
    with pytest.raises(CommandFailed, match=r"domainPolicy\.priorityClasses need Kubernetes 1.30"):
        helm(*old)


BAD_VALUES = {
    "a number as text": ("operator.replicas=two", "at '/operator/replicas': got string, want integer"),
    "a value that nobody reads": ("operator.replica=2", "at '/operator': additional properties 'replica'"),
    "a privileged port": ("operator.port=80", "at '/operator/port': minimum: got 80, want 1,024"),
    "a digest that is none": ("image.digest=latest", "at '/image/digest': 'latest' does not match"),
    "keys in the clear": ("statistics.auth.jwksUrl=http://x/", "at '/statistics/auth/jwksUrl'"),
    "access keys in the clear": (
        "statistics.dcdn.apiServer=http://x/",
        "at '/statistics/dcdn/apiServer'",
    ),
    "a size without a unit": ("statistics.persistence.size=ten", "at '/statistics/persistence/size'"),
    "an administrator who is no ServiceAccount": (
        "statistics.adminSubjects={root}",
        "at '/statistics/adminSubjects/0'",
    ),
    "several pods of one file": ("statistics.replicas=2", "at '/statistics/replicas': value must be 1"),
    "a server without a URL": ("statistics.ledger.kind=clickhouse", "at '/statistics/ledger/clickhouse/url'"),
    "a password in a URL": (
        "statistics.ledger.clickhouse.url=http://u:p@ch:8123",
        "at '/statistics/ledger/clickhouse/url'",
    ),
    "a rule for nobody": ("domainPolicy.rules[0].domains={a.example.com}", "at '/domainPolicy/rules/0'"),
    "a pattern within a label": (
        "domainPolicy.rules[0].domains={a*.example.com}",
        "at '/domainPolicy/rules/0/domains/0': 'a*.example.com'",
    ),
    "another workload's account for relays": (
        "relay.pod.serviceAccountName=default",
        "at '/relay/pod/serviceAccountName': 'default'",
    ),
    "a setting of pods that relays do not have": (
        "relay.pod.hostNetwork=true",
        "at '/relay/pod': additional properties 'hostNetwork'",
    ),
    "a label of the operator on relays": (
        "relay.pod.labels.wsedge\\.io/x=y",
        "at '/relay/pod/labels/wsedge.io~1x'",
    ),
    "a key that no label has": (
        "relay.pod.labels.a b=c",
        "at '/relay/pod/labels': additional properties 'a b'",
    ),
    "a label by which Services select": ("relay.pod.labels.app=c", "at '/relay/pod/labels/app'"),
    "a value that no label has": ("relay.pod.nodeSelector.a=-", "at '/relay/pod/nodeSelector/a': '-'"),
    "an annotation that removes confinement": (
        "relay.pod.annotations.container\\.seccomp\\.security\\.alpha\\.kubernetes\\.io/relay=unconfined",
        "at '/relay/pod/annotations/container.seccomp",
    ),
    "a namespace that cannot be": ("watchNamespaces={Team_A}", "at '/watchNamespaces/0': 'Team_A'"),
}


@pytest.mark.parametrize(("value", "message"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_a_bad_value_is_refused_with_its_path(helm: Helm, value: str, message: str) -> None:
    """The schema names the value and the rule before anything is rendered or installed."""
    with pytest.raises(CommandFailed) as refused:
        render(helm, value)
    assert message in str(refused.value)


def test_operator_and_statistics_run_under_the_restricted_standard(installed: Cluster) -> None:
    """The namespace enforces `restricted`, refuses an unrestricted pod, and both programs become ready."""
    plain = (
        "{apiVersion: v1, kind: Pod, metadata: {name: plain},"
        " spec: {containers: [{name: plain, image: 'ghcr.io/wsedge/wsedge:0.1.0'}]}}"
    )
    with pytest.raises(CommandFailed, match='violates PodSecurity "restricted'):
        installed.kubectl("create", "--namespace", SYSTEM, "--filename", "-", input=plain)
    ready = "jsonpath={.items[*].status.readyReplicas}"
    assert installed.kubectl("get", "deploy,sts", "--namespace", SYSTEM, "--output", ready) == "1 1"


def test_notes_have_the_next_commands(installed: Cluster) -> None:
    """The notes contain commands for the release's own objects."""
    notes = installed.helm("get", "notes", "wsedge", "--namespace", SYSTEM)
    assert "rollout status deployment/wsedge-operator" in notes
    assert "create token default --namespace NS --audience wsedge-statistics" in notes


CAN = {
    "an editor writes plans": ("edit", "create", "billingplans", "yes"),
    "an editor deletes domains": ("edit", "delete", "websocketdomains", "yes"),
    "an editor scales a domain": ("edit", "patch", "websocketdomains/scale", "yes"),
    "an editor does not write a status": ("edit", "patch", "websocketdomains/status", "no"),
    "an administrator writes plans": ("admin", "update", "billingplans", "yes"),
    "a viewer reads domains": ("view", "list", "websocketdomains", "yes"),
    "a viewer writes nothing": ("view", "create", "billingplans", "no"),
}


@pytest.mark.parametrize(("role", "verb", "resource", "answer"), CAN.values(), ids=CAN.keys())
def test_the_built_in_roles_cover_our_kinds(
    installed: Cluster, namespace: str, role: str, verb: str, resource: str, answer: str
) -> None:
    """view, edit and admin of a namespace include plans and domains."""
    installed.kubectl(
        "create", "rolebinding", "ours", f"--clusterrole={role}", "--user=somebody", "--namespace", namespace
    )
    kind, _, subresource = resource.partition("/")
    question = [verb, f"{kind}.wsedge.io", "--as=somebody", "--namespace", namespace]
    try:
        said = installed.kubectl("auth", "can-i", *question, f"--subresource={subresource}")
    except CommandFailed as no:  # kubectl reports "no" by its exit status as well
        said = no.stdout
    assert said.strip() == answer


# What docs/quickstart.md ("Remove it") lists as remaining; each namespace has the last three by itself.
LEFT_BEHIND = {
    "persistentvolumeclaim/ledger-wsedge-statistics-0",
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
}


def left_behind(cluster: Cluster) -> set[str]:
    """Return a release's remaining objects, without records of accounts, in its namespace and the cluster."""
    cluster.kubectl("wait", "pods", "--all", "--for=delete", "--namespace", SYSTEM, "--timeout=120s")
    kinds = "all,lease,configmap,secret,serviceaccount,pvc,role,rolebinding,networkpolicy,poddisruptionbudget"
    at_home = cluster.kubectl("get", kinds, "--namespace", SYSTEM, "--output=name")
    kinds = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding"
    ours = ("--selector=app.kubernetes.io/part-of=wsedge", "--output=name")
    found = (at_home + cluster.kubectl("get", kinds, *ours)).split()
    return {name for name in found if not name.startswith("configmap/wsedge-account")}


def records_of(cluster: Cluster, account: str) -> list[Object]:
    """Return the data of the records of an account, wherever they are kept."""
    found = json.loads(cluster.kubectl("get", "configmaps", "--namespace", SYSTEM, "--output=json"))["items"]
    return [
        each["data"]
        for each in found
        if each["metadata"]["name"].startswith("wsedge-account") and account in json.dumps(each)
    ]


def under_another_name(cluster: Cluster) -> None:
    """Assert that Helm refuses CRDs of another release until docs/install.md's commands transfer them."""
    commands = (ROOT / "docs" / "install.md").read_text().partition("### Under another name")[2]
    annotate = " ".join(commands.partition("kubectl ")[2].split("helm install")[0].split()).replace("\\ ", "")
    install = ("install", "edge", CHART, "--namespace", SYSTEM, "--dry-run=server")
    with pytest.raises(CommandFailed, match="invalid ownership metadata"):
        cluster.helm(*install)
    cluster.kubectl(*annotate.split())
    try:
        claim = "statistics.persistence.existingClaim=ledger-wsedge-statistics-0"
        assert 'claimName: "ledger-wsedge-statistics-0"' in cluster.helm(*install, "--set", claim)
    finally:
        cluster.kubectl(*annotate.replace("release-name=edge", "release-name=wsedge").split())


def test_uninstalling_keeps_the_crds_and_the_objects_in_them(installed: Cluster, namespace: str) -> None:
    """After an uninstall plans and records of accounts remain, and the next install adopts the CRDs."""
    plan = (
        "{apiVersion: wsedge.io/v1alpha1, kind: BillingPlan, metadata: {name: kept},"
        " spec: {billingCycle: Daily, meteringMethod: Traffic}}"
    )
    installed.kubectl("apply", "--namespace", namespace, "--filename", "-", input=plan)
    condition = "--for=condition=Effective"
    installed.kubectl("wait", condition, "billingplan/kept", "--namespace", namespace, "--timeout=120s")
    records = records_of(installed, namespace)
    assert records
    installed.helm("uninstall", "wsedge", "--namespace", SYSTEM, "--wait")
    try:
        assert records_of(installed, namespace) == records
        # The operator has lost the right to release its Lease, so the Lease is deleted with its pod.
        installed.kubectl(
            "wait", "lease/wsedge-operator", "--for=delete", "--namespace", SYSTEM, "--timeout=120s"
        )
        assert len(installed.kubectl("get", *CRDS, "--output", "name").split()) == len(CRDS)
        assert "kept" in installed.kubectl("get", "billingplan", "--namespace", namespace)
        assert left_behind(installed) == LEFT_BEHIND
        under_another_name(installed)
    finally:
        install_chart(installed, "--wait", "--timeout=120s")
    installed.kubectl("wait", condition, "billingplan/kept", "--namespace", namespace, "--timeout=120s")


def test_an_upgrade_brings_a_standby_and_keeps_the_crds(installed: Cluster) -> None:
    """After an upgrade to two replicas both are ready and one leads; the CRDs are the same objects."""
    identity = ("get", *CRDS, "--output", "jsonpath={.items[*].metadata.uid}")
    before = installed.kubectl(*identity)
    release = ("upgrade", "wsedge", CHART, "--namespace", SYSTEM, "--wait", "--timeout=120s")
    installed.helm(*release, "--set", "operator.replicas=2")
    ready = ("get", "deployment/wsedge-operator", "--namespace", SYSTEM)
    assert installed.kubectl(*ready, "--output", "jsonpath={.status.readyReplicas}") == "2"
    holder = ("get", "lease/wsedge-operator", "--namespace", SYSTEM, "--output")
    assert installed.kubectl(*holder, "jsonpath={.spec.holderIdentity}").startswith("wsedge-operator-")
    assert installed.kubectl(*identity) == before
    installed.helm("rollback", "wsedge", "--namespace", SYSTEM, "--wait", "--timeout=120s")


NARROW = "wsedge-narrow"
DOMAIN_AND_PLAN = """
{apiVersion: wsedge.io/v1alpha1, kind: BillingPlan, metadata: {name: plan},
 spec: {billingCycle: Daily, meteringMethod: Traffic}}
---
{apiVersion: wsedge.io/v1alpha1, kind: WebSocketDomain, metadata: {name: narrow},
 spec: {domain: narrow.example.com, websocket: {enabled: true, originProtocol: HTTP},
        origins: [{host: 127.0.0.1, httpPort: 9}], relay: {replicas: 1}}}
"""


@pytest.fixture
def narrow(installed: Cluster, namespace: str) -> Iterator[Cluster]:
    """Install a second release for one namespace, while the first release's operator is scaled to 0."""
    installed.kubectl("scale", "deployment/wsedge-operator", "--namespace", SYSTEM, "--replicas=0")
    try:
        values = [f"watchNamespaces={{{namespace}}}", "crds.install=false"]
        values += ["rbac.userRoles=false", "rbac.issuerDiscovery=false"]
        settings = [part for value in values for part in ("--set", value)]
        place = ("--namespace", NARROW, "--create-namespace", "--wait", "--timeout=120s")
        installed.helm("install", NARROW, CHART, *place, *settings)
        yield installed
        installed.kubectl("delete", "websocketdomain/narrow", "--namespace", namespace)
        installed.helm("uninstall", NARROW, "--namespace", NARROW)
        installed.kubectl("delete", "namespace", NARROW, "--wait=false")
    finally:
        installed.kubectl("scale", "deployment/wsedge-operator", "--namespace", SYSTEM, "--replicas=1")
        installed.kubectl("rollout", "status", "deployment/wsedge-operator", "--namespace", SYSTEM)


def test_one_namespace_is_served_without_any_right_in_the_cluster(narrow: Cluster, namespace: str) -> None:
    """With watchNamespaces the operator starts relays there, and may not read other namespaces."""
    narrow.kubectl("apply", "--namespace", namespace, "--filename", "-", input=DOMAIN_AND_PLAN)
    ready = ("wait", "--for=condition=Ready", "websocketdomain/narrow", "--timeout=120s")
    narrow.kubectl(*ready, "--namespace", namespace)
    operator = f"--as=system:serviceaccount:{NARROW}:{NARROW}-operator"
    with pytest.raises(CommandFailed) as no:
        narrow.kubectl("auth", "can-i", "list", "secrets", operator, "--namespace", "default")
    assert no.value.stdout.strip() == "no"
