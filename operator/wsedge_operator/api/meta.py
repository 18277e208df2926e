"""Parts of both kinds: object metadata, conditions, instants, and rules whose refusal gives the reason.

A rule has two forms beside each other. The CRD has it as CEL, by which the API server refuses a bad manifest
before it is stored; the models have it in Python, for manifests in files. Patterns become CEL instead of
OpenAPI's `pattern`, which refuses with the regular expression and no reason.
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
# The version of this release: `make generate` writes it from pyproject.toml.
RELEASE: Final = "0.1.0"
# On the CRDs: by it the API server tells an older definition from a newer one (docs/upgrades.md).
RELEASE_ANNOTATION: Final = "wsedge.io/release"


def instant_text(instant: datetime) -> str:
    """Return `instant` (aware) as Kubernetes writes a time: UTC, whole seconds, ending in Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instant_of(text: object) -> datetime | None:
    """Return the instant (aware) in a stored object, None when it is not one of this age.

    Whoever may write a Lease or a status chooses it. The API server accepts times that Python does not read
    (the year 0, `t` for `T`), and times with which a sum or another offset overflows (the year 9999).
    """
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant if instant.tzinfo is not None and 1970 <= instant.year < 9000 else None


Instant = Annotated[AwareDatetime, PlainSerializer(instant_text, return_type=str, when_used="json")]


OBSERVED_TEXT: Final = (
    "The generation of the spec that this status describes; -1 until the operator has reconciled the object."
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

    `field` is the path below the object that the refusal names, `expression` is CEL that builds the message
    from the object, `required` means that the field is missing and not wrong.
    """
    entry = {"rule": rule, "message": message}
    if expression is not None:
        entry["messageExpression"] = expression
    if field is not None:
        entry["fieldPath"] = f".{field}"
        entry["reason"] = "FieldValueRequired" if required else "FieldValueInvalid"
    return entry


def validations(*entries: Mapping[str, str]) -> dict[str, Any]:
    """Return the addition to the JSON Schema of a model or field that has these CEL rules."""
    return {"x-kubernetes-validations": [dict(entry) for entry in entries]}


@dataclass(frozen=True, slots=True)
class Matches:
    """An annotation: the whole text matches `pattern`, or is refused with `message`.

    The pattern is in the common subset of Python's and RE2's syntax. `rule` replaces the CEL made from it
    where the API server's cost estimate would refuse that, or where the pattern has what RE2 lacks
    (lookahead).
    """

    pattern: str
    message: str
    rule: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the type's schema, with the check of the text behind it."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the type's JSON Schema with the rule as CEL."""
        quoted = self.pattern.replace("\\", "\\\\")
        rule = self.rule or f"self.matches('^(?:{quoted})$')"
        return _with_rules(handler(schema), cel(rule, self.message))

    def _check(self, value: str | int) -> str | int:
        if re.fullmatch(self.pattern, str(value)) is None:
            raise ValueError(self.message)
        return value


@dataclass(frozen=True, slots=True)
class Rule:
    """An annotation: one more CEL rule on a field, beside the rules of its type."""

    rule: str
    message: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the type's JSON Schema with the rule."""
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
    """Base of the parts of a spec, which users write: immutable.

    Unknown fields are ignored here, and `reading` names them: the defaults of another version of the
    CustomResourceDefinition may put some into every stored object.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


class Strict(BaseModel):
    """Base of data that only this version writes: immutable; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Lenient(BaseModel):
    """Base of data that the API server and controllers write: immutable; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def refusals(error: ValidationError) -> list[str]:
    """Return the reasons of a refusal, a line per field: `spec.origins[0].host: give a name …`."""
    lines = []
    for part in error.errors(include_url=False):
        path = path_of(part["loc"])
        why = part["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {why}" if path else why)
    return lines


def path_of(steps: Iterable[int | str]) -> str:
    """Return the path of a field in Kubernetes' notation: `spec.origins[0].host`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)[1:]


class ManagedFields(Lenient):
    """The fields that a manager wrote, and when: the API server stores the time of an edit nowhere else."""

    subresource: str = ""
    time: Instant | None = None
    fieldsV1: dict[str, Any] = {}


class ObjectMeta(Lenient):
    """The metadata that the operator reads. An object in a file has no uid, generation or times."""

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
    """The three values of a condition's status."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Lenient):
    """One condition, in the form and with the bounds of metav1.Condition."""

    type: Annotated[
        str, Field(min_length=1, max_length=316, description="The type of the condition, for example Ready.")
    ]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    observedGeneration: Annotated[
        int | None, Field(ge=0, description="The generation of the object that this condition describes.")
    ] = None
    lastTransitionTime: Annotated[Instant, Field(description="The instant at which the status last changed.")]
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, description="The cause, in one word for programs.")
    ]
    message: Annotated[
        str, Field(max_length=32768, description="The cause, and what to do, in sentences for people.")
    ]


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        description="Whether the object is accepted, in force and ready, and the reason if it is not.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


class Resource(Lenient):
    """Base of both kinds."""

    apiVersion: Literal["wsedge.io/v1alpha1"] = API_VERSION
    metadata: ObjectMeta
