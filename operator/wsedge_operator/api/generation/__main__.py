"""Write the CustomResourceDefinitions from the models: `python -m wsedge_operator.api.generation`.

With `--check` nothing is written; the exit code is 1 when a file differs from what the models yield.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from wsedge_operator.api.generation.crd import KINDS, definition
from wsedge_operator.api.generation.writing import run

FOLDERS: Final = (Path("crds"), Path("charts/wsedge/files/crds"))
_HEAD: Final = "# Generated from operator/wsedge_operator/api by `make generate`; do not edit.\n"


def crd_files() -> dict[Path, str]:
    """Return the content of every generated CRD file, by its path below the root of the repository."""
    return {
        folder / kind.file_name: _HEAD
        + yaml.safe_dump(definition(kind), sort_keys=False, allow_unicode=True, width=110)
        for folder in FOLDERS
        for kind in KINDS
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the CRD files; return the exit code."""
    return run(
        crd_files(),
        description="Writes the CRDs from the pydantic models.",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
