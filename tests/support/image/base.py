"""A Debian with Python, as the base image of the Dockerfile's argument PYTHON; stored in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Python as the official image has it: the commands `python` and `pip`, and the headers. A compiler beside
# them, so that the build, which installs one, finds it there.
PACKAGES = (
    "ca-certificates",
    "gcc",
    "libc6-dev",
    "libpython3-dev",
    "python-is-python3",
    "python3",
    "python3-pip",
    "python3-venv",
)


def missing() -> str:
    """Return the reason why no image can be built here, or an empty string."""
    if os.geteuid() != 0:
        return "only root can build an image with debootstrap and run it in a chroot"
    tools = [
        tool for tool in ("buildah", "debootstrap", "apt-get", "unshare", "chroot") if not shutil.which(tool)
    ]
    return f"not installed: {', '.join(tools)} (make test-tools)" if tools else ""


def tarball() -> Path:
    """Return the base as an archive of its files; the first call takes minutes."""
    suite = _suite()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wsedge" / "image"
    kept = cache / f"{suite}-1.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            root, archive = Path(folder, "root"), Path(folder, "base.tar")
            command = [
                "debootstrap",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                suite,
                str(root),
            ]
            subprocess.run([*command, _mirror(suite)], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(root / "var/cache/apt/archives")
            subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
            archive.rename(kept)
    return kept


def _suite() -> str:
    """Return this machine's Debian release."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    return release["VERSION_CODENAME"].strip('"')


def _mirror(suite: str) -> str:
    """Return this machine's package mirror."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for line in listed.splitlines():
        address, release, component = line.split()
        if (release, component) == (suite, "main"):
            return address
    raise AssertionError(f"apt-get has no source for {suite} main")
