"""The program logs the form of the pump that it runs, and runs the form that it is configured for."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.relay.forms import form_of
from support.relay_process import config, write
from support.relay_process.process import RelayProcess
from wsedge_relay.pump import compiled

ROOT = Path(__file__).parents[4]


async def test_plain_runs_when_told(tmp_path: Path) -> None:
    """Whether a compiled form is installed or not."""
    path = write(tmp_path / "relay.json", config())
    async with RelayProcess("--config", path, "--pump", "plain") as relay:
        await relay.event("pump chosen", form="plain", reason="set by --pump")
        await relay.event("listening", listener="http")
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0


@pytest.fixture(params=["compiled"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of the relay's package with the compiled form in its place."""
    form_of(request)
    copy = tmp_path / "wsedge_relay"
    shutil.copytree(
        ROOT / "proxy" / "wsedge_relay", copy, ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    shutil.copytree(compiled.__path__[0], copy / "pump" / "compiled", dirs_exist_ok=True)
    return tmp_path


def test_an_installed_compiled_form_is_found(package: Path) -> None:
    """In the folder of `make compiled` and of the image's wheel, with the digest of its sources."""
    code = (
        "from wsedge_relay.pump.selector import choose; "
        "print(choose().name, choose('compiled').pump.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["compiled", "wsedge_relay.pump.compiled.pump"]
