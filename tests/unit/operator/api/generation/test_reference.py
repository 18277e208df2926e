"""The page docs/reference.md."""

from __future__ import annotations

from support.operator.schemas import FIELDS
from wsedge_operator.api.generation import reference


def test_reference_has_every_field() -> None:
    """The page names every field of both kinds once per kind."""
    page = reference.reference()
    for path in FIELDS:
        assert f"| `{path.partition('.')[2]}` |" in page
