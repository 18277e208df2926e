"""One version in the distribution, the chart, the default images and the archive of the last release."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

from wsedge_operator.settings import DEFAULT_RELAY_IMAGE

ROOT = Path(__file__).resolve().parents[3]


def test_one_version_everywhere() -> None:
    """pyproject.toml, Chart.yaml and the operator's default image for relays have the same version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "charts" / "wsedge" / "Chart.yaml").read_text())
    image = yaml.safe_load((ROOT / "charts" / "wsedge" / "values.yaml").read_text())["image"]
    assert (chart["version"], chart["appVersion"], image["tag"]) == (version, version, "")
    assert f"{image['repository']}:{version}" == DEFAULT_RELAY_IMAGE
