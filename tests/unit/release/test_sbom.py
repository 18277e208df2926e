"""The software bill of materials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wsedge_release import sbom, versions

ROOT = Path(__file__).parents[3]


def test_the_bill_lists_the_locked_packages(tmp_path: Path) -> None:
    """It is valid SPDX 2.3, and has each package of the lock with its version and package URL."""
    output = tmp_path / "bill.json"
    assert sbom.main([str(output)], ROOT) == 0
    bill = json.loads(output.read_text())
    assert bill["spdxVersion"] == "SPDX-2.3"
    listed = {package["name"]: package for package in bill["packages"]}
    assert listed.pop("wsedge")["versionInfo"] == versions.project_version(ROOT)
    lock = (ROOT / sbom.LOCK).read_text()
    assert len(listed) == len({line.split("==")[0] for line in lock.splitlines() if "==" in line})
    (reference,) = listed["pydantic"]["externalRefs"]
    assert reference["referenceLocator"] == f"pkg:pypi/pydantic@{listed['pydantic']['versionInfo']}"
    kinds = [relation["relationshipType"] for relation in bill["relationships"]]
    assert kinds.count("DEPENDS_ON") == len(listed)


def test_an_empty_lock_is_an_error() -> None:
    """A bill without packages would state that there are none."""
    with pytest.raises(ValueError, match="names no package"):
        sbom.locked("# nothing\n")
