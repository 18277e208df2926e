"""No folder has more modules than a reader can survey."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ("operator", "proxy", "statistics", "devcluster", "charts", "release", "tests", "examples")
MODULES = 30


def test_no_folder_has_more_than_thirty_modules_side_by_side() -> None:
    """A folder with more is split by purpose. `__init__` does not count, because it maps the others."""
    modules = (
        path
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        if path.name != "__init__.py" and "node_modules" not in path.parts
    )
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in modules)
    assert counts
    assert {folder: count for folder, count in counts.items() if count > MODULES} == {}
