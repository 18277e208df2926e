"""The archive of a report on disk."""

from __future__ import annotations

import os
import resource
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from wsedge_operator.cli.report import _write
from wsedge_operator.errors import PluginError

NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let a write beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_archive_is_for_its_owner_alone(tmp_path: Path) -> None:
    """And an earlier one is not written over."""
    path = tmp_path / "report.tar.gz"
    _write(path, {"about.json": b"{}"}, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["report/about.json"]
    with pytest.raises(PluginError, match=r"report\.tar\.gz cannot be written: File exists\."):
        _write(path, {}, NOW)


def test_a_full_disk_is_told_and_leaves_no_part(tmp_path: Path) -> None:
    """A part of an archive looks like a report."""
    path = tmp_path / "report.tar.gz"
    with largest_file(1000), pytest.raises(PluginError, match="cannot be written"):
        _write(path, {"log.txt": os.urandom(100_000)}, NOW)
    assert not path.exists()
