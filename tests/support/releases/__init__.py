"""Earlier releases, stored in tests/releases."""

from __future__ import annotations

import tarfile
from pathlib import Path

LAST_RELEASE = "0.1.0"
_ARCHIVES = Path(__file__).parents[2] / "releases"


def unpack(version: str, folder: Path) -> Path:
    """Unpack a release's sources into `folder`; return it."""
    with tarfile.open(_ARCHIVES / f"{version}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder
