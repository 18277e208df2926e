"""Log lines of relays: which pass, and how they are shown on a terminal and to programs."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from wsedge_operator.cli.logs import Filter, shown

LINE: Final[dict[str, Any]] = {
    "timestamp": "2026-11-22T10:00:00Z",
    "level": "warning",
    "event": "origin became unhealthy",
    "client": "192.0.2.7",
    "connection": 17,
    "path": "/a\x1b[2J",
}
FILTERS: Final[dict[str, tuple[Filter, bool]]] = {
    "no filter": (Filter(), True),
    "its level": (Filter(level="warning"), True),
    "a lower level": (Filter(level="info"), True),
    "a higher level": (Filter(level="error"), False),
    "a part of its event": (Filter(event="unhealthy"), True),
    "another event": (Filter(event="drain"), False),
    "the start of its client": (Filter(client="192.0.2."), True),
    "another client": (Filter(client="2.7"), False),
    "its connection": (Filter(connection="17"), True),
    "the start of its connection": (Filter(connection="1"), False),
    "a text in it": (Filter(text="origin"), True),
    "a text that is not": (Filter(text="nothing"), False),
    "one of two": (Filter(event="unhealthy", client="10."), False),
}


@pytest.mark.parametrize(("wanted", "passes"), FILTERS.values(), ids=FILTERS)
def test_filter(wanted: Filter, passes: bool) -> None:
    """All conditions must be true."""
    assert wanted.passes(json.dumps(LINE), LINE) is passes


def test_a_line_without_fields_passes_by_its_text_alone() -> None:
    """A traceback has no level; an unknown level is none."""
    assert Filter(text="x").passes("x y", None)
    assert not Filter(level="info").passes("x y", None)
    assert not Filter(level="info").passes("", {"level": "odd"})


def test_each_line_names_its_relay_and_moves_no_cursor() -> None:
    """As JSON the fields are as they were, and a text is a field."""
    lines = [
        f"[pod/chat-relay-a/relay] {json.dumps(LINE)}\n",
        "[pod/chat-relay-b/relay] Traceback \x1b[2J\n",
        '[pod/chat-relay-b/relay] ["no", "object"]\n',
    ]
    first, second, third = shown(lines, Filter(), "table")
    assert first.startswith("chat-relay-a  2026-11-22T10:00:00Z  warning  origin became unhealthy  client=")
    assert second == "chat-relay-b  Traceback ?[2J\n"
    assert third == 'chat-relay-b  ["no", "object"]\n'
    assert all(line[:-1].isprintable() for line in (first, second, third))
    documents = [json.loads(line) for line in shown(lines, Filter(), "json")]
    assert documents[0] == {"relay": "chat-relay-a", **LINE}
    assert documents[1] == {"relay": "chat-relay-b", "text": "Traceback \x1b[2J"}
    assert [*shown(lines, Filter(event="drain"), "json")] == []


def test_a_line_cannot_name_another_relay() -> None:
    """A pod writes what it likes; the relay of a line is the pod that wrote it."""
    (line,) = shown(['[pod/chat-relay-a/relay] {"relay": "chat-relay-b", "event": "x"}\n'], Filter(), "json")
    assert json.loads(line) == {"relay": "chat-relay-a", "event": "x"}


def test_a_line_of_many_levels_is_a_text() -> None:
    """JSON of a hundred thousand lists ends nothing."""
    deep = "[" * 100_000
    (line,) = shown([f"[pod/chat-relay-a/relay] {deep}\n"], Filter(), "json")
    assert json.loads(line) == {"relay": "chat-relay-a", "text": deep}
