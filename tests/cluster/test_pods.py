"""Settings of relay pods, and what a real API server's admission adds to pods or refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.operator.cluster import Place, domain, plan, until
from wsedge_devcluster.cluster.cluster import Cluster

Object = dict[str, Any]
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    """Return an account whose namespace enforces the `restricted` standard."""
    made = Place(installed, namespace)
    installed.kubectl("label", "namespace", namespace, RESTRICTED)
    made.apply(plan())
    return made


def serve(place: Place, **relay: Any) -> Object:
    """Apply a domain with these settings of its relay, and wait until it is served."""
    relay = {"replicas": 1, **relay}
    place.apply(domain(host=f"{place.namespace}.example.com", relay=relay))
    return place.await_reason("wsd/chat", "Ready", "Serving")


def deployment(place: Place) -> Object:
    live = place.get("deployment/chat-relay")
    assert live is not None
    return live


def pods(place: Place) -> list[Object]:
    return place.items("pod", "wsedge.io/domain-name=chat")


def failure(place: Place, text: str) -> str:
    """Wait until Ready has the reason FailedCreate and `text`; return its message."""
    place.await_reason("wsd/chat", "Ready", "FailedCreate")
    until(text, lambda: text in place.condition("wsd/chat", "Ready")["message"])
    return str(place.condition("wsd/chat", "Ready")["message"])


def settle(place: Place, seconds: int) -> None:
    """Edit the heartbeat, and wait until the operator has decided about it: a round without a rollout."""
    place.patch("wsd/chat", {"spec": {"websocket": {"heartbeatSeconds": seconds}}})
    until("the edit is served", lambda: place.config("chat")["domains"][0]["heartbeatSeconds"] == seconds)
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_every_setting_reaches_the_pods(place: Place) -> None:
    """The API server admits pods with all settings, and their Deployment is written once."""
    name = f"edge-{place.namespace}"
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 7}
    place.cluster.kubectl(
        "create", "--filename=-", input=json.dumps({**priority, "metadata": {"name": name}})
    )
    place.kubectl("create", "serviceaccount", "wsedge-relay-mesh")
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    term = {"topologyKey": "kubernetes.io/hostname"}
    settings = {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "edge", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {preferred: [{"weight": 1, "podAffinityTerm": term}]}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": name,
        "annotations": {"example.com/contact": "edge"},
        "labels": {"team": "edge"},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "wsedge-relay-mesh",
        "terminationGracePeriodSeconds": 90,
    }
    try:
        serve(place, pod=settings)
        (pod,) = pods(place)
        assert pod["metadata"]["labels"]["team"] == "edge"
        assert pod["metadata"]["annotations"]["example.com/contact"] == "edge"
        assert pod["spec"]["priority"] == 7
        assert pod["spec"]["nodeSelector"] == settings["nodeSelector"]
        assert pod["spec"]["imagePullSecrets"] == settings["imagePullSecrets"]
        assert pod["spec"]["serviceAccountName"] == "wsedge-relay-mesh"
        assert pod["spec"]["terminationGracePeriodSeconds"] == 90
        before = deployment(place)["metadata"]["generation"]
        settle(place, 45)
        assert deployment(place)["metadata"]["generation"] == before
        place.patch("wsd/chat", {"spec": {"relay": {"pod": None}}})
        until("the settings are gone", lambda: "team" not in str(deployment(place)["spec"]["template"]))
        place.await_reason("wsd/chat", "Ready", "Serving")
        assert deployment(place)["spec"]["template"]["spec"]["serviceAccountName"] == "chat-relay"
    finally:
        place.cluster.kubectl("delete", "priorityclass", name)


def test_what_the_cluster_refuses_is_in_the_status(place: Place) -> None:
    """A missing account, a LimitRange and a quota are the reason of Ready, while the old relay serves."""
    serve(place)
    (served,) = pods(place)
    place.patch("wsd/chat", {"spec": {"relay": {"pod": {"serviceAccountName": "wsedge-relay-none"}}}})
    assert "0 of 1 relays are up to date, 1 are available" in failure(place, '"wsedge-relay-none" not found')
    place.patch("wsd/chat", {"spec": {"relay": {"pod": None}}})
    place.await_reason("wsd/chat", "Ready", "Serving")

    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full"},
        "spec": {"hard": {"pods": "1"}},
    }
    place.apply(quota)
    place.kubectl("wait", "quota/full", "--for=jsonpath={.status.used.pods}=1", "--timeout=60s")
    place.patch("wsd/chat", {"spec": {"relay": {"workers": 2}}})
    assert "1 are available" in failure(place, "exceeded quota: full")
    assert served["metadata"]["uid"] in [pod["metadata"]["uid"] for pod in pods(place)]
    place.patch("quota/full", {"spec": {"hard": {"pods": "2"}}})
    place.patch("wsd/chat", {"spec": {"relay": {"workers": 1}}})
    place.await_reason("wsd/chat", "Ready", "Serving")


def limits(name: str, **limit: Any) -> Object:
    limits = [{"type": "Container", **limit}]
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name},
        "spec": {"limits": limits},
    }


def test_a_limit_range_adds_to_pods_and_not_to_the_deployment(place: Place) -> None:
    """Defaults of a LimitRange are in the pods, no write restores them; a maximum below is in the status."""
    place.apply(limits("usual", default={"memory": "300Mi"}, defaultRequest={"memory": "30Mi"}))
    serve(place)
    (pod,) = pods(place)
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"memory": "300Mi"}
    before = deployment(place)
    assert before["spec"]["template"]["spec"]["containers"][0].get("resources", {}) == {}
    settle(place, 45)
    assert deployment(place)["metadata"]["generation"] == before["metadata"]["generation"]
    events = place.items("events")
    assert not [event for event in events if event["reason"] == "ChangedFromOutside"]
    place.apply(limits("narrow", max={"memory": "300Mi"}))
    place.patch("wsd/chat", {"spec": {"relay": {"resources": {"limits": {"memory": "1Gi"}}}}})
    failure(place, "maximum memory usage per Container is 300Mi, but limit is 1Gi")
    assert pod["metadata"]["uid"] in [each["metadata"]["uid"] for each in pods(place)]
