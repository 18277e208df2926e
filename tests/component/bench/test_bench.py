"""The bench runs: every section, without peers, with a load so small that its figures mean nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support.clients.tools import need, unavailable

PROGRAM = Path(__file__).parents[2] / "bench" / "relay.py"
SMALL = ("--proxies=plain,bare", "--rounds=2", "--milliseconds=20", "--idle=50", "--busy=200")
SECTIONS = ("ws", "wss", "Handshakes", "Idle connections", "Busy connections", "Latency", "Reload under load")
SECONDS = 300


def test_every_section_is_measured_and_written(tmp_path: Path) -> None:
    """A run writes a row per program into its tables, between the marks of the page, goals first."""
    for tool in ("cc", "openssl", "taskset"):
        need(tool)
    if not Path("/usr/include/openssl/ssl.h").exists():
        unavailable("OpenSSL's headers are missing: make test-tools installs them")
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin: make bench -->\nold\n<!-- end: make bench -->\nafter\n")
    command = [sys.executable, str(PROGRAM), *SMALL, "--write", str(page), "--although-busy"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        errors = process.communicate(timeout=SECONDS)[1].decode()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    text = page.read_text()
    assert re.fullmatch(
        r"before\n<!-- begin: make bench -->\n.*<!-- end: make bench -->\nafter\n", text, re.DOTALL
    )
    assert "old" not in text.splitlines()
    _, goals, *tables = text.split("\n### ")
    assert "| Idle connections, 50 connections | wsedge, plain | 1,536 |" in goals
    for title, table in zip(SECTIONS, tables, strict=True):
        assert table.startswith(title)
        assert re.search(r"^\| wsedge, plain \| -?[\d,.]+", table, re.MULTILINE), table
        if title in ("ws", "Handshakes", "Idle connections"):  # bare.py supports only these
            assert re.search(r"^\| bare Python \| -?[\d,.]+", table, re.MULTILINE), table
