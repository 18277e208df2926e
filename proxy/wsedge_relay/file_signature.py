"""By what a changed file is told: device, inode, size and time of its last change, links followed."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, int, int, int]


def signature_of(path: Path) -> Signature | None:
    """Return the signature of the file that is there now; None when there is none."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # a NUL in the name
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
