"""A ClickHouse server for tests: that of WSEDGE_TEST_CLICKHOUSE (a URL), or chdb's engine behind HTTP."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from support.clients.tools import unavailable
from wsedge_statistics.ledger.clickhouse.server import Address, Server

ROOT: Final = Path(__file__).parents[3]
VARIABLE: Final = "WSEDGE_TEST_CLICKHOUSE"
_READY: Final = ROOT / ".venv-clickhouse" / "ready"
_PROGRAM: Final = ROOT / "tests" / "clickhouse" / "server.py"
_numbers = itertools.count()
_engines: list[subprocess.Popen[str]] = []


@cache
def clickhouse_url() -> str:
    """The URL of a server; one process of chdb for all tests of this process, until it ends."""
    if given := os.environ.get(VARIABLE):
        return given
    if not _READY.exists():
        unavailable("ClickHouse's engine is not installed: make test does it")
    folder = tempfile.mkdtemp(prefix="wsedge-clickhouse-")
    process = subprocess.Popen(
        [str(ROOT / ".venv-clickhouse" / "bin" / "python"), str(_PROGRAM), folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    atexit.register(_end, process, folder)
    _engines.append(process)
    return f"http://127.0.0.1:{int(process.stdout.readline())}"


def engine_process() -> int | None:
    """The process id of chdb's engine once it runs; None where the tests have a server."""
    return _engines[0].pid if _engines else None


def _end(process: subprocess.Popen[str], folder: str) -> None:
    assert process.stdin
    process.stdin.close()
    process.wait(30)
    shutil.rmtree(folder)


@contextmanager
def clickhouse_address() -> Iterator[Address]:
    """The address of a database of its own, dropped afterwards."""
    address = Address(clickhouse_url(), database=f"wsedge_{os.getpid()}_{next(_numbers)}")
    try:
        yield address
    finally:
        server = Server(address)
        server.execute(f"DROP DATABASE IF EXISTS `{address.database}` SYNC", in_database=False)
        server.close()
