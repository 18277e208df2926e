"""Bodies of calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from wsedge_operator.kube.client import encoded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    TEXTS | st.booleans() | st.none() | st.integers(-(10**6), 10**6),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS.filter(lambda key: len(key) < 100), inner),
    max_leaves=5,
)


@given(VALUES)
@example("\N{GRINNING FACE}")
@example("a\\ud83d\\ude00")
@example("\x7f \x85 \u2028 \ufeff \uffff")
def test_a_body_is_the_same_as_json_and_as_yaml(value: Any) -> None:
    """The API server reads the body of an apply as YAML, all others as JSON: both read the same value."""
    body = encoded({"value": value})
    assert json.loads(body) == {"value": value}
    assert yaml.safe_load(body) == {"value": value}


@pytest.mark.parametrize("text", ["\ud800", "\ude00\ud83d", "a\udfff"])
def test_half_a_character_is_replaced(text: str) -> None:
    """A relay may answer with half a surrogate pair, which is no text: it does not stop the write."""
    assert set(json.loads(encoded({"value": text}))["value"]) <= {"a", "\ufffd"}
