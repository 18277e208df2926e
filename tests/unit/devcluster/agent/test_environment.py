"""A container's environment."""

from __future__ import annotations

from typing import Any

import pytest

from wsedge_devcluster.agent.environment import (
    Sources,
    container_environment,
    contents,
    expand,
    field_value,
    references,
    resource_value,
    service_variables,
)
from wsedge_devcluster.errors import ContainerError

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-0",
        "namespace": "team-a",
        "uid": "u-1",
        "labels": {"app": "web", "b/c": 'say "x"'},
        "annotations": {"note": "n"},
    },
    "spec": {
        "nodeName": "node-1",
        "serviceAccountName": "sa",
        "containers": [{"name": "main", "resources": {"requests": {"cpu": "1500m"}}}],
    },
    "status": {"podIP": "127.65.1.0", "hostIP": "127.65.0.1"},
}
SOURCES = Sources({"config": {"k": b"v"}}, {"secret": {"s": b"x"}})


def build(*env: dict[str, Any], **container: Any) -> dict[str, str]:
    return container_environment({"name": "main", "env": list(env), **container}, POD, SOURCES, {})


def value_from(**source: Any) -> dict[str, Any]:
    return {"name": "A", "valueFrom": source}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$(A)/$(B)", "1/2", id="known names"),
        pytest.param("$(NONE)", "$(NONE)", id="an unknown name stays"),
        pytest.param("$$(A)", "$(A)", id="an escaped reference is shown"),
        pytest.param("$A and $", "$A and $", id="a dollar sign alone stays"),
        pytest.param("$(A", "$(A", id="an open bracket stays"),
        pytest.param("$$$(A)", "$1", id="an escape before a reference"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    """References are expanded by Kubernetes' rules."""
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-0"),
        ("metadata.namespace", "team-a"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'app="web"\nb/c="say \\"x\\""'),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "127.65.1.0"),
        ("status.hostIP", "127.65.0.1"),
    ],
)
def test_field(path: str, expected: str) -> None:
    """The downward API's fields."""
    assert field_value(path, POD) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({"configMapKeyRef": {"name": "config", "key": "k"}}, "v", id="ConfigMap"),
        pytest.param({"secretKeyRef": {"name": "secret", "key": "s"}}, "x", id="Secret"),
        pytest.param({"fieldRef": {"fieldPath": "metadata.name"}}, "web-0", id="field"),
        pytest.param(
            {"resourceFieldRef": {"resource": "requests.cpu"}}, "2", id="a share of a core rounds up"
        ),
        pytest.param(
            {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Gi"}},
            "64",
            id="a missing limit is the node's capacity",
        ),
    ],
)
def test_value_from(source: dict[str, Any], expected: str) -> None:
    """Each source of a value."""
    container = POD["spec"]["containers"][0]
    found = build(value_from(**source), resources=container["resources"])
    assert found == {"A": expected}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        (
            {"configMapKeyRef": {"name": "config", "key": "z"}},
            "couldn't find key z in ConfigMap team-a/config",
        ),
        ({"fieldRef": {"fieldPath": "spec.none"}}, "unsupported fieldPath: spec.none"),
        ({"fileKeyRef": {"path": "x"}}, "unsupported valueFrom: fileKeyRef"),
    ],
)
def test_missing(source: dict[str, Any], message: str) -> None:
    """The error has a kubelet's text."""
    with pytest.raises(ContainerError) as caught:
        build(value_from(**source))
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"configMapRef": {"name": "none"}}, 'configmap "none" not found'),
        ({"secretRef": {"name": "none"}}, 'secret "none" not found'),
        ({"fileRef": {"name": "none"}}, "unsupported envFrom in pod web-0"),
    ],
)
def test_missing_env_from(entry: dict[str, Any], message: str) -> None:
    """A missing object is an error, unless it is optional; so is an unknown source."""
    with pytest.raises(ContainerError) as caught:
        build(envFrom=[entry])
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


def test_optional() -> None:
    """An optional reference to a missing object leaves the variable out."""
    assert build(value_from(secretKeyRef={"name": "none", "key": "k", "optional": True})) == {}
    assert build(envFrom=[{"configMapRef": {"name": "none", "optional": True}}]) == {}


def test_order() -> None:
    """`env` overrides `envFrom`, and is expanded with the variables before it."""
    found = build(
        {"name": "k", "value": "own"},
        {"name": "B", "value": "$(k)-$(P_s)"},
        envFrom=[{"configMapRef": {"name": "config"}}, {"prefix": "P_", "secretRef": {"name": "secret"}}],
    )
    assert found == {"k": "own", "P_s": "x", "B": "own-x"}


def test_references() -> None:
    """All ConfigMaps and Secrets that the environment refers to are named."""
    container = {
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [
            value_from(configMapKeyRef={"name": "c", "key": "k"}),
            value_from(secretKeyRef={"name": "d", "key": "k"}),
            {"name": "X", "value": "y"},
        ],
    }
    assert references(container) == ({"a", "c"}, {"b", "d"})


def test_contents() -> None:
    """Texts and base64 data of ConfigMaps and Secrets become bytes."""
    assert contents({"data": {"a": "b"}, "binaryData": {"c": "AA=="}}) == {"a": b"b", "c": b"\0"}
    assert contents({"kind": "Secret", "data": {"a": "Yg=="}}) == {"a": b"b"}


def test_service_variables() -> None:
    """A Service of the namespace adds variables; a headless Service and other namespaces do not."""

    def service(name: str, address: str, namespace: str = "team-a") -> dict[str, Any]:
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        return {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "ports": ports},
        }

    services = [service("my-web", "127.64.0.9"), service("headless", "None"), service("x", "127.64.0.8", "b")]
    assert service_variables(services, "team-a") == {
        "MY_WEB_SERVICE_HOST": "127.64.0.9",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_PORT": "tcp://127.64.0.9:80",
        "MY_WEB_PORT_80_TCP": "tcp://127.64.0.9:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "127.64.0.9",
    }


def test_service_variables_of_several_ports() -> None:
    """The first port has variables of its own; a port without a name has no variable by name."""
    ports = [{"port": 80}, {"name": "dns-tcp", "port": 53, "protocol": "UDP"}]
    service = {
        "metadata": {"name": "x", "namespace": "a"},
        "spec": {"clusterIP": "127.64.0.9", "ports": ports},
    }
    assert service_variables([service], "a") == {
        "X_SERVICE_HOST": "127.64.0.9",
        "X_SERVICE_PORT": "80",
        "X_PORT": "tcp://127.64.0.9:80",
        "X_PORT_80_TCP": "tcp://127.64.0.9:80",
        "X_PORT_80_TCP_PROTO": "tcp",
        "X_PORT_80_TCP_PORT": "80",
        "X_PORT_80_TCP_ADDR": "127.64.0.9",
        "X_SERVICE_PORT_DNS_TCP": "53",
        "X_PORT_53_UDP": "udp://127.64.0.9:53",
        "X_PORT_53_UDP_PROTO": "udp",
        "X_PORT_53_UDP_PORT": "53",
        "X_PORT_53_UDP_ADDR": "127.64.0.9",
    }


def test_the_api_servers_service_adds_no_variables() -> None:
    """Every pod has the API server's real address in KUBERNETES_SERVICE_HOST."""
    service = {
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "127.64.0.1", "ports": [{"port": 443}]},
    }
    assert service_variables([service], "default") == {}


def test_a_resource_of_another_container() -> None:
    """A resourceFieldRef may name a container; init containers count too, a missing request is 0."""
    pod = {
        **POD,
        "spec": {
            "initContainers": [{"name": "init", "resources": {"limits": {"memory": "64Mi"}}}],
            "containers": POD["spec"]["containers"],
        },
    }
    reference = {"containerName": "init", "resource": "limits.memory", "divisor": "1Mi"}
    assert resource_value(reference, {"name": "main"}, pod) == "64"
    assert resource_value({"resource": "requests.memory"}, {"name": "main"}, pod) == "0"
    assert resource_value({"resource": "limits.hugepages"}, {"name": "main"}, pod) == "0"
