"""Write docs/reference.md: `python -m wsedge_operator.api.generation.reference [--check]`, from the root."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.crd import KINDS, Kind, definition
from wsedge_operator.api.generation.schema import Schema
from wsedge_operator.api.generation.writing import run
from wsedge_operator.api.meta import API_VERSION, CATEGORY

PAGE: Final = Path("docs/reference.md")


def reference() -> str:
    """Return the page: every field of both kinds, with its type, bounds, default and rules."""
    lines = [
        "<!-- Generated from operator/wsedge_operator/api by `make generate`; do not edit. -->",
        "# Fields of BillingPlan and WebSocketDomain",
        "",
        f"Both are namespaced kinds of `{API_VERSION}`. `kubectl get {CATEGORY}` lists both, and",
        "`kubectl explain KIND.spec` shows the same text as this page. Any other field is refused.",
    ]
    for kind in KINDS:
        lines += ["", *_section(kind)]
    return "\n".join(lines) + "\n"


def _section(kind: Kind) -> Iterator[str]:
    version = definition(kind)["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {kind.name}"
    yield ""
    yield f"{schema['description']} Short name: `{kind.short}`."
    for rule in schema.get("x-kubernetes-validations", ()):
        yield ""
        yield f"Rule: {rule['message']}."
    if kind.scale:
        yield ""
        yield f"`kubectl scale {kind.short}/NAME --replicas=N` sets `{kind.scale['specReplicasPath'][1:]}`."
    for part in ("spec", "status"):
        yield ""
        yield f"### {kind.name} {part}"
        yield ""
        yield "| Field | Type | Meaning |"
        yield "| --- | --- | --- |"
        yield from _rows(part, schema["properties"][part])


def _rows(path: str, schema: Schema) -> Iterator[str]:
    """Yield a row for every field below `path`."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        below = f"{path}.{name}"
        need = " **Required.**" if name in required else ""
        text = " ".join([field.get("description", "") + need, *_rules(field)])
        yield f"| `{below}` | {_type(field)} | {text.strip().replace('|', chr(92) + '|')} |"
        yield from _rows(below, field)
        if "items" in field:
            yield from _rows(f"{below}[]", field["items"])


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "amount"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    return "time" if field.get("format") == "date-time" else str(field["type"])


def _rules(field: Schema) -> Iterator[str]:
    """Yield the rules only: bounds and defaults are in the descriptions, as `kubectl explain` shows them."""
    for holder in (field, field.get("items", {}), field.get("additionalProperties", {})):
        for rule in holder.get("x-kubernetes-validations", ()):
            yield f"Rule: {rule['message']}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit code."""
    return run(
        {PAGE: reference()},
        description="Writes docs/reference.md from the pydantic models.",
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
