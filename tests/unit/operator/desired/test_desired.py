"""The children of a WebSocketDomain, and when a live one needs no write."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from support.operator.snapshots import RESOLVED, live_domain
from wsedge_operator.api.websocket_domain import Relay, WebSocketDomain, WebSocketDomainSpec
from wsedge_operator.desired.deployment import RelayImage, deployment, grace_seconds
from wsedge_operator.desired.digest import is_applied, with_digest
from wsedge_operator.desired.names import HTTPS_PORT
from wsedge_operator.desired.relay_config import Resolved, draining_config, relay_config
from wsedge_operator.desired.service import service
from wsedge_relay import contract
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


def test_the_generation_names_object_edit_and_content() -> None:
    """`namespace/name@generation.hash`: equal content has an equal name, other content another."""
    first = relay_config(live_domain(), spec(), RESOLVED)
    assert first.generation == relay_config(live_domain(), spec(), RESOLVED).generation
    name, _, digest = first.generation.partition(".")
    assert name == "team-a/chat@7"
    assert len(digest) == 8
    moved = Resolved((contract.Origin(host="10.0.0.8"),), {}, None)
    assert relay_config(live_domain(), spec(), moved).generation != first.generation


def test_a_drain_has_the_drain_time_of_the_spec() -> None:
    """The edit that switches a domain off may also shorten its drain."""
    last = relay_config(live_domain(), spec(), RESOLVED)
    end = draining_config(live_domain(lifecycle={"drainSeconds": 6}), last)
    assert end.domains[0].lifecycle.drainSeconds == 6


def test_origin_request_and_origin_tls_reach_the_relays() -> None:
    """Each field of the spec is in the configuration."""
    asked = {"host": "in", "connectTimeoutSeconds": 9, "loadBalancing": "ClientHash", "proxyProtocol": "V1"}
    config = relay_config(live_domain(), spec(originRequest=asked), RESOLVED)
    assert config.domains[0].originRequest == contract.OriginRequest.model_validate(asked)


def test_a_sticky_cookie_has_a_key_that_clients_cannot_know() -> None:
    """The key is made from the object's uid: equal for all its relays, another for a new object."""
    wanted = spec(originRequest={"stickyCookie": {"name": "home", "maxAgeSeconds": 60}})

    def cookie(uid: str) -> contract.StickyCookie:
        owner = live_domain()
        owner["metadata"]["uid"] = uid
        made = relay_config(owner, wanted, RESOLVED).domains[0].originRequest.stickyCookie
        assert made is not None
        return made

    assert (cookie("a").name, cookie("a").maxAgeSeconds) == ("home", 60)
    assert cookie("a") == cookie("a")
    assert cookie("a").key != cookie("b").key


def test_pass_through_reaches_the_relays() -> None:
    """Absent by default; an empty map has the CRD's defaults, which are the relay's as well."""
    assert relay_config(live_domain(), spec(), RESOLVED).domains[0].passThrough is None
    made = relay_config(live_domain(), spec(passThrough={}), RESOLVED).domains[0].passThrough
    assert made == contract.PassThrough()
    asked = {"paths": ["/socket.io/*"], "methods": ["PUT"], "maxBodyBytes": 0, "timeoutSeconds": 1}
    made = relay_config(live_domain(), spec(passThrough=asked), RESOLVED).domains[0].passThrough
    assert made == contract.PassThrough.model_validate(asked)


def test_health_checks_reach_the_relays() -> None:
    """Absent by default; an empty map has the CRD's defaults, which are the relay's as well."""
    assert relay_config(live_domain(), spec(), RESOLVED).domains[0].originHealthCheck is None
    asked = relay_config(live_domain(), spec(originHealthCheck={}), RESOLVED).domains[0].originHealthCheck
    assert asked == contract.OriginHealthCheck()
    asked = (
        relay_config(live_domain(), spec(originHealthCheck={"path": "/up", "unhealthyAfter": 1}), RESOLVED)
        .domains[0]
        .originHealthCheck
    )
    assert asked == contract.OriginHealthCheck(path="/up", unhealthyAfter=1)


def test_clients_and_limits_reach_the_relays() -> None:
    """Each field of the spec is in the configuration."""
    pages = ("https://app.example.com",)
    made = relay_config(
        live_domain(),
        spec(
            clients={
                "allowedOrigins": pages,
                "allowedPaths": ["/ws"],
                "trustedProxies": ["10.0.0.0/8"],
                "proxyProtocol": True,
            },
            limits={
                "connections": 3,
                "connectionsPerClient": 2,
                "handshakesPerSecond": 4,
                "messageBytes": 5,
                "bytesPerSecond": 6000,
                "stallSeconds": 7,
                "headerBytes": 2048,
            },
        ),
        RESOLVED,
    ).domains[0]
    assert made.clients == contract.Clients(
        allowedOrigins=pages, allowedPaths=("/ws",), trustedProxies=("10.0.0.0/8",), proxyProtocol=True
    )
    assert made.limits == contract.Limits(
        connections=3,
        connectionsPerClient=2,
        handshakesPerSecond=4,
        messageBytes=5,
        bytesPerSecond=6000,
        stallSeconds=7,
        headerBytes=2048,
    )


def test_listeners_never_change() -> None:
    """Another listener would need a restart, so the one for wss exists from the start."""
    assert relay_config(live_domain(), spec(), RESOLVED).listen.https == HTTPS_PORT


def test_a_drain_changes_nothing_but_the_switch() -> None:
    """It is made from the last configuration, whatever the spec has now."""
    last = relay_config(live_domain(), spec(), RESOLVED)
    end = draining_config(live_domain(), last)
    assert [domain.enabled for domain in end.domains] == [False]
    assert end.domains[0].model_copy(update={"enabled": True}) == last.domains[0]
    assert end.generation != last.generation


def live() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a desired Service, and the same Service as the API server returns it."""
    desired = with_digest(service(live_domain(), tls=True))
    shown = copy.deepcopy(desired)
    shown["metadata"] |= {"uid": "u", "resourceVersion": "3"}
    shown["spec"] |= {"clusterIP": "127.96.0.3", "sessionAffinity": "None"}
    return desired, shown


def test_defaults_of_the_api_server_are_no_difference() -> None:
    """Defaults and fields of other managers are no difference."""
    desired, shown = live()
    shown["metadata"]["annotations"]["somebody"] = "else"
    shown["metadata"]["ownerReferences"].append({"uid": "other"})
    shown["spec"]["ports"].append({"name": "more", "port": 1})
    assert is_applied(desired, shown)


DIFFERENT = {
    "a changed value": lambda shown: shown["spec"]["ports"][0].update(port=81),
    "a removed value": lambda shown: shown["spec"].pop("selector"),
    "a removed list entry": lambda shown: shown["spec"]["ports"].pop(),
    "a removed label": lambda shown: shown["metadata"]["labels"].popitem(),
    "a removed owner": lambda shown: shown["metadata"].update(ownerReferences=[]),
    "null in place of a list": lambda shown: shown["spec"].update(ports=None),
    "text in place of a map": lambda shown: shown.update(spec="text"),
}


@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_changed_value_is_a_difference(change: Any) -> None:
    """A value of ours that another client changed or removed is applied again."""
    desired, shown = live()
    change(shown)
    assert not is_applied(desired, shown)


def test_a_field_that_is_no_longer_desired_is_a_difference() -> None:
    """The live object has every desired value; only the digest differs."""
    _, shown = live()
    assert not is_applied(with_digest(service(live_domain(), tls=False)), shown)
    assert not is_applied(with_digest(service(live_domain(), tls=False)), None)


def test_quantities_are_compared_by_value() -> None:
    """The API server stores 0.5 as 500m; comparing text would apply it at each reconciliation."""
    made = deployment(live_domain(), spec(relay={"resources": {"limits": {"cpu": "0.5"}}}), IMAGE)
    desired = with_digest(made)
    shown = copy.deepcopy(desired)
    limits = shown["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    limits["cpu"] = "500m"
    assert is_applied(desired, shown)
    limits["cpu"] = "501m"
    assert not is_applied(desired, shown)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("0.0000000001", "1n"), ("16Ei", "9223372036854775807"), ("1.1Gi", "1181116006400m"), ("1E3", "1e3")],
)
def test_quantities_that_the_api_server_rounds_are_no_difference(asked: str, kept: str) -> None:
    """It rounds up to billionths, and caps binary suffixes like Ei at 2^63-1."""
    assert is_applied({"limits": {"memory": asked}}, {"limits": {"memory": kept}})


def test_an_empty_map_that_the_api_server_drops_is_no_difference() -> None:
    """The API server does not store `requests: {}`, which many templates have."""
    made = deployment(live_domain(), spec(relay={"resources": {"requests": {}}}), IMAGE)
    desired = with_digest(made)
    shown = copy.deepcopy(desired)
    shown["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    assert is_applied(desired, shown)
    shown["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": "text"}
    assert not is_applied(desired, shown)


def test_plain_lists_are_compared_item_by_item() -> None:
    """In a list without names, order and length count."""
    assert is_applied({"a": ["x", "y"]}, {"a": ["x", "y"]})
    assert not is_applied({"a": ["x", "y"]}, {"a": ["y", "x"]})
    assert not is_applied({"a": ["x"]}, {"a": ["x", "y"]})


def test_the_cluster_may_assign_the_user_of_relays() -> None:
    """Without a user in the operator's settings the pod has none, and still runs as non-root."""
    image = RelayImage("relay:1", user=None)
    made = deployment(live_domain(), spec(), image)["spec"]["template"]["spec"]["securityContext"]
    assert made == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
