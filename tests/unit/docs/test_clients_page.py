"""docs/clients.md names the versions that the tests install."""

from __future__ import annotations

import json
import re
from pathlib import Path

from interop.matrix import BEGIN, END, columns_of, first_cells, rows

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


def test_table_of_the_matrix_has_its_rows() -> None:
    """`make interop` has written the present rows, with the versions of the locks."""
    table = (ROOT / "docs/clients.md").read_text().split(BEGIN)[1].split(END)[0]
    assert [first_cells(line) for line in table.strip().splitlines()[2:]] == [
        (*columns_of(row),) for row in rows()
    ]


def test_own_locks_of_the_matrix_name_no_address() -> None:
    """Versions and hashes only."""
    for path in (
        "python/requirements.lock",
        "python/requirements.in",
        "rust/Cargo.toml",
        "rust/packages.lock",
        "java/pom.xml",
    ):
        assert "://" not in (ROOT / "tests/interop" / path).read_text(), path
