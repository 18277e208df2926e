"""One cluster for all cluster tests of a session; each test has its own namespace."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from support.chart import Helm, helm_in
from wsedge_devcluster.cluster.chart import SYSTEM, install_chart
from wsedge_devcluster.cluster.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Run a devcluster with two nodes and a tenth of a kubelet's back-offs; report slow steps."""
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")

    assert capture is not None
    assert reporter is not None

    def tell(text: str) -> None:
        if text.startswith("starting"):
            return  # seconds; the first build takes minutes
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"devcluster: {text}")

    with Cluster(backoff_scale=0.1, progress=tell) as running:
        yield running


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Run Helm without a cluster."""
    return helm_in(tmp_path_factory.mktemp("helm"))


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """Create a namespace for one test; request its deletion at the end without waiting for it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """Install the chart as release wsedge in a namespace that enforces `restricted`; return the cluster."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    name = {"name": SYSTEM, "labels": restricted}
    document = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": name})
    cluster.kubectl("apply", "--filename", "-", input=document)
    install_chart(cluster, "--wait", "--timeout=120s")
    return cluster
