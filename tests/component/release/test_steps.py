"""The steps of RELEASE.md that need no registry, run as it writes them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.cluster import quiet
from wsedge_release.versions import project_version

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command, and return what it prints; its failure is the test's."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run(Path(sys.executable).with_name("hatchling"), "build", "--directory", folder)
    return folder


def test_the_wheel_installs_every_command(dist: Path, tmp_path: Path) -> None:
    """In an empty environment each console script prints the version; no file of the checkout is used."""
    (wheel,) = dist.glob("*.whl")
    home = tmp_path / "venv"
    venv.create(home)
    pure = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    installer = (
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        home / "bin" / "python",
    )
    run(*installer, "install", "--quiet", "--no-index", "--no-deps", wheel)
    # The packages of the lock, which this environment has; a path in a .pth runs no .pth of that folder, so
    # the editable installation of the checkout is not found.
    (pure / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # kubectl calls its completion with the words of the command line, so --version is one of them.
    for command in set(PROJECT["scripts"]) - {"kubectl_complete-wsedge"}:
        assert run(home / "bin" / command, "--version", folder=tmp_path) == (
            f"{command} {project_version(ROOT)}\n"
        )
    place = "import wsedge_relay; print(wsedge_relay.__file__)"
    assert str(home) in run(home / "bin" / "python", "-c", place, folder=tmp_path)


def test_the_distributions_have_their_license_and_no_test(dist: Path) -> None:
    """The wheel has the four packages alone; both have the license."""
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {f"wsedge_{name}" for name in ("operator", "relay", "statistics", "devcluster")}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == packages
    assert any(name.endswith("/LICENSE") for name in names)
    with tarfile.open(source) as archive:
        kept = archive.getnames()
    assert any(name.endswith("/LICENSE") for name in kept)
    assert any(name.endswith("/pyproject.toml") for name in kept)


def test_the_chart_is_packaged(tmp_path: Path) -> None:
    """`helm lint` and `helm package` accept it; the archive has the version, and the definitions."""
    helm = ensure_binaries(quiet)["helm"]
    folders = {f"HELM_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "CONFIG", "DATA")}
    for command in (("lint", "--strict"), ("package", "--destination", str(tmp_path))):
        arguments = [helm, command[0], "charts/wsedge", *command[1:]]
        subprocess.run(
            arguments, cwd=ROOT, env=os.environ | folders, capture_output=True, timeout=60, check=True
        )
    version = project_version(ROOT)
    with tarfile.open(tmp_path / f"wsedge-{version}.tgz") as archive:
        chart = archive.extractfile("wsedge/Chart.yaml")
        assert chart is not None
        assert yaml.safe_load(chart)["appVersion"] == version
        assert "wsedge/files/crds/wsedge.io_websocketdomains.yaml" in archive.getnames()
