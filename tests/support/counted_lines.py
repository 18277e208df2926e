"""What processes have written of the lines that they ran, when the tests are measured."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def drop_damaged(data_file: Path) -> list[Path]:
    """Delete and return the files that coverage could not combine: a process was killed while it wrote.

    coverage writes without a journal, so such a file may fail at any later read, which would end the run.
    """
    damaged = [path for path in sorted(data_file.parent.glob(f"{data_file.name}.*")) if not _is_whole(path)]
    for path in damaged:
        path.unlink()
    return damaged


def _is_whole(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT 1 FROM coverage_schema").fetchone()
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
