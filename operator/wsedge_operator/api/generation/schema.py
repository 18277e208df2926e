"""Convert a pydantic model to a structural schema, the dialect of OpenAPI that a CRD may use.

Structural (Kubernetes, "Custom Resources: structural schema") means: every level has a type, there is no
$ref, and no alternatives but `x-kubernetes-int-or-string`. A field that may be absent is simply not required.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

# Every object has these, and the API server owns their schemas: a CRD may not restrict metadata further.
_SERVER_FIELDS: Final[dict[str, Schema]] = {
    "apiVersion": {"type": "string", "description": "The group and version of this schema."},
    "kind": {"type": "string", "description": "The kind of this object."},
    "metadata": {"type": "object"},
}
# Copied unchanged, in the order of the file.
_KEPT: Final = (
    "description",
    "type",
    "x-kubernetes-int-or-string",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
)
# The default of an absent status. kstatus, by which Helm waits, reports an object without a status as ready,
# and an object whose observedGeneration is not metadata.generation as in progress.
_UNSEEN: Final = {"observedGeneration": -1}
_RULES: Final = "x-kubernetes-validations"
# Converted below, or without a counterpart in a structural schema.
_DROPPED: Final = frozenset({"additionalProperties", "anyOf", "default", "items", "properties", "title"})


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a resource's model.

    Raises ValueError on a construct without a counterpart in a structural schema, instead of dropping a rule.
    """
    document = model.model_json_schema(mode="validation")
    definitions = document.pop("$defs", {})
    parts = document.pop("properties")
    schema = _structural({**document, "required": ["spec"]}, definitions)
    schema["properties"] = {
        **copy.deepcopy(_SERVER_FIELDS),
        "spec": _structural(parts["spec"], definitions),
        "status": {**_without_defaults(_structural(parts["status"], definitions)), "default": _UNSEEN},
    }
    return schema


def _structural(source: Schema, definitions: dict[str, Schema]) -> Schema:
    source = _resolved(source, definitions)
    unknown = [key for key in source if key not in _KEPT and key not in _DROPPED]
    if unknown:
        raise ValueError(f"a structural schema has no {', '.join(unknown)} (in {source.get('title')})")
    schema: Schema = {key: copy.deepcopy(source[key]) for key in _KEPT if key in source}
    if "anyOf" in source and not schema.get("x-kubernetes-int-or-string"):
        raise ValueError(f"a structural schema has no anyOf (in {source.get('title')})")
    if source.get("default") is not None:
        schema["default"] = _without_nulls(source["default"])
    if "properties" in source:
        schema["properties"] = {
            name: _structural(child, definitions) for name, child in source["properties"].items()
        }
    if "items" in source:
        items = _structural(source["items"], definitions)
        # A default that the API server writes into an item of an atomic list changes the whole list: then an
        # unchanged `kubectl apply` is a change, and a second field manager that applies the same manifest
        # gets a conflict. So the schema omits it, and the models have it.
        atomic = schema.get("x-kubernetes-list-type", "atomic") == "atomic"
        schema["items"] = _without_defaults(items) if atomic else items
    if isinstance(source.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(source["additionalProperties"], definitions)
    return schema


def _resolved(source: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema with its reference and its `| None` folded into one level."""
    if "$ref" in source:
        target = definitions[source["$ref"].rpartition("/")[2]]
        beside = {key: value for key, value in source.items() if key != "$ref"}
        return _resolved(_folded(target, beside), definitions)
    options = [option for option in source.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        beside = {key: value for key, value in source.items() if key != "anyOf"}
        return _resolved(_folded(_resolved(options[0], definitions), beside), definitions)
    return source


def _folded(inner: Schema, outer: Schema) -> Schema:
    """Return a type's schema with a field's own keys, and the rules of both."""
    rules = [*inner.get(_RULES, ()), *outer.get(_RULES, ())]
    return {**inner, **outer, **({_RULES: rules} if rules else {})}


def _without_defaults(schema: Schema) -> Schema:
    """Return the schema without defaults at any depth: the models have them, and stored objects do not."""
    bare = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in bare:
        bare["properties"] = {name: _without_defaults(child) for name, child in bare["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(bare.get(key), dict):
            bare[key] = _without_defaults(bare[key])
    return bare


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return value
