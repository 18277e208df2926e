"""The verdict of kstatus, the library by which Helm and Flux wait, on our objects."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsedge_devcluster.binaries.build import source_hash
from wsedge_devcluster.binaries.cache import cache_folder, only_one
from wsedge_devcluster.binaries.golang import find_go, platform_tag, wanted_version

SOURCES = Path(__file__).parents[2] / "kstatus"


def program() -> Path:
    """Build the program of tests/kstatus once per state of its sources; return its path."""
    folder = cache_folder() / "kstatus" / source_hash(SOURCES, platform_tag())
    target = folder / "kstatus"
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder.with_suffix(".lock"), print):
        if not target.exists():
            go = find_go(wanted_version((SOURCES / "go.mod").read_text()), print)
            environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
            command: list[str | Path] = [go, "build", "-trimpath", "-o", f"{target}.new", "./cmd/kstatus"]
            subprocess.run(command, cwd=SOURCES, env=environment, check=True)
            Path(f"{target}.new").rename(target)
    return target


def verdicts(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return Current, InProgress, Failed or Terminating for each object."""
    done = subprocess.run(
        [program()], input=json.dumps(objects), capture_output=True, text=True, timeout=60, check=True
    )
    return [verdict["status"] for verdict in json.loads(done.stdout)]
