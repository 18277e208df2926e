"""The chart's objects, rendered without a cluster."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.chart import SYSTEM
from wsedge_devcluster.cluster.cluster import quiet
from wsedge_devcluster.errors import CommandFailed

ROOT = Path(__file__).resolve().parents[2]
CHART = str(ROOT / "charts" / "wsedge")
Object = dict[str, Any]
Helm = Callable[..., str]


def helm_in(home: Path) -> Helm:
    """Return Helm without a cluster: templates are rendered and values are checked on this machine."""
    program = ensure_binaries(quiet)["helm"]
    folders = {f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}

    def run(*arguments: str) -> str:
        result = subprocess.run(
            [program, *arguments], capture_output=True, text=True, env=os.environ | folders, timeout=60
        )
        if result.returncode:
            raise CommandFailed(f"helm {arguments[0]}", result.returncode, result.stdout, result.stderr)
        return result.stdout

    return run


def render(helm: Helm, *values: str) -> list[Object]:
    """Return the objects of a release with these values."""
    settings = [part for value in values for part in ("--set", value)]
    text = helm("template", "wsedge", CHART, "--namespace", SYSTEM, *settings)
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def pod_of(objects: Iterable[Object], kind: str) -> Object:
    """Return the pod of the only workload of a kind."""
    (found,) = of_kind(objects, kind)
    pod: Object = found["spec"]["template"]["spec"]
    return pod
