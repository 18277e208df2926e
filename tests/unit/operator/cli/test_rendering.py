"""Output of `kubectl wsedge`: aligned, bounded, and harmless on a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wsedge_operator.cli import rendering

HOSTILE: Final = {
    "an escape sequence that clears the screen": "\x1b[2J",
    "one of eight bits": "\x9b2J",
    "a title": "\x1b]0;owned\x07",
    "a second line": "a\nb",
    "a line that is overwritten": "bad\rgood",
    "text from right to left": "\u202etxt.exe",
    "a backspace": "a\x08b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_tenants_write_moves_no_cursor(text: str) -> None:
    """Neither in a cell nor in a sentence; programs get it as it was, escaped."""
    shown = rendering.table(("NAME",), [(text,)])
    assert shown.count("\n") == 2
    assert all(line.isprintable() for line in shown.splitlines())
    written = rendering.document({"name": text}, "json")
    assert written.isascii()
    assert "\x1b" not in written
    assert json.loads(written) == {"name": text}
    assert yaml.safe_load(rendering.document({"name": text}, "yaml")) == {"name": text}
    assert "\x1b" not in rendering.document({"name": text}, "yaml")


@given(st.text(max_size=600), st.integers(4, 500))
def test_a_text_is_printable_and_bounded(text: str, most: int) -> None:
    """Whatever it is."""
    shown = rendering.printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    if text.isprintable() and len(text) <= most:
        assert shown == text


def test_a_table_is_aligned() -> None:
    """Without spaces at the ends of lines; an empty cell is a dash."""
    assert rendering.table(("NAME", "N"), [("chat", 12), ("", "")]) == "NAME  N\nchat  12\n-     -\n"


AMOUNTS: Final = {
    0: "0 B",
    999: "999 B",
    999.6: "1.0 kB",
    1000: "1.0 kB",
    99_460: "99.5 kB",
    99_600: "100 kB",
    999_600: "1.0 MB",
    1.5e15: "1.5 PB",
    1e19: "10000 PB",
}


@pytest.mark.parametrize(("number", "text"), AMOUNTS.items())
def test_amount(number: float, text: str) -> None:
    """Units of 1000, with three digits."""
    assert rendering.amount(number) == text
    assert rendering.amount(number, "/s") == f"{text}/s"


SPANS: Final[dict[str, tuple[dict[str, int], str]]] = {
    "nothing": ({}, "0s"),
    "the past of a clock that is wrong": ({"seconds": -5}, "0s"),
    "seconds": ({"seconds": 59}, "59s"),
    "minutes": ({"minutes": 2, "seconds": 3}, "2m3s"),
    "whole hours": ({"hours": 5, "seconds": 3}, "5h"),
    "days": ({"days": 3, "hours": 4, "minutes": 5}, "3d4h"),
}


@pytest.mark.parametrize(("length", "text"), SPANS.values(), ids=SPANS)
def test_span(length: dict[str, int], text: str) -> None:
    """The two largest units, as kubectl shows an age."""
    assert rendering.span(timedelta(**length)) == text


def test_milliseconds() -> None:
    """A round trip that nobody measured is empty."""
    assert [rendering.milliseconds(value) for value in (None, 0.01234)] == ["", "12.3 ms"]


INSTANTS: Final[dict[str, tuple[Any, datetime | None]]] = {
    "of Kubernetes": ("2026-11-22T10:00:00Z", datetime(2026, 11, 22, 10, tzinfo=UTC)),
    "with an offset": ("2026-11-22T12:00:00+02:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
    "without one": ("2026-11-22T10:00:00", None),
    "before the first of UTC": ("0001-01-01T00:00:00+14:00", None),
    "another text": ("soon", None),
    "nothing": (None, None),
}


@pytest.mark.parametrize(("text", "moment"), INSTANTS.values(), ids=INSTANTS)
def test_instant(text: str | None, moment: datetime | None) -> None:
    """A time that someone else wrote is read or left out."""
    assert rendering.instant(text) == moment


ORIGINS: Final = {
    "one port for HTTP and HTTPS": ("10.0.0.1:9000/9000", "10.0.0.1:9000"),
    "two ports": ("origin.example.com:80/443", "origin.example.com:80/443"),
    "of IPv6": ("[2001:db8::1]:80/80", "[2001:db8::1]:80"),
    "no ports": ("origin.example.com", "origin.example.com"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("name", "shown"), ORIGINS.values(), ids=ORIGINS)
def test_an_origin_with_one_port_shows_it_once(name: str, shown: str) -> None:
    """Metrics name both ports of an origin; people know one."""
    assert rendering.origin_name(name) == shown
