"""`kubectl wsedge` as a process: it leaves no proxy behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# In kubectl's place: a proxy that accepts connections and answers none, or that ends at once.
PROGRAM = """#!{python}
import pathlib, signal, socket, sys
here = pathlib.Path(__file__).parent
if "proxy" in sys.argv:
    if (here / "broken").exists():
        sys.exit("error: no \\x1b[2Jconfiguration")
    (path,) = [word.partition("=")[2] for word in sys.argv if word.startswith("--unix-socket=")]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print("Starting to serve", flush=True)
    accepted = listener.accept()
    (here / "waits").write_text(path)
    signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Put the program into a folder, and temporary files beside it."""
    program = tmp_path / "kubectl"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "temporary").mkdir()
    os.mkfifo(tmp_path / "waits")
    return tmp_path


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wsedge_operator.cli.plugin", "status", "--namespace=x"],
        env={**os.environ, "PATH": str(folder), "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def proxies(folder: Path) -> list[int]:
    """Return the processes that run the program in kubectl's place."""
    program = str(folder / "kubectl").encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and program in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_proxy_too(folder: Path, number: signal.Signals) -> None:
    """Its socket is an entrance with the user's rights; nothing of it stays."""
    plugin = start(folder)
    socket = Path((folder / "waits").read_text())  # waits until the proxy has a request
    assert socket.parent.stat().st_mode & 0o077 == 0, "only this user may reach it"
    plugin.send_signal(number)
    _, said = plugin.communicate(timeout=30)
    assert plugin.returncode == (130 if number == signal.SIGINT else 128 + number), said
    assert proxies(folder) == []
    assert list((folder / "temporary").iterdir()) == []
    assert "Traceback" not in said


def test_a_proxy_that_does_not_start_is_told(folder: Path) -> None:
    """By kubectl's own sentence, of which nothing moves the cursor."""
    (folder / "broken").touch()
    plugin = start(folder)
    _, said = plugin.communicate(timeout=30)
    assert plugin.returncode == 2
    assert said.startswith("kubectl-wsedge: kubectl has no usable configuration: no ?[2Jconfiguration. Name ")
    assert said.count("\n") == 1
    assert list((folder / "temporary").iterdir()) == []
