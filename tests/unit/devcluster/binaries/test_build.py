"""The cache key of built programs."""

from __future__ import annotations

from pathlib import Path

from wsedge_devcluster.binaries.build import source_hash


def test_source_hash(tmp_path: Path) -> None:
    """The cache key changes with each source and with the platform, and with nothing else."""
    (tmp_path / "cmd").mkdir()
    for name in ("go.mod", "go.sum", "cmd/main.go"):
        (tmp_path / name).write_text(name)
    first = source_hash(tmp_path, "linux")
    (tmp_path / "README").write_text("other")
    assert source_hash(tmp_path, "linux") == first
    assert source_hash(tmp_path, "other") != first
    (tmp_path / "cmd/main.go").write_text("changed")
    second = source_hash(tmp_path, "linux")
    assert second != first
    (tmp_path / "main.go").write_text("a module whose program is at its root")
    assert source_hash(tmp_path, "linux") not in (first, second)
    (tmp_path / "go.sum").unlink()  # a module without any other
    assert source_hash(tmp_path, "linux") != first
