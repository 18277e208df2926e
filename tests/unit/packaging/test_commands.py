"""The commands of the distribution."""

from __future__ import annotations

import importlib
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = {
    command: entry
    for command, entry in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
    if not command.startswith("kubectl_complete-")  # its arguments are the words that kubectl completes
}


@pytest.mark.parametrize(("command", "entry"), COMMANDS.items())
def test_each_command_prints_its_version(
    command: str, entry: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--version prints the command and the distribution's version, and needs nothing else."""
    module, _, function = entry.partition(":")
    monkeypatch.setattr("sys.argv", [command, "--version"])
    with pytest.raises(SystemExit) as ended:
        getattr(importlib.import_module(module), function)()
    assert not ended.value.code
    assert capsys.readouterr().out == f"{command} {version('wsedge')}\n"
