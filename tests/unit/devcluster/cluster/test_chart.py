"""The chart of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsedge_devcluster.cluster import chart
from wsedge_devcluster.errors import MissingChartError


class Recorded:
    """A cluster that returns Helm's arguments."""

    def helm(self, *arguments: str) -> str:
        return " ".join(arguments)


def test_the_chart_of_this_checkout_is_installed() -> None:
    """Into the system's namespace, with the values that were given."""
    cluster: Any = Recorded()
    root = chart.checkout()
    expected = f"install wsedge {root}/charts/wsedge --namespace wsedge-system --create-namespace --set a=b"
    assert chart.install_chart(cluster, "--set", "a=b") == expected


def test_outside_a_checkout_there_is_no_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder."""
    monkeypatch.setattr(
        chart, "__file__", str(tmp_path / "devcluster" / "wsedge_devcluster" / "cluster" / "x")
    )
    with pytest.raises(MissingChartError, match=tmp_path.name):
        chart.checkout()
