"""What both kinds share: object metadata, conditions, instants, and rules that say their reason.

A rule is stated once here and used twice: the CRD carries it as CEL, so the API server refuses a bad
manifest before it is stored, and the models apply it to files that never met an API server. Patterns go
into CEL instead of OpenAPI's `pattern`, whose refusal shows a regular expression and no reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidationError,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

GROUP: Final = "wsedge.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "wsedge.io/v1alpha1"
CATEGORY: Final = "wsedge"


def instant_text(instant: datetime) -> str:
    """Return `instant` (aware) as Kubernetes writes a time: UTC, whole seconds, ending in Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Instant = Annotated[AwareDatetime, PlainSerializer(instant_text, return_type=str, when_used="json")]


OBSERVED_TEXT: Final = (
    "The generation of the spec that this status speaks of; -1 until the operator has seen the object."
)


def cel(
    rule: str,
    message: str,
    *,
    field: str | None = None,
    expression: str | None = None,
    required: bool = False,
) -> dict[str, str]:
    """Return one entry of `x-kubernetes-validations`.

    `field` is the path below the object that the refusal names, `expression` a CEL text that builds the
    message from the object, `required` says that the field is missing rather than wrong.
    """
    entry = {"rule": rule, "message": message}
    if expression is not None:
        entry["messageExpression"] = expression
    if field is not None:
        entry["fieldPath"] = f".{field}"
        entry["reason"] = "FieldValueRequired" if required else "FieldValueInvalid"
    return entry


def validations(*entries: Mapping[str, str]) -> dict[str, Any]:
    """Return what a model or field adds to its JSON Schema to carry CEL rules."""
    return {"x-kubernetes-validations": [dict(entry) for entry in entries]}


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text matches `pattern` (in the common part of Python's and RE2's syntax), else `message`.

    `rule` replaces the CEL made from the pattern, where that would be too costly an estimate, or where the
    pattern needs what RE2 does not have.
    """

    pattern: str
    message: str
    rule: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the text after its type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Carry the rule as CEL."""
        quoted = self.pattern.replace("\\", "\\\\")
        rule = self.rule or f"self.matches('^(?:{quoted})$')"
        return _with_rules(handler(schema), cel(rule, self.message))

    def _check(self, value: str | int) -> str | int:
        if re.fullmatch(self.pattern, str(value)) is None:
            raise ValueError(self.message)
        return value


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule on a field, beside those that its type brings."""

    rule: str
    message: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Carry the rule as CEL."""
        return _with_rules(handler(schema), cel(self.rule, self.message))


def _with_rules(schema: dict[str, Any], *entries: dict[str, str]) -> dict[str, Any]:
    return {**schema, **validations(*schema.get("x-kubernetes-validations", ()), *entries)}


SecretName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Matches(
        r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
        "give the name of a Secret in this namespace: lower case letters, digits, dashes and dots",
    ),
]


class SpecPart(BaseModel):
    """Base of what users write: immutable.

    Unknown fields are ignored here and named by `reading`: another version of the CustomResourceDefinition
    may bring some into every stored object, by their defaults.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


class Strict(BaseModel):
    """Base of what this version alone writes: immutable, and damaged if it has an unknown field."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Lenient(BaseModel):
    """Base of what machines write: immutable, unknown fields are left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def refusals(error: ValidationError) -> list[str]:
    """Return why a manifest was refused, a line per field: `spec.origins[0].host: give a name …`."""
    lines = []
    for part in error.errors(include_url=False):
        path = path_of(part["loc"])
        why = part["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {why}" if path else why)
    return lines


def path_of(steps: Iterable[int | str]) -> str:
    """Return a field's path as Kubernetes writes it: `spec.origins[0].host`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)[1:]


class ManagedFields(Lenient):
    """Which fields were written when; the only trace that the API server keeps of an edit's time."""

    subresource: str = ""
    time: Instant | None = None
    fieldsV1: dict[str, Any] = {}


class ObjectMeta(Lenient):
    """The metadata that the operator reads. An object from a file has no uid, generation or times yet."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    creationTimestamp: Instant | None = None
    deletionTimestamp: Instant | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    managedFields: tuple[ManagedFields, ...] = ()


class ConditionStatus(StrEnum):
    """The three answers of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Lenient):
    """One condition, in the form that Kubernetes tools read."""

    type: Annotated[str, Field(min_length=1, max_length=316, description="What is asked, for example Ready.")]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    observedGeneration: Annotated[
        int | None, Field(ge=0, description="The generation of the object that this answer is about.")
    ] = None
    lastTransitionTime: Annotated[Instant, Field(description="When the status last changed.")]
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, description="Why, in one word that a program can test.")
    ]
    message: Annotated[
        str, Field(max_length=32768, description="Why, and what to do, in words for a person.")
    ]


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        description="The answers to: is it accepted, is it in force, is it ready, and why not.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


class Resource(Lenient):
    """Base of both kinds."""

    apiVersion: Literal["wsedge.io/v1alpha1"] = API_VERSION
    metadata: ObjectMeta
