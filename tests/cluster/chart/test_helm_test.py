"""`helm test` carries a real message through a domain, and leaves nothing; it fails when none arrives."""

from __future__ import annotations

import json

import pytest

from support.chart import Helm, Object, of_kind, pod_of, render
from support.operator.cluster import until
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed


def left(cluster: Cluster) -> str:
    """Return the names of the test's objects in the release's namespace."""
    kinds = "pods,services,billingplans,websocketdomains,deployments"
    return cluster.kubectl("get", kinds, "--namespace", SYSTEM, "--output=name", "--ignore-not-found")


def test_a_message_goes_through_the_relays_and_back(installed: Cluster) -> None:
    """In a namespace that enforces `restricted`; twice, since the first one leaves nothing in the way."""
    for _ in range(2):
        told = installed.helm("test", "wsedge", "--namespace", SYSTEM, "--timeout=180s")
        assert "Phase:          Succeeded" in told
    until("its domain is gone", lambda: "wsedge-test" not in left(installed))


def test_a_test_that_gets_no_answer_fails(installed: Cluster) -> None:
    """With the reason in its log: here the operator does not run, so that there are no relays."""
    installed.kubectl("scale", "deployment/wsedge-operator", "--namespace", SYSTEM, "--replicas=0")
    settings = ("--namespace", SYSTEM, "--reuse-values", "--set", "test.timeoutSeconds=10")
    chart = "charts/wsedge"
    try:
        installed.helm("upgrade", "wsedge", chart, *settings, "--set", "operator.replicas=0")
        with pytest.raises(CommandFailed):
            installed.helm("test", "wsedge", "--namespace", SYSTEM, "--timeout=120s")
        log = installed.kubectl("logs", "wsedge-test", "--namespace", SYSTEM)
        assert "no message was carried through" in log
    finally:
        installed.helm("rollback", "wsedge", "--namespace", SYSTEM, "--wait", "--timeout=120s")
    installed.helm("test", "wsedge", "--namespace", SYSTEM, "--timeout=180s")
    until("its domain is gone", lambda: "wsedge-test" not in left(installed))


def test_objects_of_the_test_are_hooks(helm: Helm) -> None:
    """They are no part of the release; without the value there are none."""
    tests: list[Object] = [each for each in render(helm) if "-test" in each["metadata"]["name"]]
    assert len(tests) == 5
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "test" for each in tests)
    assert "-test" not in json.dumps([each["metadata"] for each in render(helm, "test.enabled=false")])
    elsewhere = of_kind(render(helm, "watchNamespaces={team-a}"), "WebSocketDomain", "Pod")
    assert {each["metadata"]["namespace"] for each in elsewhere} == {"team-a"}


@pytest.mark.parametrize(("component", "kind"), [("operator", "Deployment"), ("statistics", "StatefulSet")])
def test_pods_get_what_the_values_say(helm: Helm, component: str, kind: str) -> None:
    """Placement, priority and environment; a variable that the chart sets is refused."""
    values = {
        "priorityClassName": "edge",
        "topologySpreadConstraints[0].topologyKey": "zone",
        "extraEnv[0].name": "HTTPS_PROXY",
        "extraEnv[0].value": "http://proxy",
    }
    pod = pod_of(render(helm, *(f"{component}.{key}={value}" for key, value in values.items())), kind)
    assert pod["priorityClassName"] == "edge"
    assert pod["topologySpreadConstraints"] == [{"topologyKey": "zone"}]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in pod["containers"][0]["env"]
    for name in ("POD_IP", "WSEDGE_OPERATOR_LISTEN"):
        with pytest.raises(CommandFailed, match="extraEnv"):
            render(helm, f"{component}.extraEnv[0].name={name}")


def test_the_test_knows_no_domain_of_the_cluster(helm: Helm) -> None:
    """The resolver adds it, so that a cluster with another one than cluster.local is tested as well."""
    (pod,) = of_kind(render(helm, "watchNamespaces={team-a}"), "Pod")
    environment = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert environment["RELAYS"] == "wsedge-test-relay.team-a.svc"
    assert pod["spec"].get("dnsPolicy", "ClusterFirst") == "ClusterFirst"
    assert "cluster.local" not in json.dumps(render(helm))
