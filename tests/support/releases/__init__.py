"""Earlier releases, as tests/releases keeps them."""

from __future__ import annotations

import tarfile
from pathlib import Path

LAST_RELEASE = "0.1.0"
_ARCHIVES = Path(__file__).parents[2] / "releases"


def unpack(version: str, folder: Path) -> Path:
    """The sources of a release, unpacked into `folder`."""
    with tarfile.open(_ARCHIVES / f"{version}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder
