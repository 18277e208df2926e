"""The linter of workflow files, built from its Go module."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.go_program import go_program

SOURCES = Path(__file__).parents[1] / "actionlint"


def lint(*workflows: Path) -> str:
    """Return what actionlint finds in workflow files; empty when there is nothing."""
    program = go_program("actionlint", SOURCES, "./cmd/actionlint")
    command: list[str | Path] = [program, "-no-color", "-shellcheck=", "-pyflakes=", *workflows]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
