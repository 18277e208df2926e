"""docs/README.md leads to every page, directly or by the page of its folder."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
INDEX = ROOT / "docs" / "README.md"
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def linked(page: Path) -> set[Path]:
    """Return the pages that a page links."""
    targets = {(page.parent / link).resolve() for link in _LINK.findall(page.read_text("utf-8"))}
    return {target for target in targets if target.suffix == ".md" and target.exists()}


def test_every_page_of_the_docs_is_on_the_index() -> None:
    """Each page directly in docs/ has a line, and so have the pages outside that a reader needs."""
    pages = set((ROOT / "docs").glob("*.md")) - {INDEX}
    outside = {ROOT / name for name in ("README.md", "RELEASE.md", "CONTRIBUTING.md", "examples/README.md")}
    existing = {page for page in outside if page.exists()}
    assert sorted((pages | existing) - linked(INDEX)) == []


def test_every_page_below_is_reached_from_the_index() -> None:
    """No page of docs/ is an orphan."""
    seen: set[Path] = set()
    waiting = {INDEX}
    while waiting:
        page = waiting.pop()
        seen.add(page)
        waiting |= linked(page) - seen
    assert sorted(page for page in (ROOT / "docs").rglob("*.md") if page not in seen) == []


def test_the_readme_links_the_index() -> None:
    """A reader of the first page finds it."""
    assert INDEX in linked(ROOT / "README.md")
