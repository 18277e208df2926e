"""JSON of a cluster: whoever may write an object, or answers as a relay, chooses it. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

MOST_DEPTH: Final = 100
"""Levels of lists and objects. An object of the API has about 20; functions that call themselves for each
level, such as json.dumps, stop at about 1,000."""


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text; raises ValueError, also for more than MOST_DEPTH levels."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"more than {MOST_DEPTH} levels") from None
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError(f"more than {MOST_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    """Return the lists and objects that a list or an object has."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in inner if isinstance(one, dict | list)]
