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


def test_bills_of_one_instant_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH is the instant, so that anybody can build what was published."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    bills = [tmp_path / "one.json", tmp_path / "two.json"]
    for bill in bills:
        assert sbom.main([str(bill)], ROOT) == 0
    assert bills[0].read_bytes() == bills[1].read_bytes()
    assert json.loads(bills[0].read_text())["creationInfo"]["created"] == "2023-11-14T22:13:20Z"


def test_an_empty_lock_is_an_error() -> None:
    """A bill without packages would state that there are none."""
    with pytest.raises(ValueError, match="names no package"):
        sbom.locked("# nothing\n")


LOCKS = {
    "with hashes": "a==1.0 \\\n    --hash=sha256:ab\nB_c==2.0.post1 \\\n    --hash=sha256:cd\n",
    "with a marker, an extra, a remark and an option": (
        '--no-binary :none:\n# made by uv\n\na[x,y]==1.0 ; python_version < "4"\nB_c==2.0.post1\n'
    ),
}


@pytest.mark.parametrize("text", LOCKS.values(), ids=LOCKS)
def test_every_package_of_a_lock_is_found(text: str) -> None:
    """Whatever stands beside it."""
    assert sbom.locked(text) == [("B_c", "2.0.post1"), ("a", "1.0")]


@pytest.mark.parametrize("line", ["a @ file:///a.whl", "a>=1.0", "file:///a.whl"])
def test_a_line_that_is_not_understood_is_an_error(line: str) -> None:
    """Its package would be missing from the bill without a word."""
    with pytest.raises(ValueError, match="unknown form"):
        sbom.locked(f"b==1\n{line}\n")
