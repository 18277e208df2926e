"""Writes charts/wsedge/dashboards: `PYTHONPATH=charts python -m wsedge_chart [--check]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wsedge_chart.dashboards import dashboard
from wsedge_chart.metrics import described
from wsedge_chart.panels import ALL
from wsedge_operator.api.generation.writing import run

FOLDER: Final = Path("charts/wsedge/dashboards")


def files() -> dict[Path, str]:
    """Return the text of each dashboard by its path."""
    metrics = described()
    return {
        FOLDER / f"{each.uid}.json": json.dumps(dashboard(each, metrics), indent=1) + "\n" for each in ALL
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the dashboards; return the exit code."""
    return run(
        files(),
        description="Writes the chart's dashboards from the programs' metrics.",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
