"""The user's cache folder: built binaries, an installed Go, locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Progress = Callable[[str], None]


def cache_folder() -> Path:
    """Return `$XDG_CACHE_HOME/wsedge`, or `~/.cache/wsedge` (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "wsedge"


@contextmanager
def only_one(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold `lock` for this process; report a wait for another process. The kernel frees it at exit."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process is building the same, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
