"""Write the CustomResourceDefinitions from the models: `python -m wsedge_operator.api.generation`.

With `--check` nothing is written; the exit code is 1 when a file differs from what the models yield.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from wsedge_operator.api.generation.crd import KINDS, definition

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


def stale_files(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Return the paths of files that are missing below `root` or have other content."""
    return [
        path
        for path, content in files.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != content
    ]


def write_files(root: Path, files: Mapping[Path, str], stale: Sequence[Path]) -> None:
    """Write the stale files below `root`."""
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")


def run(files: Mapping[Path, str], *, description: str, verb: str, arguments: Sequence[str] | None) -> int:
    """Write `files`, or with `--check` compare them; return the exit code.

    `verb` is the command that an error names for stale files.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository (default: here)")
    options = parser.parse_args(arguments)
    stale = stale_files(options.root, files)
    if not options.check:
        write_files(options.root, files, stale)
    elif stale:
        names = ", ".join(str(path) for path in stale)
        sys.stderr.write(f"stale: {names}; run `{verb}` and commit the result\n")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the CRD files; return the exit code."""
    return run(
        crd_files(),
        description="Writes the CRDs from the pydantic models.",
        verb="make generate",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
