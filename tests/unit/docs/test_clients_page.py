"""docs/clients.md names the versions that the tests install."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_versions_on_the_page_are_those_of_the_locks() -> None:
    """The page names each package of the tests with the version of the lock."""
    named = dict(re.findall(r"`([@a-z./-]+)` (\d+(?:\.\d+)+)", (ROOT / "docs/clients.md").read_text()))
    packages = json.loads((ROOT / "tests/clients/package-lock.json").read_text())["packages"]
    locked = {name: packages[f"node_modules/{name}"]["version"] for name in packages[""]["dependencies"]}
    lines = (ROOT / "requirements.lock").read_text()
    python = dict(re.findall(r"^(aiohttp|websockets)==([\d.]+)", lines, flags=re.MULTILINE))
    assert named == locked | python


def test_the_lock_names_no_address() -> None:
    """The lock has no URLs of packages: the registry is a setting of each machine."""
    assert '"resolved"' not in (ROOT / "tests/clients/package-lock.json").read_text()
