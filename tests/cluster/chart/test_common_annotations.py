"""`commonAnnotations`: on every object of the chart, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.chart import CHART, Helm, Object, of_kind, render
from wsedge_devcluster.errors import CommandFailed

COMMON: Final = {"example.com/owner": "edge", "example.com/note": "line one\nline: two", "team": "7"}
SQLITE: Final[dict[str, Any]] = {
    "operator": {"replicas": 2, "serviceAccount": {"annotations": {"team": "operators"}}},
    "statistics": {
        "dcdn": {"enabled": True, "service": {"annotations": {"team": "rpc"}}},
        "auth": {"users": True},
        "billing": {"priceBook": {"currency": "CNY", "prices": []}},
    },
    "networkPolicy": {"enabled": True},
    "monitors": {"enabled": True},
    "alerts": {"enabled": True},
    "dashboards": {"enabled": True, "annotations": {"team": "grafana"}},
    "domainPolicy": {"rules": [{"namespaces": ["a"], "domains": ["a.example"]}], "podFields": ["labels"]},
    "exposurePolicy": {"serviceTypes": ["NodePort"]},
}
SEVERAL: Final[dict[str, Any]] = {
    "watchNamespaces": ["a", "b"],
    "statistics": {
        "replicas": 2,
        "ledger": {"kind": "clickhouse", "clickhouse": {"url": "https://ch.example:8443"}},
        "dcdn": {"enabled": True},
    },
}
VALUES: Final = {"with everything": SQLITE, "in two namespaces, on ClickHouse": SEVERAL, "the defaults": {}}


def rendered(helm: Helm, folder: Path, values: dict[str, Any]) -> list[Object]:
    file = folder / "values.yaml"
    file.write_text(json.dumps(values))
    text = helm("template", "wsedge", CHART, "--kube-version=1.33.0", "--values", str(file))
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_object_has_them(helm: Helm, tmp_path: Path, values: dict[str, Any]) -> None:
    """Below its own annotations; pods, and all else of an object, are as without them."""
    plain = rendered(helm, tmp_path, values)
    both = rendered(helm, tmp_path, values | {"commonAnnotations": COMMON})
    assert len(plain) == len(both)
    for before, after in zip(plain, both, strict=True):
        own = before["metadata"].pop("annotations", None) or {}
        assert after["metadata"].pop("annotations") == COMMON | own, after["metadata"]
        assert after == before


def test_every_template_is_rendered_above(helm: Helm, tmp_path: Path) -> None:
    """Else an object of a template that is off by default would not be checked."""
    found: set[str] = set()
    for values in VALUES.values():
        file = tmp_path / "values.yaml"
        file.write_text(json.dumps(values))
        text = helm("template", "wsedge", CHART, "--kube-version=1.33.0", "--values", str(file))
        found |= {
            line.partition("/templates/")[2] for line in text.splitlines() if line.startswith("# Source")
        }
    folder = Path(CHART, "templates")
    assert found == {str(file.relative_to(folder)) for file in folder.rglob("*.yaml")}


def test_annotations_that_are_absent_leave_no_trace(helm: Helm) -> None:
    """Neither an empty map nor one of an object that has none of its own."""
    for each in of_kind(render(helm), "Role", "Deployment", "ServiceAccount"):
        assert "annotations" not in each["metadata"]


@pytest.mark.parametrize(
    "key", ["helm.sh/hook", "helm.sh/hook-weight", "helm.sh/resource-policy", "wsedge.io/allow-older"]
)
def test_annotations_that_mean_something_to_helm_or_wsedge_are_refused(helm: Helm, key: str) -> None:
    """A hook is no part of a release: Helm would delete what serves."""
    with pytest.raises(CommandFailed, match="commonAnnotations"):
        render(helm, f"commonAnnotations.{key.replace('.', chr(92) + '.')}=x")


def test_annotations_of_other_programs_pass(helm: Helm) -> None:
    """Also with a name that is nearly one of those."""
    for key in ("argocd.argoproj.io/sync-wave", "meta.helm.sh/note", "hook", "wsedge.io.example.com/x"):
        objects = render(helm, f"commonAnnotations.{key.replace('.', chr(92) + '.')}=x")
        assert all(each["metadata"]["annotations"][key] == "x" for each in objects)
