"""`helm upgrade --reuse-values`: the chart with the values of the last release alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.chart import CHART, Helm, Object
from support.releases import LAST_RELEASE, unpack
from wsedge_devcluster.cluster.chart import SYSTEM

TEMPLATES = sorted(file for file in Path(CHART, "templates").rglob("*") if file.suffix in (".yaml", ".txt"))
SETTINGS: dict[str, tuple[str, ...]] = {
    "no value": (),
    "alerts": ("alerts.enabled=true",),
    "monitors": ("monitors.enabled=true",),
    "network policies": ("networkPolicy.enabled=true",),
    "several pods": (
        "operator.replicas=2",
        "statistics.replicas=2",
        "statistics.ledger.kind=clickhouse",
        "statistics.ledger.clickhouse.url=https://clickhouse.example:8443",
    ),
    "the RPC": ("statistics.dcdn.enabled=true", "networkPolicy.enabled=true"),
    "domain names": (
        "domainPolicy.rules[0].namespaces={team-a}",
        "domainPolicy.rules[0].domains={a.example}",
    ),
    "settings of pods": ("domainPolicy.podFields={labels}",),
    "entrances": ("exposurePolicy.serviceTypes={NodePort}",),
    "namespaces": ("watchNamespaces={team-a}",),
    "labels of namespaces": ("namespaceSelector.matchLabels.edge=on",),
    "a value that is turned off": ("admission.operator=Disabled", "statistics.billing.countIdleDays=false"),
}


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return this chart with the values of the last release, which is what Helm renders then."""
    folder = tmp_path_factory.mktemp("reused")
    old = unpack(LAST_RELEASE, folder / "release")
    chart = folder / "wsedge"
    shutil.copytree(CHART, chart)
    shutil.copy(old / "charts" / "wsedge" / "values.yaml", chart)
    return str(chart)


def rendered(helm: Helm, chart: str, settings: tuple[str, ...]) -> list[Object]:
    chosen = [part for value in settings for part in ("--set", value)]
    place = ("--namespace", SYSTEM, "--kube-version", "1.33.0")
    return list(yaml.safe_load_all(helm("template", "wsedge", chart, *place, *chosen)))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_values_of_the_last_release_render_what_the_defaults_do(
    helm: Helm, reused: str, settings: tuple[str, ...]
) -> None:
    """A value that the last release did not have is its default, unless it is set."""
    assert rendered(helm, reused, settings) == rendered(helm, CHART, settings)


def added(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the values of `new` that `old` does not have, at every depth."""
    found = {key: value for key, value in new.items() if key not in old}
    deeper = {
        key: added(old[key], value)
        for key, value in new.items()
        if key in old and isinstance(value, dict) and isinstance(old[key], dict)
    }
    return found | {key: value for key, value in deeper.items() if value}


def test_the_added_values_are_those_of_the_chart(reused: str) -> None:
    """Each value that the last release did not have, with the default of values.yaml."""
    old = yaml.safe_load(Path(reused, "values.yaml").read_text())
    new = yaml.safe_load(Path(CHART, "values.yaml").read_text())
    assert yaml.safe_load(Path(CHART, "files", "added-values.yaml").read_text()) == added(old, new)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_every_template_adds_the_values_first(template: Path) -> None:
    """Helm renders templates in an order of its own."""
    assert 'include "wsedge.addedValues" .' in template.read_text().splitlines()[0]
