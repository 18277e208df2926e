"""The files that pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = (
    "docs/architecture.md",
    "CONTRIBUTING.md",
    *(f"docs/design/{page}.md" for page in ("activation", "pump", "ledger", "handshake")),
)
_PATH = re.compile(r"`((?:operator|proxy|statistics|devcluster|tests|charts|crds|docs|examples)/[\w./-]*)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """Each path and each link of the page exists in the checkout."""
    text = (ROOT / page).read_text("utf-8")
    named = {ROOT / path for path in _PATH.findall(text)}
    linked = {(ROOT / page).parent / path for path in _LINK.findall(text)}
    assert named, page
    assert [str(path) for path in sorted(named | linked) if not path.exists()] == []
