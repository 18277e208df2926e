"""install.yaml and the Kustomize base of a release: they serve, and change nothing when applied again."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.chart import CHART
from support.operator.cluster import Place, domain, plan
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_release.manifests import write


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    write(folder, Path(CHART))
    with tarfile.open(folder / "wsedge-kustomize.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def empty(manifests: Path) -> Iterator[Cluster]:
    """Run a cluster without Helm's release."""
    with Cluster(nodes=1, backoff_scale=0.1) as cluster:
        yield cluster


def test_helms_error_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A release that fails says why."""
    with pytest.raises(subprocess.CalledProcessError):
        write(tmp_path / "dist", tmp_path / "no-chart")
    assert "no-chart" in capfd.readouterr().err
    assert not (tmp_path / "dist").exists()


def applied(cluster: Cluster, *source: str) -> dict[str, str]:
    """Apply manifests; return the resource version of each object."""
    command = ("apply", "--server-side", *source, "--output=json")
    items = json.loads(cluster.kubectl(*command))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in items
    }


def test_the_manifest_serves_a_domain(empty: Cluster, manifests: Path) -> None:
    """Both programs become ready; applied again, neither manifest nor base changes anything."""
    source = ("--filename", str(manifests / "install.yaml"))
    names = applied(empty, *source).keys()
    for workload in ("deployment/wsedge-operator", "statefulset/wsedge-statistics"):
        empty.kubectl("rollout", "status", workload, "--namespace", SYSTEM, "--timeout=120s")
    before = applied(empty, *source)
    assert before.keys() == names
    settled = {name: number for name, number in before.items() if not name.startswith(("Deploy", "Stateful"))}
    again = applied(empty, *source)
    assert {name: again[name] for name in settled} == settled
    generation = ("get", "deployments,statefulsets", "--namespace", SYSTEM, "--output")
    assert empty.kubectl(*generation, "jsonpath={.items[*].metadata.generation}") == "1 1"
    based = applied(empty, "--kustomize", str(manifests / "wsedge-kustomize"))
    assert {name: based[name] for name in settled} == settled
    empty.kubectl("create", "namespace", "team-a")
    place = Place(empty, "team-a")
    place.apply(plan(), domain(host="a.example.com"))
    place.await_reason("wsd/chat", "Ready", "Serving")


def test_a_build_of_the_same_chart_is_the_same(manifests: Path, tmp_path: Path) -> None:
    """To the byte, some time later."""
    later = tmp_path / "later"
    write(later, Path(CHART))
    for file in ("install.yaml", "wsedge-kustomize.tar.gz"):
        assert (later / file).read_bytes() == (manifests / file).read_bytes()
    assert (later / "wsedge-kustomize.tar.gz").read_bytes()[4:8] == bytes(4)  # no clock: RFC 1952, MTIME


def test_what_its_head_says_uninstalls_the_programs_alone(empty: Cluster, manifests: Path) -> None:
    """Definitions stay, by which all domains in the cluster would be deleted, and so does the namespace."""
    text = (manifests / "install.yaml").read_text("utf-8")
    (selector,) = re.findall(r"^#   kubectl delete .*\n#     --selector '(.+)'$", text, re.MULTILINE)
    command = ("delete", "--filename", str(manifests / "install.yaml"), "--selector", selector)
    named = empty.kubectl(*command, "--dry-run=server", "--output=name").split()
    kinds = {name.partition("/")[0] for name in named}
    assert {"deployment.apps", "statefulset.apps"} <= kinds
    assert not {"customresourcedefinition.apiextensions.k8s.io", "namespace"} & kinds
    kept = [each["kind"] for each in yaml.safe_load_all(text)]
    assert len(named) == len(kept) - kept.count("CustomResourceDefinition") - 1


def test_the_manifest_has_nothing_of_helm(manifests: Path) -> None:
    """No label and no hook: another tool manages these objects."""
    text = (manifests / "install.yaml").read_text("utf-8")
    kinds = [each["kind"] for each in yaml.safe_load_all(text)]
    assert kinds[0] == "Namespace"
    assert "Pod" not in kinds
    assert "helm.sh/chart" not in text
    assert "helm.sh/hook" not in text
