"""The fields of both CRDs, by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsedge_operator.api.generation.crd import KINDS, Kind, definition


def fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field below, with its path."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(f"{path}.{name}", child)
        yield from fields(f"{path}.{name}[]", child.get("items", {}))


def schema_of(kind: Kind) -> dict[str, Any]:
    """Return the kind's schema."""
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


FIELDS = {
    f"{kind.name}{path}": field
    for kind in KINDS
    for part in ("spec", "status")
    for path, field in fields(f".{part}", schema_of(kind)["properties"][part])
}
