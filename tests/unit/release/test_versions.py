"""The version of pyproject.toml in other files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wsedge_release import versions

ROOT = Path(__file__).parents[3]
EXAMPLE = "examples/quickstart/03-room.yaml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy every place, and pyproject.toml, to a folder."""
    for path in ("pyproject.toml", EXAMPLE, *versions.PLACES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_every_file_has_the_version_of_the_project() -> None:
    """The committed files agree with pyproject.toml."""
    assert versions.main(["--check", f"--root={ROOT}"], ROOT) == 0


def test_a_new_version_is_written_everywhere(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check names each file that disagrees; the command writes them all."""
    project = copy / "pyproject.toml"
    old = versions.project_version(copy)
    project.write_text(project.read_text().replace(f'version = "{old}"', 'version = "7.8.9"', 1))
    assert versions.main(["--check", f"--root={copy}"], copy) == 1
    told = capsys.readouterr().err
    assert all(path in told for path in (EXAMPLE, *versions.PLACES))
    assert versions.main([f"--root={copy}"], copy) == 0
    assert versions.main(["--check", f"--root={copy}"], copy) == 0
    for path in (EXAMPLE, *versions.PLACES):
        text = (copy / path).read_text()
        assert "7.8.9" in text
        assert f"wsedge:{old}" not in text


def test_a_lost_place_is_an_error(copy: Path) -> None:
    """A file in which a pattern matches nothing would keep an old version for ever."""
    (copy / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(ValueError, match="Dockerfile: nothing matches"):
        versions.versioned_files(copy)


@pytest.mark.parametrize("version", ["1.0", "1.2.3rc1", "01.2.3", "v1.2.3"])
def test_a_version_that_a_chart_cannot_have_is_refused(copy: Path, version: str) -> None:
    """Only X.Y.Z is the same in Python, in Semantic Versioning and as the tag of an image."""
    (copy / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    with pytest.raises(ValueError, match=r"of the form X\.Y\.Z"):
        versions.project_version(copy)
