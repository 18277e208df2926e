"""A build of the Dockerfile by buildah, without a daemon and without a registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.image.base import tarball
from support.image.run import Image

ROOT = Path(__file__).resolve().parents[3]


class Builder:
    """buildah with its own storage in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A layer is an overlay mount where the file system supports it, else a copy.
        self._driver = "overlay" if self._works("overlay") else "vfs"

    def _works(self, driver: str) -> bool:
        return subprocess.run(self._command(driver, "info"), capture_output=True).returncode == 0

    def _command(self, driver: str, *arguments: str) -> list[str]:
        places = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run")]
        return ["buildah", *places, "--storage-driver", driver, *arguments]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            self._command(self._driver, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()


@contextmanager
def building() -> Iterator[Image]:
    """Build the Dockerfile's last stage; delete all files at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wsedge-image-"))
    buildah = Builder(folder)
    try:
        empty = buildah("from", "scratch")
        buildah("add", "--quiet", empty, str(tarball()), "/")
        buildah("commit", "--quiet", "--rm", "--disable-compression", empty, "localhost/python")
        mounts = [part for source, target in _pip(folder) for part in ("--volume", f"{source}:{target}:ro")]
        how = [
            "--isolation=chroot",
            "--layers=false",
            "--network=host",
            "--build-arg=PYTHON=localhost/python",
        ]
        buildah("build", *how, *mounts, "--tag=localhost/wsedge", ".")
        made = buildah("from", "--isolation=chroot", "localhost/wsedge")
        inspected = json.loads(buildah("inspect", "--type=image", "localhost/wsedge"))
        config = inspected["OCIv1"]["config"]
        yield Image(
            Path(buildah("mount", made)), config["User"], dict(e.split("=", 1) for e in config["Env"])
        )
    finally:
        buildah("rm", "--all")
        buildah("rmi", "--all", "--force")
        # The driver's mount for all its containers.
        subprocess.run(
            ["umount", "--recursive", "--quiet", str(folder / "storage" / "overlay")], capture_output=True
        )
        shutil.rmtree(folder)


def _pip(folder: Path) -> list[tuple[str, str]]:
    """Return pip's configuration of this machine (an index, wheels, certificates) as mounts for the build."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings: dict[str, str] = {}
    mounts: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = text = value.strip("'\"")
        # Folders and files of this machine that a setting names.
        mounts |= {word: word for word in text.split() if word.startswith("/") and Path(word).exists()}
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return [*mounts.items(), (str(file), "/etc/pip.conf")]
