"""The command that writes or checks generated files."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from wsedge_operator.api.generation import __main__ as generate
from wsedge_operator.api.generation import reference, relay_fields, writing
from wsedge_operator.api.generation.crd import KINDS

ROOT = Path(__file__).parents[5]


@pytest.mark.parametrize("run", [generate.main, reference.main], ids=["CRDs", "reference"])
def test_committed_files_are_current(run: Any) -> None:
    """The committed files are equal to those that the models yield."""
    assert run(["--check", f"--root={ROOT}"]) == 0


def test_stale_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check names stale files and the command to run; after it the check passes."""
    check, write = ["--check", f"--root={tmp_path}"], [f"--root={tmp_path}"]
    assert generate.main(check) == 1
    assert "run `make generate` and commit the result" in capsys.readouterr().err
    assert generate.main(write) == 0
    assert generate.main(check) == 0
    (tmp_path / "crds" / "wsedge.io_billingplans.yaml").write_text("other")
    assert writing.stale_files(tmp_path, generate.crd_files()) == [Path("crds/wsedge.io_billingplans.yaml")]


@pytest.mark.parametrize("module", [generate, reference, relay_fields], ids=lambda module: module.__name__)
def test_a_module_is_a_command(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m` of each generator ends with the exit code of its check."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [module.__name__, "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(module.__file__), run_name="__main__")
    assert ended.value.code == 0


def test_generation_is_stable() -> None:
    """Two runs give equal bytes, and both folders the same content."""
    files = generate.crd_files()
    assert files == generate.crd_files()
    assert len(set(files.values())) == len(KINDS) == len(files) / 2
