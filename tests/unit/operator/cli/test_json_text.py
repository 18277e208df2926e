"""JSON of a cluster: bounded levels, and ValueError for all that is not taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wsedge_operator.cli.json_text import MOST_DEPTH, parse


def nested(levels: int, inner: Any = None) -> Any:
    """Return lists and objects in turn, one inside of the other."""
    value = inner
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("value", [1, None, "a", [], {}, [[], {"a": []}], nested(MOST_DEPTH)])
def test_values_pass(value: Any) -> None:
    """Whatever they are, up to the most levels."""
    assert parse(json.dumps(value)) == value
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "x", json.dumps(nested(MOST_DEPTH + 1)), "[" * 900 + "]" * 900, "[" * 100_000, "1" * 5000],
    ids=["nothing", "a start", "a word", "a level more", "hundreds of levels", "no end", "a long number"],
)
def test_others_are_refused(text: str) -> None:
    """Functions that call themselves for each level would end the program."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)
