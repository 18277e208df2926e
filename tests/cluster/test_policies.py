"""The chart's admission policies on a real API server: writes of the operator, claims on names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.devcluster import Namespace, eventually
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed
from wsedge_operator.api.spec.exposure import IngressExposure, ServiceExposure, ServiceType
from wsedge_operator.api.websocket_domain import WebSocketDomain
from wsedge_operator.desired.deployment import RelayImage, deployment
from wsedge_operator.desired.disruption_budget import disruption_budget
from wsedge_operator.desired.exposure.ingress import ingress
from wsedge_operator.desired.secret import secret
from wsedge_operator.desired.service import service
from wsedge_operator.desired.service_account import service_account

CHART = str(Path(__file__).resolve().parents[2] / "charts" / "wsedge")
OPERATOR = f"--as=system:serviceaccount:{SYSTEM}:wsedge-operator"
Object = dict[str, Any]


def owner(namespace: str) -> Object:
    """Return a WebSocketDomain as an owner reference; no policy verifies that it exists."""
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "WebSocketDomain",
        "metadata": {"name": "chat", "namespace": namespace, "uid": "00000000-0000-4000-8000-000000000001"},
        "spec": {
            "domain": "chat.example.com",
            "websocket": {"enabled": True, "originProtocol": "HTTP"},
            "origins": [{"host": "origin.example.com"}],
        },
    }


def relays(namespace: str) -> Object:
    live = owner(namespace)
    spec = WebSocketDomain.model_validate(live).spec
    return deployment(live, spec, RelayImage("ghcr.io/wsedge/wsedge:0.1.0"))


def entry(namespace: str) -> Object:
    live = owner(namespace)
    spec = WebSocketDomain.model_validate(live).spec
    return ingress(live, spec, IngressExposure(), api_version="networking.k8s.io/v1")


def exposed(namespace: str, type_: str) -> Object:
    return service(owner(namespace), tls=True, exposure=ServiceExposure(type=ServiceType(type_)))


def changed(child: Object, path: str, value: Any) -> Object:
    """Return a copy of a manifest with another value at the path `a.b.0.c`; None removes it."""
    copy: Any = json.loads(json.dumps(child))
    place = copy
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    if value is None:
        del place[last]
    elif isinstance(place, list):
        place.append(value)
    else:
        place[last] = value
    return copy


def token_secret(namespace: str) -> Object:
    """Return a Secret into which the token controller would write a token of this ServiceAccount."""
    made = secret(owner(namespace), {})
    annotations = {"kubernetes.io/service-account.name": "default"}
    return {**made, "type": "kubernetes.io/service-account-token"} | {
        "metadata": {**made["metadata"], "annotations": annotations}
    }


POD = "spec.template.spec"
REFUSED = {
    "a child without the operator's label": (
        lambda ns: changed(service_account(owner(ns)), "metadata.labels", {}),
        "only objects with its label",
    ),
    "a child of nobody": (
        lambda ns: changed(service_account(owner(ns)), "metadata.ownerReferences", []),
        "only objects with its label",
    ),
    "anything in kube-system": (
        lambda _: service_account(owner("kube-system")),
        "the operator writes nothing in this namespace",
    ),
    "a Secret that becomes another's token": (token_secret, "only Secrets of type Opaque"),
    "a Service that takes an address over": (
        lambda ns: changed(service(owner(ns), tls=False), "spec.externalIPs", ["192.0.2.1"]),
        "only Services that select relays",
    ),
    "a Service of another host": (
        lambda ns: changed(
            changed(service(owner(ns), tls=False), "spec.type", "ExternalName"),
            "spec.externalName",
            "bank.example.com",
        ),
        "only Services that select relays",
    ),
    "a load balancer for pods that are no relays": (
        lambda ns: changed(
            changed(service(owner(ns), tls=False), "spec.type", "LoadBalancer"),
            "spec.selector",
            {"app": "database"},
        ),
        "only Services that select relays",
    ),
    "an Ingress to another Service": (
        lambda ns: changed(
            entry(ns), "spec.rules.0.http.paths.0.backend.service", {"name": "x", "port": {"number": 80}}
        ),
        "only Ingresses of one host name",
    ),
    "an Ingress of every host": (
        lambda ns: changed(entry(ns), "spec.rules.0.host", None),
        "only Ingresses of one host name",
    ),
    "an Ingress of a second host's TLS": (
        lambda ns: changed(
            entry(ns), "spec.tls", [{"hosts": ["bank.example.com"], "secretName": "bank-tls"}]
        ),
        "only Ingresses of one host name",
    ),
    "an Ingress with a default backend": (
        lambda ns: changed(
            entry(ns), "spec.defaultBackend", {"service": {"name": "x", "port": {"number": 80}}}
        ),
        "only Ingresses of one host name",
    ),
    "a pod on its node's network": (
        lambda ns: changed(relays(ns), f"{POD}.hostNetwork", True),
        "relays share no namespace of their node",
    ),
    "a pod with another's identity": (
        lambda ns: changed(relays(ns), f"{POD}.serviceAccountName", "default"),
        "relays run as their own ServiceAccount",
    ),
    "a pod whose account only ends like a relay's": (
        lambda ns: changed(relays(ns), f"{POD}.serviceAccountName", "my-wsedge-relay"),
        "relays run as their own ServiceAccount",
    ),
    "a pod with a token for the API server": (
        lambda ns: changed(relays(ns), f"{POD}.automountServiceAccountToken", True),
        "relays run as their own ServiceAccount",
    ),
    "a pod that reads its node's disk": (
        lambda ns: changed(relays(ns), f"{POD}.volumes.4", {"name": "root", "hostPath": {"path": "/"}}),
        "relays mount only their own ConfigMap and Secret",
    ),
    "a pod that reads another Secret": (
        lambda ns: changed(relays(ns), f"{POD}.volumes.4", {"name": "x", "secret": {"secretName": "x"}}),
        "relays mount only their own ConfigMap and Secret",
    ),
    "a privileged pod": (
        lambda ns: changed(relays(ns), f"{POD}.containers.0.securityContext", {"privileged": True}),
        "restricted Pod Security Standard",
    ),
    "a pod with an init container that may do more": (
        lambda ns: changed(relays(ns), f"{POD}.initContainers", [{"name": "init", "image": "x"}]),
        "restricted Pod Security Standard",
    ),
    "a pod that takes a Secret into its environment": (
        lambda ns: changed(relays(ns), f"{POD}.containers.0.envFrom", [{"secretRef": {"name": "somebodys"}}]),
        "no environment variable from a Secret",
    ),
}


def write(cluster: Cluster, document: Object, *more: str) -> str:
    return cluster.kubectl("create", "--filename=-", *more, input=json.dumps(document))


@pytest.mark.parametrize(("made", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_the_operator_cannot_make(installed: Cluster, namespace: str, made: Any, message: str) -> None:
    """The operator's token cannot create an object that grants more than a relay has."""
    with pytest.raises(CommandFailed, match=message):
        write(installed, made(namespace), OPERATOR)


def test_the_operator_can_make_its_children(installed: Cluster, namespace: str) -> None:
    """Every child as the operator builds it is admitted, and may be changed and deleted."""
    live = owner(namespace)
    children = [
        service_account(live),
        service(live, tls=True),
        secret(live, {"key": b"value"}),
        disruption_budget(live),
        relays(namespace),
        changed(relays(namespace), f"{POD}.serviceAccountName", "wsedge-relay-mesh"),
        entry(namespace),
    ]
    for type_ in ("NodePort", "LoadBalancer"):
        write(installed, exposed(namespace, type_), OPERATOR, "--dry-run=server")
    for child in children:
        write(installed, child, OPERATOR, "--dry-run=server")


def test_expressions_pass_the_type_check(installed: Cluster) -> None:
    """The API server's type check of the expressions has no warning."""

    def checked() -> list[Object]:
        items = json.loads(installed.kubectl("get", "validatingadmissionpolicies", "--output", "json"))[
            "items"
        ]
        found = [each for each in items if "wsedge-operator" in each["metadata"]["name"]]
        assert len(found) == 8
        return [each for each in found if "typeChecking" in each["status"]]

    policies = eventually(lambda: found if len(found := checked()) == 8 else [])
    assert [each["status"]["typeChecking"] for each in policies] == [{}] * 8


def test_the_operator_cannot_change_objects_of_other_owners(installed: Cluster, namespace: str) -> None:
    """The operator's token can neither change nor delete Secrets, Services and pods of other owners."""
    space = Namespace(installed, namespace)
    space.kubectl("create", "secret", "generic", "theirs", "--from-literal=k=v")
    space.kubectl("create", "service", "clusterip", "theirs", "--tcp=80")
    space.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "theirs", "annotations": {"devcluster.wsedge.io/simulated": "true"}},
            "spec": {"containers": [{"name": "main", "image": "ghcr.io/wsedge/examples:0.1.0"}]},
        }
    )
    attempts = (
        ("delete", "secret/theirs"),
        ("patch", "secret/theirs", "--patch", '{"data": {"k": "eA=="}}'),
        ("label", "secret/theirs", "app.kubernetes.io/managed-by=wsedge"),
        ("patch", "service/theirs", "--patch", '{"spec": {"selector": {"x": "y"}}}'),
        ("delete", "service/theirs"),
    )
    for attempt in attempts:
        with pytest.raises(CommandFailed, match="denied request: the operator"):
            space.kubectl(*attempt, OPERATOR)
    with pytest.raises(CommandFailed, match="only annotations of relay pods"):
        patch_pod(space, "theirs", metadata={"annotations": {"a": "b"}})


def test_pods_of_relays_are_only_annotated(installed: Cluster, namespace: str) -> None:
    """The operator's token annotates a relay's pod, and can change neither its labels nor its image."""
    space = Namespace(installed, namespace)
    ours = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "ours",
            "labels": {"app.kubernetes.io/managed-by": "wsedge"},
            "annotations": {"devcluster.wsedge.io/simulated": "true"},
        },
        "spec": {"containers": [{"name": "main", "image": "ghcr.io/wsedge/examples:0.1.0"}]},
    }
    write(installed, ours, f"--namespace={namespace}")  # not by apply, which would make kubectl its manager
    patch_pod(space, "ours", metadata={"annotations": {"a": "b"}})
    attempts: list[Object] = [
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"finalizers": ["example.com/stay"]}},
        {"spec": {"containers": [{"name": "main", "image": "ghcr.io/wsedge/wsedge:0.1.0"}]}},
    ]
    for attempt in attempts:
        with pytest.raises(CommandFailed, match="only annotations of relay pods"):
            patch_pod(space, "ours", **attempt)


def patch_pod(space: Namespace, name: str, **change: Any) -> None:
    """Patch a pod as the operator, which may patch pods but not get them, as kubectl patch would."""
    change["metadata"] = {"name": name, **change.get("metadata", {})}
    document = json.dumps({"apiVersion": "v1", "kind": "Pod", **change})
    apply = ("apply", "--server-side", "--field-manager=wsedge", "--force-conflicts", "--filename=-")
    space.kubectl(*apply, OPERATOR, input=document)


def claim(domain: str, name: str = "chat") -> Object:
    return {
        "apiVersion": "wsedge.io/v1alpha1",
        "kind": "WebSocketDomain",
        "metadata": {"name": name},
        "spec": {"domain": domain, "websocket": {"enabled": False}, "origins": [{"host": "o.example.com"}]},
    }


@pytest.fixture
def ruled(installed: Cluster, namespace: str) -> Iterator[Namespace]:
    """Allow the namespace one name and the subdomains of another, and other tests' namespaces every name."""
    space = Namespace(installed, namespace)
    space.apply(claim("before.elsewhere.example", "before"))
    unruled = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace, "default"]}]
    rules = [
        {"namespaces": [namespace], "domains": ["chat.example.com"]},
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "domains": ["*.team-a.example.com"],
        },
        {"namespaceSelector": {"matchExpressions": unruled}, "domains": ["*"]},
    ]
    values = ["--set-json", f"domainPolicy.rules={json.dumps(rules)}"]
    # Under its own name, so that the release of other tests stays unchanged.
    template = [
        "template",
        "ruled",
        CHART,
        "--namespace",
        SYSTEM,
        "--show-only=templates/policies/domains.yaml",
    ]
    policy = installed.helm(*template, *values)
    installed.kubectl("apply", "--filename=-", input=policy)
    try:
        yield space
    finally:
        installed.kubectl("delete", "--filename=-", input=policy)


def test_a_namespace_claims_only_names_that_rules_allow(ruled: Namespace) -> None:
    """A namespace claims what its rules allow; a refusal lists that, and names no other namespace."""

    def refusal(domain: str, namespace: str) -> str:
        try:
            write(ruled.cluster, claim(domain), "--dry-run=server", f"--namespace={namespace}")
        except CommandFailed as refused:
            return refused.stderr
        return ""

    grabbed = eventually(lambda: refusal("chat.team-b.example.com", ruled.name))
    assert (
        f"spec.domain: namespace {ruled.name} may not claim chat.team-b.example.com; it may claim"
        " chat.example.com, *.team-a.example.com. The administrator of the cluster sets this"
    ) in grabbed
    assert "it may claim no name" in refusal("chat.example.com", "default")
    for allowed in ("chat.example.com", "a.team-a.example.com", "a.b.team-a.example.com"):
        assert not refusal(allowed, ruled.name)
    for refused in ("team-a.example.com", "x.chat.example.com", "ateam-a.example.com", "example.com"):
        assert "may not claim" in refusal(refused, ruled.name)
    # A claim from before the rules stays, and can be edited.
    switched = '{"spec": {"websocket": {"heartbeatSeconds": 45}}}'
    ruled.kubectl("patch", "websocketdomain/before", "--type=merge", "--patch", switched)


@pytest.fixture
def bounded(installed: Cluster, namespace: str) -> Iterator[Namespace]:
    """Allow labels and one priority class as settings of pods; a domain has more from before that."""
    space = Namespace(installed, namespace)
    stored = claim("before.elsewhere.example", "before")
    space.apply({**stored, "spec": {**stored["spec"], "relay": {"pod": {"nodeSelector": {"a": "b"}}}}})
    values = {"podFields": ["labels", "priorityClassName"], "priorityClasses": ["edge"]}
    policy = installed.helm(
        "template",
        "bounded",
        CHART,
        "--namespace",
        SYSTEM,
        "--show-only=templates/policies/pods.yaml",
        "--set-json",
        f"domainPolicy={json.dumps(values)}",
    )
    installed.kubectl("apply", "--filename=-", input=policy)
    try:
        yield space
    finally:
        installed.kubectl("delete", "--filename=-", input=policy)


def test_domains_have_only_the_settings_of_pods_that_the_administrator_allows(bounded: Namespace) -> None:
    """A refusal names the field and the chart value; what is stored stays while it is not edited."""

    def refusal(**settings: Any) -> str:
        made = claim("pods.elsewhere.example")
        try:
            document = {**made, "spec": {**made["spec"], "relay": {"pod": settings}}}
            write(bounded.cluster, document, "--dry-run=server", f"--namespace={bounded.name}")
        except CommandFailed as refused:
            return refused.stderr
        return ""

    refused = eventually(lambda: refusal(nodeSelector={"a": "b"}))
    assert (
        "spec.relay.pod.nodeSelector: the administrator of the cluster does not allow this field" in refused
    )
    assert "does not allow this class" in refusal(priorityClassName="high")
    assert not refusal(priorityClassName="edge", labels={"team": "a"})
    edit = '{"spec": {"websocket": {"heartbeatSeconds": 45}}}'
    bounded.kubectl("patch", "websocketdomain/before", "--type=merge", "--patch", edit)
    edit = '{"spec": {"relay": {"pod": {"nodeSelector": {"a": "c"}}}}}'
    with pytest.raises(CommandFailed, match=r"domainPolicy\.podFields"):
        bounded.kubectl("patch", "websocketdomain/before", "--type=merge", "--patch", edit)


def asking(host: str, **exposure: Any) -> Object:
    """Return a domain that asks for an entrance."""
    manifest = claim(host)
    manifest["spec"] |= {"exposure": exposure, "tls": {"secretName": "chat-tls"}}
    return manifest


ISSUER = {"issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}}
PARENTS = [{"name": "public", "namespace": "gateways"}]
ENTRANCES: dict[str, tuple[dict[str, Any], str]] = {
    "a load balancer": ({"service": {"type": "LoadBalancer"}}, "you may not create services"),
    "a host name in DNS": ({"dns": {}}, "you may not create services"),
    "an Ingress": ({"ingress": {}}, "you may not create ingresses"),
    "routes": ({"gateway": {"parentRefs": PARENTS}}, "you may not create httproutes"),
    "listeners": (
        {"gateway": {"parentRefs": [{"name": "public"}], "listenerSet": {}}},
        "you may not create httproutes",
    ),
    "a certificate": ({"certificate": ISSUER}, "you may not create certificates"),
}


def tenant(space: Namespace, *rules: Object) -> str:
    """Give a user rights on WebSocketDomains, and by `rules`; return kubectl's option to be that user."""
    domains = {
        "apiGroups": ["wsedge.io"],
        "resources": ["websocketdomains"],
        "verbs": ["get", "create", "update", "patch"],
    }
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "tenant"}}
    user = f"tenant-{space.name}"
    space.apply(
        {**kind, "kind": "Role", "rules": [domains, *rules]},
        {
            **kind,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        },
    )
    return f"--as={user}"


def refused(space: Namespace, manifest: Object, user: str) -> str:
    """Return the API server's refusal of a manifest; empty when it is accepted."""
    try:
        write(space.cluster, manifest, "--dry-run=server", f"--namespace={space.name}", user)
    except CommandFailed as refusal:
        return refusal.stderr
    return ""


def accepted(space: Namespace, manifest: Object, user: str) -> bool:
    return not refused(space, manifest, user)


def fails_with(space: Namespace, edit: tuple[str, ...], change: str, message: str) -> bool:
    """Return whether an edit is refused with a message."""
    try:
        space.kubectl(*edit, change)
    except CommandFailed as refusal:
        return message in refusal.stderr
    return False


def test_a_user_asks_for_no_entrance_beyond_own_rights(installed: Cluster, namespace: str) -> None:
    """A user with rights on WebSocketDomains alone gets no object by the operator's rights; an owner does."""
    space = Namespace(installed, namespace)
    host = f"{namespace}.example.com"
    user = tenant(space)
    for exposure, message in ENTRANCES.values():
        assert message in refused(space, asking(host, **exposure), user)
    assert not refused(space, claim(host), user)
    space.apply(asking(host, ingress={}))
    # What is stored already stays, and may be edited elsewhere.
    edit = ("patch", "wsd/chat", "--type=merge", user, "--patch")
    space.kubectl(*edit, '{"spec": {"accessLog": {"samplePercent": 1}}}')
    with pytest.raises(CommandFailed, match="you may not create ingresses"):
        space.kubectl(*edit, '{"spec": {"exposure": {"ingress": {"className": "other"}}}}')
    space.kubectl(*edit, '{"spec": {"exposure": null}}')
    # TLS that is passed through adds a TLSRoute, also to routes that are stored already.
    of_http = {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["create"]}
    tenant(space, of_http)
    plain = asking(host, gateway={"parentRefs": PARENTS})
    del plain["spec"]["tls"]
    space.apply(plain)
    with_tls = '{"spec": {"tls": {"secretName": "chat-tls"}}}'
    eventually(partial(fails_with, space, edit, with_tls, "you may not create tlsroutes"))
    with_tls = '{"spec": {"tls": {"secretName": "chat-tls"}, "exposure": {"gateway": {"tls": "Terminate"}}}}'
    space.kubectl(*edit, with_tls)
    space.kubectl(*edit, '{"spec": {"exposure": null}}')
    every = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["create"]}
    owner = tenant(space, every)
    for exposure, _ in ENTRANCES.values():
        manifest = asking(f"x.{host}", **exposure)
        manifest["metadata"] = {"name": "another"}
        eventually(partial(accepted, space, manifest, owner))


LISTED: dict[str, tuple[dict[str, Any], str]] = {
    "a type": ({"service": {"type": "NodePort"}}, "Services have the types ClusterIP, LoadBalancer"),
    "a class of load balancers": (
        {"service": {"type": "LoadBalancer", "loadBalancerClass": "other.example.com/lb"}},
        "loadBalancerClass: name one of [example.com/lb]",
    ),
    "the default class of load balancers": (
        {"service": {"type": "LoadBalancer"}},
        "loadBalancerClass: name one of",
    ),
    "a class of Ingresses": ({"ingress": {"className": "other"}}, "className: name one of [public]"),
    "the default class of Ingresses": ({"ingress": {}}, "className: name one of [public]"),
    "an annotation": (
        {
            "ingress": {
                "className": "public",
                "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "x"},
            }
        },
        "ingress.annotations: keys begin with one of [example.com/]",
    ),
    "an annotation of a Service": (
        {"service": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "external"}}},
        "service.annotations: keys begin with one of",
    ),
    "a Gateway": (
        {"gateway": {"parentRefs": [*PARENTS, {"name": "internal", "namespace": "gateways"}]}},
        "parentRefs: name some of [gateways/public, own/*]",
    ),
    "a Gateway of the own namespace": ({"gateway": {"parentRefs": [{"name": "public"}]}}, "parentRefs: name"),
    "an issuer": (
        {"certificate": {"issuerRef": {"name": "letsencrypt"}}},
        "issuerRef: name one of [ClusterIssuer/*, Step.example.com/*]",
    ),
    "an issuer of another group": (
        {"certificate": {"issuerRef": {**ISSUER["issuerRef"], "group": "other.example.com"}}},
        "issuerRef: name one of [ClusterIssuer/*",
    ),
}
ALLOWED: dict[str, dict[str, Any]] = {
    "a ClusterIP": {"service": {"type": "ClusterIP"}},
    "a load balancer": {
        "service": {
            "type": "LoadBalancer",
            "loadBalancerClass": "example.com/lb",
            "annotations": {"example.com/size": "small"},
        }
    },
    "an Ingress": {"ingress": {"className": "public", "annotations": {"example.com/a": "b"}}},
    "routes": {"gateway": {"parentRefs": [*PARENTS, {"name": "any", "namespace": "own"}]}},
    "a certificate": {"certificate": ISSUER},
    "a certificate of a listed group": {
        "certificate": {"issuerRef": {"name": "ca", "kind": "Step", "group": "example.com"}}
    },
    "DNS": {"dns": {}},
}


def test_lists_bound_entrances(installed: Cluster, namespace: str) -> None:
    """An administrator's lists bound the entrances of all users, and replace their own rights."""
    space = Namespace(installed, namespace)
    user, host = tenant(space), f"{namespace}.example.com"
    lists = {
        "ownRights": "NotRequired",
        "serviceTypes": ["LoadBalancer"],
        "loadBalancerClasses": ["example.com/lb"],
        "ingressClasses": ["public"],
        "annotationPrefixes": ["example.com/"],
        "gateways": ["gateways/public", "own/*"],
        "issuers": ["ClusterIssuer/*", "Step.example.com/*"],
    }
    template = ("template", "listed", CHART, "--namespace", SYSTEM)
    policy = installed.helm(
        *template,
        "--show-only=templates/policies/exposure.yaml",
        "--set-json",
        f"exposurePolicy={json.dumps(lists)}",
    )
    own = installed.kubectl("get", "validatingadmissionpolicybinding/wsedge-exposure", "--output=json")
    installed.kubectl("delete", "validatingadmissionpolicybinding/wsedge-exposure")
    installed.kubectl("apply", "--filename=-", input=policy)
    try:
        first, message = LISTED["a type"]
        eventually(lambda: message in refused(space, asking(host, **first), user))
        for exposure, message in LISTED.values():
            assert message in refused(space, asking(host, **exposure), user)
        eventually(lambda: not refused(space, asking(host, **ALLOWED["a ClusterIP"]), user))
        for exposure in ALLOWED.values():
            assert not refused(space, asking(host, **exposure), user)
        checked = installed.kubectl(
            "get", "validatingadmissionpolicy/listed-wsedge-exposure", "--output=json"
        )
        assert json.loads(checked)["status"]["typeChecking"] == {}
    finally:
        installed.kubectl("delete", "--filename=-", input=policy)
        kept = json.loads(own)
        kept["metadata"] = {key: kept["metadata"][key] for key in ("name", "labels", "annotations")}
        installed.kubectl("apply", "--filename=-", input=json.dumps(kept))
