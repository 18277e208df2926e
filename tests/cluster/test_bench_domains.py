"""The operator's bench runs, with so few domains that its figures mean nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "bench" / "domains.py"
SMALL = ("--domains=4", "--idle=1", "--only=apply,idle,edit,restart,midnight")
SECONDS = 400
FIGURES = (
    "from apply to Ready", "peak, from apply to Ready", "an idle hour", "writes while idle",
    "an edit to its ConfigMap", "restart", "peak, restart", "activations at one midnight",
    "activations before one of an earlier date",
)  # fmt: skip


def test_sections_are_measured_and_written(tmp_path: Path) -> None:
    """A run writes a row per goal between the marks of the page; nothing is written while idle."""
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- begin: make bench-operator -->\nold\n<!-- end: make bench-operator -->\nafter\n"
    )
    command = [sys.executable, str(PROGRAM), *SMALL, "--write", str(page)]
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        errors = process.communicate(timeout=SECONDS)[1].decode()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    text = page.read_text()
    rows = re.findall(r"^\| ([a-z][^|]*) \|.*\| ([0-9.]+) \| [a-z*]", text, re.MULTILINE)
    assert [name for name, _ in rows] == list(FIGURES)
    assert float(dict(rows)["writes while idle"]) == 0
    assert float(dict(rows)["activations before one of an earlier date"]) == 0
    assert text.startswith("before\n<!-- begin")
    assert text.endswith("end: make bench-operator -->\nafter\n")
