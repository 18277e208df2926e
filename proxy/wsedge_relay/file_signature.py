"""Signatures by which a changed file is detected: device, inode, size and modification time."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, int, int, int]


def signature_of(path: Path) -> Signature | None:
    """Return the signature of a file, with links followed; None when the file cannot be read."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # a NUL in the name
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
