"""The parts of the admin server that need no socket: headers, the field `seconds`, replies."""

from __future__ import annotations

from typing import Final

import pytest

from wsedge_relay.server.admin import Call, drain_seconds, json_reply, text_reply

SECONDS: Final[dict[str, tuple[dict[str, str], float | None]]] = {
    "absent": ({}, None),
    "zero": ({"seconds": "0"}, 0.0),
    "a fraction": ({"seconds": "1.5"}, 1.5),
    "an hour": ({"seconds": "3600"}, 3600.0),
}


@pytest.mark.parametrize(("query", "seconds"), SECONDS.values(), ids=SECONDS)
def test_seconds_of_a_drain(query: dict[str, str], seconds: float | None) -> None:
    """An absent field stands for each domain's own time."""
    assert drain_seconds(query) == seconds


@pytest.mark.parametrize("text", ["", "-1", "3601", "nan", "inf", "ten"])
def test_seconds_that_are_no_length_of_a_drain_are_rejected(text: str) -> None:
    """NaN is outside of every range."""
    with pytest.raises(ValueError, match=r"^The field seconds must be a number from 0 to 3600\.$"):
        drain_seconds({"seconds": text})


def test_a_header_that_occurs_twice_has_no_value() -> None:
    """Names are compared in lower case, and spaces around a value are not part of it."""
    call = Call({}, "127.0.0.1", ("Host: a", "ORIGIN:\t b ", "x: 1", "X: 2"))
    assert [call.header(name) for name in ("host", "origin", "x", "none")] == ["a", "b", None, None]
    assert [call.values(name) for name in ("host", "x", "none")] == [["a"], ["1", "2"], []]


def test_replies_end_with_a_line_feed() -> None:
    """A terminal then shows the prompt on its own line."""
    assert json_reply(200, {"a": 1}).body == b'{"a": 1}\n'
    assert json_reply(200, {}).content_type == "application/json"
    assert text_reply(503, "The relay is draining.").body == b"The relay is draining.\n"
