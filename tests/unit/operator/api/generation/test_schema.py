"""Structural schemas of models."""

from __future__ import annotations

from typing import Literal

import pytest
import yaml
from pydantic import BaseModel

from support.operator.schemas import FIELDS, schema_of
from wsedge_operator.api.generation.crd import KINDS, Kind
from wsedge_operator.api.generation.schema import structural_schema


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_structural(kind: Kind) -> None:
    """Every level has a type or takes an amount; no construct is one that a structural schema forbids."""
    text = yaml.safe_dump(schema_of(kind))
    assert not any(
        word in text for word in ("$ref", "anyOf", "allOf", "nullable", "additionalProperties: fal")
    )
    assert all("type" in field or "x-kubernetes-int-or-string" in field for field in FIELDS.values())


class WithChoice(BaseModel):
    """A model that a structural schema has no form for."""

    spec: dict[str, Literal["a"]] | list[str] = {}
    status: str = ""


class WithConst(BaseModel):
    """A second one, with a constant."""

    spec: Literal["a"]
    status: str = ""


@pytest.mark.parametrize(("model", "word"), [(WithChoice, "anyOf"), (WithConst, "const")])
def test_an_unsupported_construct_is_an_error(model: type[BaseModel], word: str) -> None:
    """The generator refuses a construct that it would have to drop."""
    with pytest.raises(ValueError, match=f"a structural schema has no {word}"):
        structural_schema(model)
