"""Write the version of pyproject.toml to other files: `python -m wsedge_release.versions [--check]`.

The chart, the default image of relays and the commands of the pages cannot read pyproject.toml. Each place is
a pattern whose group is the version; a pattern that matches nothing is an error, because the place would be
lost.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.writing import run

# The images of this project, in the name that the chart has and in the one that pages leave to the reader.
IMAGE: Final = r"(?:ghcr\.io/wsedge|REGISTRY)/(?:wsedge|examples):(\d[\w.-]*)"
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "charts/wsedge/Chart.yaml": (r"^version: (\S+)$", r"^appVersion: (\S+)$", IMAGE),
    "operator/wsedge_operator/api/meta.py": (r'^RELEASE: Final = "([^"]+)"$',),
    "tests/support/devcluster/__init__.py": (IMAGE,),
    "Dockerfile": (IMAGE,),
    "README.md": (IMAGE,),
    "README.zh-CN.md": (IMAGE,),
    "docs/install.md": (IMAGE,),
    "docs/operations.md": (IMAGE,),
}
# Helm and OCI tags want Semantic Versioning, Python its own form; without a suffix the two are the same.
_VERSION: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}")


def project_version(root: Path) -> str:
    """Return the version of pyproject.toml; raises ValueError unless it has the form X.Y.Z."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = str(project["version"])
    if not _VERSION.fullmatch(version):
        raise ValueError(f"pyproject.toml: version {version} is not of the form X.Y.Z")
    return version


def versioned(path: str, patterns: Sequence[str], text: str, version: str) -> str:
    """Return the text of the file `path` with `version` in it; raises ValueError for a lost place."""
    for pattern in patterns:
        expression = re.compile(pattern, re.MULTILINE)
        if not expression.search(text):
            raise ValueError(f"{path}: nothing matches {pattern}; correct PLACES of {__name__}")
        text = expression.sub(lambda found: found[0].replace(found[1], version), text)
    return text


def versioned_files(root: Path) -> dict[Path, str]:
    """Return the content that each place should have, by its path below the root of the repository."""
    version = project_version(root)
    return {
        Path(path): versioned(path, patterns, (root / path).read_text(encoding="utf-8"), version)
        for path, patterns in {**PLACES, **_examples(root)}.items()
    }


def _examples(root: Path) -> dict[str, tuple[str, ...]]:
    """Return the manifests of examples/ that name an image of this project, as places."""
    manifests = sorted((root / "examples").rglob("*.yaml"))
    named = [path for path in manifests if re.search(IMAGE, path.read_text(encoding="utf-8"))]
    return {str(path.relative_to(root)): (IMAGE,) for path in named}


def main(arguments: Sequence[str] | None = None, root: Path = Path()) -> int:
    """Write or check every place; return the exit code."""
    return run(
        versioned_files(root),
        description="Writes the version of pyproject.toml to the files that repeat it.",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
