"""Faults of the ledger's disk and files, for the program and for the ledger alone."""

from __future__ import annotations

import resource
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from support.statistics.build import recent_bucket, report, row
from support.statistics.process import Statistics

# The beginning of a command whose files cannot grow beyond so many bytes, as on a full disk.
LIMITED = (
    sys.executable,
    "-c",
    "import os,resource,sys;n=int(sys.argv[1]);"
    "resource.setrlimit(resource.RLIMIT_FSIZE,(n,resource.RLIM_INFINITY));os.execv(sys.argv[2],sys.argv[2:])",
)


def free_space(program: Statistics) -> None:
    """Lift the limit of the file size, which acts as a full disk."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, unlimited)


def big_report(number: int) -> Any:
    rows = [row(recent_bucket(1), domain=f"d{n}.example", sentBytes=1, codes={"101": 1}) for n in range(500)]
    return report(*rows, uid=f"uid-{number}")


def damage(database: Path, table: str) -> None:
    """Write garbage over the first leaf of a table; the file must not be open."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((size,),) = opened.execute("PRAGMA page_size").fetchall()
        ((root,),) = opened.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
    with database.open("r+b") as file:
        file.seek((root - 1) * size)
        page = file.read(size)
        assert page[0] == 2, "the table has one page only"  # an interior page: cells begin with a child
        cell = int.from_bytes(page[12:14])
        child = int.from_bytes(page[cell : cell + 4])
        file.seek((child - 1) * size)
        file.write(b"\xde\xad" * (size // 2))
