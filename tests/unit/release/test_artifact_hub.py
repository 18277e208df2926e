"""What Artifact Hub shows of the chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from wsedge_operator.api.generation.crd import KINDS
from wsedge_operator.api.meta import VERSION

ROOT = Path(__file__).parents[3]
PREFIX = "artifacthub.io/"


def annotation(name: str) -> Any:
    """Return the value of one of the chart's annotations, which is YAML in a text."""
    chart = yaml.safe_load((ROOT / "charts" / "wsedge" / "Chart.yaml").read_text())
    return yaml.safe_load(chart["annotations"][PREFIX + name])


def test_the_chart_lists_the_kinds_that_it_installs() -> None:
    """Names and versions are those of the generated definitions."""
    listed = [(crd["kind"], crd["name"], crd["version"]) for crd in annotation("crds")]
    assert listed == [(kind.name, f"{kind.plural}.wsedge.io", VERSION) for kind in KINDS]


def test_changes_and_links_have_the_form_that_artifact_hub_reads() -> None:
    """A change has a kind that it knows, and a description; a link has a name and an address."""
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert {change["kind"] for change in annotation("changes")} <= kinds
    assert all(change["description"].endswith(".") for change in annotation("changes"))
    assert all(link["name"] and link["url"].startswith("https://") for link in annotation("links"))


def test_the_repository_has_an_owner() -> None:
    """artifacthub-repo.yml names one, by which ownership is claimed."""
    repository = yaml.safe_load((ROOT / "artifacthub-repo.yml").read_text())
    assert [set(owner) for owner in repository["owners"]] == [{"name", "email"}]
