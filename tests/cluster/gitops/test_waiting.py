"""`helm install --wait` of a chart with a plan and a domain ends when both are ready, and not before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.operator.cluster import Place, domain, plan
from support.operator.keys import tls_secret
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import CommandFailed

OPERATOR = "deployment/wsedge-operator"


@pytest.fixture
def place(installed: Cluster, namespace: str) -> Place:
    return Place(installed, namespace)


@pytest.fixture
def no_operator(installed: Cluster) -> Iterator[Place]:
    """Scale the operator to 0 until the test starts one; return its namespace."""
    system = Place(installed, SYSTEM)
    system.kubectl("scale", OPERATOR, "--replicas=0")
    system.kubectl("wait", "pod", "--selector=app.kubernetes.io/name=wsedge-operator", "--for=delete")
    yield system
    system.kubectl("scale", OPERATOR, "--replicas=1")
    system.kubectl("rollout", "status", OPERATOR, "--timeout=120s")


def chart(folder: Path, place: Place) -> Path:
    """Write an application's chart: a plan, and a domain that refers to a Secret."""
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: chat, version: 1.0.0}")
    host = f"{place.namespace}.example.com"
    for number, item in enumerate((plan(), domain(host=host, tls={"secretName": "chat-tls"}))):
        (folder / "templates" / f"{number}.yaml").write_text(json.dumps(item))
    return folder


def test_helm_waits_for_a_plan_and_a_domain(place: Place, no_operator: Place, tmp_path: Path) -> None:
    """Without an operator neither is ready; a Secret that appears later is waited for and no failure."""
    release = ("upgrade", "--install", "chat", str(chart(tmp_path, place)), "--namespace", place.namespace)
    with pytest.raises(CommandFailed) as caught:
        place.cluster.helm(*release, "--wait", "--timeout=6s")
    for name in ("BillingPlan", "WebSocketDomain"):
        assert name in caught.value.stderr
    assert "InProgress" in caught.value.stderr
    no_operator.kubectl("scale", OPERATOR, "--replicas=1")
    place.await_reason("wsd/chat", "Ready", "SecretNotFound")
    with pytest.raises(CommandFailed) as caught:
        place.cluster.helm(*release, "--wait", "--timeout=6s")
    assert "InProgress" in caught.value.stderr
    assert "BillingPlan" not in caught.value.stderr
    place.apply(tls_secret("chat-tls", f"{place.namespace}.example.com"))
    place.cluster.helm(*release, "--wait", "--timeout=120s")
    assert place.condition("wsd/chat", "Ready")["status"] == "True"
