"""The Deployment of the relays: its pod template, and what does not change it."""

from __future__ import annotations

from typing import Any

import pytest

from support.operator.snapshots import live_domain
from wsedge_operator.api.spec.pod import RelayPod
from wsedge_operator.api.spec.relay import Relay
from wsedge_operator.api.websocket_domain import WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.deployment import RelayImage, deployment, grace_seconds
from wsedge_relay.settings import Settings

IMAGE = RelayImage("relay:1")


def spec(**parts: Any) -> WebSocketDomainSpec:
    return WebSocketDomain.model_validate(live_domain(**parts)).spec


def pod(**parts: Any) -> dict[str, Any]:
    template: dict[str, Any] = deployment(live_domain(), spec(**parts), IMAGE)["spec"]["template"]
    return template


def test_relay_pods_pass_the_restricted_standard() -> None:
    """Relay pods meet the Pod Security Standard `restricted` and have no token for the API server."""
    made = pod()["spec"]
    assert made["automountServiceAccountToken"] is False
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = made["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_volume_keeps_a_node_from_removal() -> None:
    """An annotation names each emptyDir, so that the cluster autoscaler may remove the node."""
    made = pod()
    told = made["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"]
    assert told.split(",") == [each["name"] for each in made["spec"]["volumes"] if "emptyDir" in each]


TEMPLATE_STAYS = {
    "the heartbeat": {"websocket": {"enabled": True, "originProtocol": "HTTPS", "heartbeatSeconds": 3}},
    "the origins": {"origins": [{"host": "other"}]},
    "a certificate": {"tls": {"secretName": "x"}, "originTLS": {"caSecretName": "y"}},
    "limits": {"limits": {"connections": 5, "handshakesPerSecond": 2}},
    "clients": {"clients": {"allowedOrigins": ["https://app.example.com"]}},
    "plain requests and a cookie": {"passThrough": {}, "originRequest": {"stickyCookie": {}}},
    "the drain time": {"lifecycle": {"drainSeconds": 50}},
    "the access log": {"accessLog": {"samplePercent": 5}},
    "the maximum age": {"lifecycle": {"maxConnectionAgeSeconds": 3600}},
    "the number of relays": {"relay": {"replicas": 9}},
}


@pytest.mark.parametrize("parts", TEMPLATE_STAYS.values(), ids=TEMPLATE_STAYS.keys())
def test_the_pod_template_does_not_depend_on_the_configuration(parts: dict[str, Any]) -> None:
    """An edit of what relays serve replaces no pod."""
    assert pod(**parts) == pod()


def test_resources_are_those_of_the_spec() -> None:
    """Without spec.relay.resources the container has none."""
    assert "resources" not in pod()["spec"]["containers"][0]
    resources = {"requests": {"cpu": "0.5"}, "limits": {"memory": "64Mi"}}
    assert pod(relay={"resources": resources})["spec"]["containers"][0]["resources"] == resources


def test_worker_processes_are_a_variable_and_enlarge_the_spool() -> None:
    """The default of one adds no variable, so that an upgrade replaces no pod."""
    made = pod(relay={"workers": 4})["spec"]
    assert {"name": "WSEDGE_RELAY_WORKERS", "value": "4"} in made["containers"][0]["env"]
    assert {"name": "spool", "emptyDir": {"sizeLimit": "256Mi"}} in made["volumes"]
    assert pod(relay={"workers": 1}) == pod()
    assert "WORKERS" not in str(pod())


def test_a_relay_accepts_every_number_of_workers_of_the_crd() -> None:
    """The field and the relay's setting have the same bounds."""
    field, setting = Relay.model_fields["workers"], Settings.model_fields["workers"]
    assert field.default == setting.default
    assert [repr(bound) for bound in field.metadata] == [repr(bound) for bound in setting.metadata]


def test_geo_databases_are_mounted_and_named() -> None:
    """The volume is read-only and each file has a variable; without the field there is neither."""
    geo = {"volumeClaimName": "places", "city": "maxmind/City.mmdb", "ip2region": "v4.xdb"}
    made = pod(relay={"geo": geo})["spec"]
    (volume,) = [volume for volume in made["volumes"] if volume["name"] == "geo"]
    assert volume["persistentVolumeClaim"] == {"claimName": "places", "readOnly": True}
    container = made["containers"][0]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "geo"]
    assert mount["readOnly"] is True
    named = {entry["name"]: entry.get("value") for entry in container["env"] if "GEO" in entry["name"]}
    assert named == {
        "WSEDGE_RELAY_GEO_CITY": f"{mount['mountPath']}/maxmind/City.mmdb",
        "WSEDGE_RELAY_GEO_IP2REGION": f"{mount['mountPath']}/v4.xdb",
    }
    assert "geo" not in str(pod()).lower()


@pytest.mark.parametrize(("drain", "grace"), [(0, 105), (60, 105), (61, 345), (3600, 3645)])
def test_the_grace_period_covers_the_drain(drain: int, grace: int) -> None:
    """The grace period is longer than the drain time by a margin."""
    assert grace_seconds(drain) == grace


def test_a_rollout_never_has_fewer_relays() -> None:
    """A new pod is ready before an old pod is deleted."""
    strategy = deployment(live_domain(), spec(), IMAGE)["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_cluster_may_assign_the_user_of_relays() -> None:
    """Without a user in the operator's settings the pod has none, and still runs as non-root."""
    image = RelayImage("relay:1", user=None)
    made = deployment(live_domain(), spec(), image)["spec"]["template"]["spec"]["securityContext"]
    assert made == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def with_default(default: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return the pod template under an operator whose default for pods is `default`."""
    chosen = RelayPod.model_validate(default)
    made = deployment(live_domain(), spec(**parts), IMAGE, pod_default=chosen)
    template: dict[str, Any] = made["spec"]["template"]
    return template


def test_settings_of_pods_are_in_the_template_only_where_they_are_set() -> None:
    """A domain without spec.relay.pod has the template of a release that did not have the field."""
    assert pod(relay={"pod": {}}) == pod()
    empty: dict[str, Any] = {
        "nodeSelector": {},
        "tolerations": [],
        "affinity": {},
        "imagePullSecrets": [],
        "labels": {},
    }
    assert pod(relay={"pod": empty}) == pod()
    assert not {"affinity", "tolerations", "nodeSelector", "priorityClassName"} & pod()["spec"].keys()


def test_labels_and_annotations_stand_beside_the_operators() -> None:
    """Settings add labels and annotations to a pod, and may override the cluster autoscaler's annotation."""
    evict = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
    made = pod(relay={"pod": {"labels": {"team": "a"}, "annotations": {"x": "y", evict: ""}}})["metadata"]
    assert made["labels"] == {"team": "a", **pod()["metadata"]["labels"]}
    assert made["annotations"] == {"x": "y", evict: ""}


def test_simple_settings_are_fields_of_the_pod() -> None:
    """Node selector, tolerations, priority, pull secrets and account are in the template as written."""
    settings: dict[str, Any] = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "priorityClassName": "edge",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "wsedge-relay-a",
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "edge", "operator": "Exists"}]}]
                }
            }
        },
    }
    made = pod(relay={"pod": settings})["spec"]
    assert {name: made[name] for name in settings} == settings
    assert made["automountServiceAccountToken"] is False


def test_rules_about_pods_without_a_selector_mean_this_domains_relays() -> None:
    """To Kubernetes no selector means no pod; a selector of the spec stays."""
    own = {"matchLabels": {"app.kubernetes.io/name": "wsedge-relay", "wsedge.io/domain-name": "chat"}}
    other = {"matchLabels": {"app": "room"}}
    term = {"topologyKey": "zone"}
    spread = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    required, preferred = (
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    )
    settings = {
        "affinity": {
            "podAffinity": {preferred: [{"weight": 1, "podAffinityTerm": {**term, "labelSelector": other}}]},
            "podAntiAffinity": {required: [term]},
        },
        "topologySpreadConstraints": [spread, {**spread, "topologyKey": "node", "labelSelector": other}],
    }
    made = pod(relay={"pod": settings})["spec"]
    assert made["affinity"] == {
        "podAffinity": {preferred: [{"weight": 1, "podAffinityTerm": {**term, "labelSelector": other}}]},
        "podAntiAffinity": {required: [{**term, "labelSelector": own}]},
    }
    assert made["topologySpreadConstraints"] == [
        {**spread, "labelSelector": own},
        {**spread, "topologyKey": "node", "labelSelector": other},
    ]


def test_spreads_replace_the_usual_ones() -> None:
    """An empty list spreads the pods not at all; without the field they are spread over zones and nodes."""
    keys = [each["topologyKey"] for each in pod()["spec"]["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert "topologySpreadConstraints" not in pod(relay={"pod": {"topologySpreadConstraints": []}})["spec"]


def test_the_grace_period_is_never_shorter_than_the_drain_needs() -> None:
    """A domain's own is checked against its drain; a shorter default of the operator is not used."""

    def grace(template: dict[str, Any]) -> int:
        return int(template["spec"]["terminationGracePeriodSeconds"])

    assert grace(pod(relay={"pod": {"terminationGracePeriodSeconds": 75}})) == 75
    hour = {"lifecycle": {"drainSeconds": 3600}}
    assert grace(with_default({"terminationGracePeriodSeconds": 600})) == 600
    assert grace(with_default({"terminationGracePeriodSeconds": 600}, **hour)) == grace(pod(**hour)) == 3645
    own = {"relay": {"pod": {"terminationGracePeriodSeconds": 75}}}
    assert grace(with_default({"terminationGracePeriodSeconds": 600}, **own)) == 75


def test_the_operators_default_applies_where_the_spec_has_nothing() -> None:
    """Default settings of pods are merged below the domain's."""
    default = {"nodeSelector": {"edge": "true"}, "priorityClassName": "low"}
    made = with_default(default, relay={"pod": {"priorityClassName": "high"}})["spec"]
    assert (made["nodeSelector"], made["priorityClassName"]) == ({"edge": "true"}, "high")
