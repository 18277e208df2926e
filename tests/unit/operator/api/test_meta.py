"""Instants, paths, rules and conditions, as both kinds have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from wsedge_operator.api.meta import (
    Condition,
    ConditionStatus,
    Matches,
    ObjectMeta,
    Rule,
    Strict,
    cel,
    instant_text,
    path_of,
    refusals,
    validations,
)

INSTANTS: dict[str, tuple[datetime, str]] = {
    "UTC": (datetime(2026, 11, 28, 17, 0, 5, tzinfo=UTC), "2026-11-28T17:00:05Z"),
    "another zone is converted": (
        datetime(2026, 11, 29, 1, 0, tzinfo=timezone(timedelta(hours=8))),
        "2026-11-28T17:00:00Z",
    ),
    "parts of a second are dropped": (
        datetime(2026, 11, 28, 17, 0, 5, 999999, tzinfo=UTC),
        "2026-11-28T17:00:05Z",
    ),
}


@pytest.mark.parametrize(("instant", "text"), INSTANTS.values(), ids=INSTANTS.keys())
def test_the_text_of_an_instant(instant: datetime, text: str) -> None:
    """An instant has metav1.Time's form: UTC, whole seconds, Z."""
    assert instant_text(instant) == text


def test_a_condition_in_json() -> None:
    """A condition's JSON has the fields of metav1.Condition, and its time in Kubernetes' form."""
    changed = datetime(2026, 11, 29, 1, 0, tzinfo=timezone(timedelta(hours=8)))
    condition = Condition(
        type="Ready",
        status=ConditionStatus.TRUE,
        observedGeneration=3,
        lastTransitionTime=changed,
        reason="Serving",
        message="2 of 2 relays are ready",
    )
    assert condition.model_dump(mode="json") == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-28T17:00:00Z",
        "reason": "Serving",
        "message": "2 of 2 relays are ready",
    }


def test_metadata_of_an_object_in_a_file() -> None:
    """A manifest has a name at least; the API server sets the rest."""
    assert ObjectMeta.model_validate({"name": "chat", "selfLink": "/old"}) == ObjectMeta(name="chat")
    with pytest.raises(ValidationError):
        ObjectMeta.model_validate({})


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        (("spec", "origins", 0, "host"), "spec.origins[0].host"),
        (("spec",), "spec"),
        ((), ""),
    ],
    ids=["with an index", "one step", "the object itself"],
)
def test_the_path_of_a_field(steps: tuple[int | str, ...], path: str) -> None:
    """A path has dots before names and brackets around indexes."""
    assert path_of(steps) == path


def test_entries_of_a_schema() -> None:
    """A rule names its field, its reason and, where it has one, the expression of its message."""
    assert cel("self > 0", "be positive") == {"rule": "self > 0", "message": "be positive"}
    assert cel("has(self.a)", "set a", field="a", required=True) == {
        "rule": "has(self.a)",
        "message": "set a",
        "fieldPath": ".a",
        "reason": "FieldValueRequired",
    }
    assert cel("self.a != 'b'", "not b", field="a", expression="self.a + '!'") == {
        "rule": "self.a != 'b'",
        "message": "not b",
        "messageExpression": "self.a + '!'",
        "fieldPath": ".a",
        "reason": "FieldValueInvalid",
    }
    assert validations() == {"x-kubernetes-validations": []}


class Sample(Strict):
    """A model with both annotations."""

    word: Annotated[str, Matches(r"[a-z\d]+", "give a word"), Rule("self != oldSelf", "never changes")]
    plain: Annotated[str, Matches(r".*", "any", rule="true")] = ""


class Pair(BaseModel):
    """A model that refuses as a whole."""

    samples: tuple[Sample, ...]


def test_rules_of_a_field_are_collected() -> None:
    """Annotations add their rules in order; backslashes of a pattern are quoted for CEL's text."""
    schema = Sample.model_json_schema()["properties"]
    assert schema["word"]["x-kubernetes-validations"] == [
        {"rule": r"self.matches('^(?:[a-z\\d]+)$')", "message": "give a word"},
        {"rule": "self != oldSelf", "message": "never changes"},
    ]
    assert schema["plain"]["x-kubernetes-validations"] == [{"rule": "true", "message": "any"}]


def test_refusals_name_the_field() -> None:
    """Each line has the path and the rule's message; a refusal of the whole has no path."""
    with pytest.raises(ValidationError) as failed:
        Pair.model_validate({"samples": [{"word": "ok"}, {"word": "NO", "more": 1}]})
    assert refusals(failed.value) == [
        "samples[1].word: give a word",
        "samples[1].more: Extra inputs are not permitted",
    ]
    with pytest.raises(ValidationError) as whole:
        Pair.model_validate("no object")
    (line,) = refusals(whole.value)
    assert line.startswith("Input should be a valid dictionary")
