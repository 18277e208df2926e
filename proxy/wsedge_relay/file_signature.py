"""The signature by which a changed file is detected: device, inode, size, time of change, links followed."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, int, int, int]


def signature_of(path: Path) -> Signature | None:
    """Return the present signature of a file; None when it does not exist."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # a NUL in the name
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
