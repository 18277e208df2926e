"""Builds the programs of this folder in Go, Java and Rust, once for each run of the matrix."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.clients.tools import unavailable

FOLDER: Final = Path(__file__).parent
CACHE: Final = FOLDER.parents[1] / ".interop"
_RUST_SOURCES: Final = CACHE / "rust" / "sources"


@dataclass(frozen=True)
class Build:
    """How a program is built: what precedes the command, the command, and its output `result`."""

    command: tuple[str, ...]
    folder: Path
    result: Path
    prepare: Callable[[], None] | None = None


@functools.cache
def built(build: Build) -> Path:
    """Build a program once; the row is skipped where its compiler or its packages are missing."""
    try:
        if build.prepare is not None:
            build.prepare()
        _run(build.folder, *build.command)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        unavailable(f"{build.command[0]} cannot build it: {said[0] if said else error.returncode}")
    return build.result


def _run(folder: Path, program: str, *arguments: str) -> None:
    path = shutil.which(program) or unavailable(f"there is no {program!r}")
    subprocess.run([path, *arguments], cwd=folder, capture_output=True, text=True, check=True)


def _prepare_rust() -> None:
    """Copy the crate, and complete its lock.

    Cargo's lock repeats the registry's address for each package. Ours has none, so the address is that of a
    lock which Cargo makes here; versions and checksums are ours.
    """
    sources = FOLDER / "rust"
    shutil.copytree(sources, _RUST_SOURCES, dirs_exist_ok=True)
    lock = _RUST_SOURCES / "Cargo.lock"
    lock.unlink(missing_ok=True)
    _run(_RUST_SOURCES, "cargo", "generate-lockfile", "--quiet")
    addresses = {*re.findall(r"^source = .*$", lock.read_text(), flags=re.MULTILINE)}
    (address,) = addresses
    ours = (sources / "packages.lock").read_text()
    lock.write_text(re.sub(r"^checksum = ", f"{address}\nchecksum = ", ours, flags=re.MULTILINE))


GO: Final = Build(
    ("go", "build", "-p", "1", "-o", str(CACHE / "go-peers"), "."), FOLDER / "go", CACHE / "go-peers"
)
JAVA: Final = Build(
    ("mvn", "--quiet", "--batch-mode", f"-Dtarget={CACHE / 'java'}", "process-classes"),
    FOLDER / "java",
    CACHE / "java" / "classes",
)
RUST: Final = Build(
    (
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--jobs",
        "1",
        "--target-dir",
        str(CACHE / "rust"),
    ),
    _RUST_SOURCES,
    CACHE / "rust" / "release" / "peers",
    _prepare_rust,
)
