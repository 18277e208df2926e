"""Values that are unusual and valid: names that YAML reads as numbers or truths, texts of several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from support.chart import CHART, Helm, Object
from wsedge_devcluster.cluster.cluster import Cluster

TEXT = 'two lines: {"a": "b"}\n# {{ .Values.image }} $(POD_IP) \U0001f600'
VALUES = {
    "commonLabels": {"tier": "true", "cost": "007"},
    "commonAnnotations": {"example.com/note": TEXT, "example.com/on": "yes"},
    "watchNamespaces": ["123", "1e3"],
    "networkPolicy": {"enabled": True},
    "monitors": {"enabled": True, "labels": {"release": "1"}},
    "alerts": {"enabled": True},
    "dashboards": {"enabled": True, "namespace": "0x10", "annotations": {"folder": "null"}},
    "podSecurityContext": {"runAsUser": 1000650000},
    "operator": {
        "replicas": 2,
        "podAnnotations": {"example.com/note": TEXT},
        "podLabels": {"on": "off"},
        "extraEnv": [{"name": "NOTE", "value": TEXT}, {"name": "on", "value": "1"}],
        "priorityClassName": "100",
        "nodeSelector": {"example.com/rack": "12"},
    },
    "statistics": {
        "persistence": {"existingClaim": "2024"},
        "dcdn": {"enabled": True, "tlsSecret": "443"},
        "extraEnv": [{"name": "NOTE", "value": TEXT}],
    },
}
NAMESPACES = ("123", "1e3", "0x10")
FOREIGN = ("PodMonitor", "ServiceMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def rendered(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Render a release whose name and namespace are numbers."""
    file = tmp_path_factory.mktemp("odd") / "values.json"
    file.write_text(json.dumps(VALUES, ensure_ascii=False))
    return helm("template", "123", CHART, "--namespace", "123", "--values", str(file))


def read(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each]


def numbers(value: object, path: str) -> Iterator[str]:
    """Yield the paths of names, labels and annotations below a value that are no text."""
    if isinstance(value, list):
        for each in value:
            yield from numbers(each, path)
    elif isinstance(value, dict):
        for key, each in value.items():
            below = f"{path}.{key}"
            if not isinstance(key, str) or (
                key in ("name", "namespace") and not isinstance(each, str | dict)
            ):
                yield below
            elif key in ("labels", "annotations", "matchLabels") and isinstance(each, dict):
                yield from (f"{below}.{name}" for name, text in each.items() if not isinstance(text, str))
            yield from numbers(each, below)


def test_what_looks_like_a_number_stays_a_text(rendered: str) -> None:
    """Also in objects of APIs that are not installed here."""
    objects = [each for each in read(rendered) if each["kind"] != "CustomResourceDefinition"]
    assert {each["kind"] for each in objects} >= {*FOREIGN, "Deployment", "StatefulSet", "RoleBinding"}
    assert [path for each in objects for path in numbers(each, each["kind"])] == []


def is_known(live: Object) -> bool:
    """Return whether an empty cluster has the kind, and the object is none of `helm test`."""
    return live["kind"] not in FOREIGN and "helm.sh/hook" not in live["metadata"].get("annotations", {})


def test_the_api_server_takes_each_object(rendered: str, cluster: Cluster, tmp_path: Path) -> None:
    """As kubectl reads the text, without a field that is not known."""
    known = [each for each in re.split(r"^---$", rendered, flags=re.MULTILINE) if read(each)]
    known = [each for each in known if is_known(read(each)[0])]
    for name in NAMESPACES:
        cluster.kubectl("create", "namespace", name)
    try:
        file = tmp_path / "objects.yaml"
        file.write_text("---\n".join(known))
        options = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
        answer = cluster.kubectl("apply", *options, "--filename", str(file))
        assert answer.count("serverside-applied") == len(known)
    finally:
        cluster.kubectl("delete", "namespace", *NAMESPACES, "--wait=false")
