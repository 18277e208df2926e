"""The counts of processes that were killed are left out; those of others are combined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import coverage
import pytest

from support.counted_lines import drop_damaged


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def overwritten(content: bytes) -> bytes:
    return content[:4096] + bytes(4096) + content[8192:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing written yet": lambda _: b"",
    "no database": lambda _: b"\xff" * 10_000,
    "half of it": half,
    "one page of it": overwritten,
}


def write(path: Path, line: int) -> bytes:
    """Write the counts of a process that ran one line; return the content of the file."""
    data = coverage.CoverageData(str(path))
    data.add_lines({"/a.py": [line]})
    data.write()
    data.close()
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_dropped_and_others_are_combined(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Without a warning, and without an end of the run."""
    file = tmp_path / "counts"
    write(tmp_path / "counts.vm.1.a", 1)
    killed = tmp_path / "counts.vm.2.b"
    killed.write_bytes(damage(write(killed, 2)))
    write(tmp_path / "counts.vm.3.c", 3)
    assert drop_damaged(file) == [killed]
    measured = coverage.Coverage(data_file=str(file), config_file=False)
    measured.combine()
    assert sorted(measured.get_data().lines("/a.py") or ()) == [1, 3]
    assert list(tmp_path.iterdir()) == [file]


def test_no_measurement_is_no_damage(tmp_path: Path) -> None:
    """A run without --cov has no files."""
    assert drop_damaged(tmp_path / "missing" / "counts") == []
