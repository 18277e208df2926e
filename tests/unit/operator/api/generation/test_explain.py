"""`kubectl explain` prints the descriptions of the committed CRDs; docs/reference.md has the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[5]
CRDS = sorted((ROOT / "crds").glob("*.yaml"))


def described(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path and description of every field below one."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field.get("description", "")
        yield from described(f"{path}.{name}", field)
        yield from described(f"{path}.{name}[]", field.get("items", {}))


@pytest.mark.parametrize("crd", CRDS, ids=lambda crd: crd.stem)
def test_explain_and_the_reference_say_the_same(crd: Path) -> None:
    """Each field's row has the description that kubectl explain prints, then only rules; no other row."""
    definition = yaml.safe_load(crd.read_text("utf-8"))["spec"]
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    section = page.split(f"\n## {definition['names']['kind']}\n")[1].split("\n## ")[0]
    rows = {
        cells[0].strip("| `"): cells[2].removesuffix(" |")
        for cells in (line.split(" | ", 2) for line in section.splitlines() if line.startswith("| `"))
    }
    (version,) = definition["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    fields = dict(field for part in ("spec", "status") for field in described(part, properties[part]))
    assert rows.keys() == fields.keys()
    said = {path: re.sub(r" ?(\*\*Required\.\*\*)?( ?Rule: .*)?$", "", row) for path, row in rows.items()}
    assert said == {path: text.replace("|", "\\|") for path, text in fields.items()}
    assert len([text for text in fields.values() if text]) > 10
