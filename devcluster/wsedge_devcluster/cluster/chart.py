"""The Helm chart of this checkout, in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import MissingChartError

SYSTEM: Final = "wsedge-system"
CRDS: Final = ("crd/billingplans.wsedge.io", "crd/websocketdomains.wsedge.io")


def checkout() -> Path:
    """Return the folder with charts/ and examples/. Raises MissingChartError when there is none."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "charts" / "wsedge" / "Chart.yaml").is_file():
        raise MissingChartError(root)
    return root


def install_chart(cluster: Cluster, *values: str) -> str:
    """Install the chart as release wsedge in wsedge-system, without waiting; return Helm's output.

    Raises MissingChartError or CommandFailed.
    """
    chart = str(checkout() / "charts" / "wsedge")
    return cluster.helm("install", "wsedge", chart, "--namespace", SYSTEM, "--create-namespace", *values)
