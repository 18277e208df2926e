"""Programs in Go, built like the devcluster's: with a Go of this machine, else one that is fetched."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from wsedge_devcluster.binaries.build import source_hash
from wsedge_devcluster.binaries.cache import cache_folder, only_one
from wsedge_devcluster.binaries.golang import find_go, platform_tag, wanted_version


def go_program(name: str, sources: Path, package: str) -> Path:
    """Build a package of the module in `sources` once per state of its files; return the program's path.

    The files of modules that its go.mod replaces by folders beside it count, too.
    """
    folder = cache_folder() / name / _hash(sources)
    target = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder.with_suffix(".lock"), print):
        if not target.exists():
            go = find_go(wanted_version((sources / "go.mod").read_text()), print)
            environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
            command: list[str | Path] = [go, "build", "-trimpath", "-o", f"{target}.new", package]
            subprocess.run(command, cwd=sources, env=environment, check=True)
            Path(f"{target}.new").rename(target)
    return target


def _hash(sources: Path) -> str:
    beside = re.findall(r"^replace \S+ => (\.\./\S+)$", (sources / "go.mod").read_text(), re.MULTILINE)
    states = [source_hash(sources / folder, "") for folder in beside]
    return source_hash(sources, platform_tag() + "".join(states))
