"""The Dockerfile's references, checked without a build; tests/cluster/test_image.py builds it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# COPY lines with sources in the checkout; those with --from copy from other stages.
SOURCES = [
    source
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
    for source in line.split()[:-1]
]


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_copied_exists_and_is_sent_to_the_builder(source: str) -> None:
    """Each source is in the checkout, and .dockerignore, which excludes everything first, admits it."""
    assert (ROOT / source).exists()
    admitted = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert source.rstrip("/") in admitted


def test_the_wheel_has_every_package_of_the_image() -> None:
    """Every package folder is copied before the wheel is built, except the devcluster's."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = [name for name in packages if any(name.startswith(source.rstrip("/")) for source in SOURCES)]
    assert set(packages) - set(copied) == {"devcluster/wsedge_devcluster"}


def test_the_image_installs_extras_that_exist_and_runs_as_a_number() -> None:
    """Extras are those of the project; the user is numeric, so that runAsNonRoot can be verified."""
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", DOCKERFILE, flags=re.MULTILINE)


def test_packages_come_with_the_hashes_of_the_lock() -> None:
    """The one download is by hash; later installs use its files only."""
    assert "--require-hashes" in DOCKERFILE
    for command in re.findall(r"pip install.*(?:\\\n.*)*", DOCKERFILE):
        assert "--no-index --find-links /wheels" in command


def test_the_three_programs_are_commands_of_the_distribution() -> None:
    """The wheel installs the commands that the chart and the operator use."""
    assert {"wsedge-operator", "wsedge-relay", "wsedge-statistics"} <= set(PROJECT["scripts"])
