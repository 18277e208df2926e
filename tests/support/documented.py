"""The commands of the project's pages, typed in a shell as a reader types them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from wsedge_devcluster.cluster.cluster import Cluster

ROOT: Final = Path(__file__).resolve().parents[2]
_PROGRAMS: Final = Path(sys.executable).parent
_SECONDS: Final = 150


def commands(page: str, heading: str) -> list[str]:
    r"""Return the indented commands under a heading of a Markdown page; a line that ends with \ continues."""
    text = (ROOT / page).read_text()
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    return lines.replace("\\\n", " ").splitlines()


def type_by_hand(cluster: Cluster, *lines: str) -> str:
    """Run lines in a shell in the checkout; stop at the first that fails; return their output.

    The programs are those beside this Python, which need not be in the checkout.
    """
    script = "\n".join(["set -euo pipefail", *lines])
    script = re.sub(r"(\$PWD/)?\.venv/bin(?=[/:])", str(_PROGRAMS), script)
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=cluster.environment(),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout
