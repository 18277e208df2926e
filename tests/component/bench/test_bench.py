"""The bench runs: every section, without peers, with a load so small that its figures mean nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.clients.tools import need, unavailable

TESTS = Path(__file__).parents[2]
PROGRAM = TESTS / "bench" / "relay.py"
FLOODS = TESTS / "bench" / "floods.py"
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


def test_floods_that_a_signal_ends_leave_no_process() -> None:
    """A SIGTERM during a flood ends its proxies, clients and origin, which are processes of their own."""
    for tool in ("nginx", "openssl", "taskset"):
        need(tool)
    options = ("--forms=plain", "--only=none,texts", "--rounds=1", "--seconds=0.1")
    process = subprocess.Popen(
        [sys.executable, str(FLOODS), *options],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in ("title", "nginx", "plain")]
        assert b"plain" in lines[2], lines
        assert len(_of_session(process.pid)) > 1
        process.terminate()
        process.communicate(timeout=SECONDS)
        assert process.returncode == 128 + signal.SIGTERM
        until = time.monotonic() + SECONDS
        while (left := _of_session(process.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not left
    finally:
        for pid in _of_session(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def _of_session(number: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == number and state != "Z":
            found.append(int(stat.parent.name))
    return found
