"""Parse stored objects of any version.

The CustomResourceDefinition in a cluster may be newer than this operator (it is upgraded first) or older
(after a rollback). So unknown fields are ignored and named. A value that cannot be parsed, such as an enum
value of a newer version, is an UnreadableError: the caller then leaves all children unchanged, because
withdrawing them for an upgrade in progress would close connections.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from wsedge_operator.api.meta import Resource, path_of, refusals
from wsedge_operator.errors import UnreadableError

_Kind = TypeVar("_Kind", bound=Resource)


def read(model: type[_Kind], live: Mapping[str, Any]) -> _Kind:
    """Return a stored object as a model, with an empty status: the stored one may be of another version.

    Raises UnreadableError with the reason for each field.
    """
    written = {name: part for name, part in live.items() if name != "status"}
    try:
        return model.model_validate(written)
    except ValidationError as error:
        raise UnreadableError(tuple(refusals(error))) from None


def unknown_fields(model: type[Resource], live: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the fields of an object's spec that `model` does not have."""
    spec_model: Any = model.model_fields["spec"].annotation
    try:
        spec_model.model_validate(live.get("spec"), extra="forbid")
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return tuple(path_of(("spec", *f["loc"])) for f in faults if f["type"] == "extra_forbidden")
    return ()


def refused(model: type[Resource], manifest: Mapping[str, Any]) -> list[str]:
    """Return why the API server would refuse a manifest, a line per field; empty when it would accept it."""
    lines = []
    try:
        model.model_validate_json(json.dumps(manifest), strict=True)
    except ValidationError as error:
        lines = refusals(error)
    return [*lines, *(f"{path}: unknown field" for path in unknown_fields(model, manifest))]


def part_at(live: Any, *path: str) -> Any:
    """Return the value at a path below unchecked JSON; None when there is none."""
    for step in path:
        if not isinstance(live, Mapping):
            return None
        live = live.get(step)
    return live
