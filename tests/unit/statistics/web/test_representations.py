"""Forms of an answer: CSV that is safe to open, numbers as text, and ETags."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_statistics.web.representations import cell_of, is_known, lines_of, wants_csv, with_text

CELLS: dict[str, tuple[Any, str, str]] = {
    "nothing": (None, "", ""),
    "a flag": (True, "true", "true"),
    "no flag": (False, "false", "false"),
    "a small number": (7, "7", "'7"),
    "a number above 2^53": (2**60 + 1, "1152921504606846977", "'1152921504606846977"),
    "an instant": (datetime(2026, 6, 15, 12, tzinfo=UTC), "2026-06-15T12:00:00Z", "2026-06-15T12:00:00Z"),
    "a fraction": (2.5, "2.5", "2.5"),
    "a name": ("shanghai", "shanghai", "shanghai"),
    "a name like a number": ("1E5", "1E5", "'1E5"),
    "a formula": ("=1+1", "'=1+1", "'=1+1"),
    "a plus": ("+1", "'+1", "'+1"),
    "a minus": ("-1", "'-1", "'-1"),
    "a command": ("@SUM(A1)", "'@SUM(A1)", "'@SUM(A1)"),
    "a tab": ("\t=1", "'\t=1", "'\t=1"),
    "a return": ("\r=1", "'\r=1", "'\r=1"),
    "a formula behind spaces": (" \u00a0=1", "' \u00a0=1", "' \u00a0=1"),
    "a full-width formula": ("\uff1d1", "'\uff1d1", "'\uff1d1"),
}


@pytest.mark.parametrize(("cell", "plain", "text"), CELLS.values(), ids=CELLS.keys())
def test_no_cell_is_a_formula(cell: Any, plain: str, text: str) -> None:
    """An apostrophe marks text; with numbers=text integers and what looks like a number are text too."""
    assert (cell_of(cell, as_text=False), cell_of(cell, as_text=True)) == (plain, text)


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.integers() | st.none()), max_size=1200))
def test_a_table_is_read_back_as_it_was(rows: list[tuple[str, int | None]]) -> None:
    """RFC 4180: whatever is in a cell, and beyond the rows of one chunk; only the mark is added."""
    text = "".join(lines_of([("name", "n"), *rows], as_text=False))
    assert text.endswith("\r\n")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [
        ["name", "n"],
        *([cell_of(a, as_text=False), "" if b is None else str(b)] for a, b in rows),
    ]
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for row in read for cell in row[:1])


def test_long_tables_come_in_pieces() -> None:
    """Each has some hundred rows, and none is missing."""
    pieces = list(lines_of(((number,) for number in range(1234)), as_text=False))
    assert len(pieces) == 3
    assert "".join(pieces).split() == [str(number) for number in range(1234)]


ACCEPTED: dict[str, tuple[str | None, str | None, bool]] = {
    "no header": (None, None, False),
    "anything": ("*/*", None, False),
    "a table": ("text/csv", None, True),
    "a table rather than anything": ("text/csv, */*;q=0.5", None, True),
    "anything, a table at a pinch": ("application/json, text/csv;q=0.5", None, False),
    "any application": ("application/*, text/csv", None, False),
    "a table with a character set": ("text/csv; charset=utf-8;q=0.9, application/json;q=0.8", None, True),
    "no table": ("text/csv;q=0", None, False),
    "a browser": ("text/html,application/xhtml+xml,*/*;q=0.8", None, False),
    "nonsense": (";;;,,=", None, False),
    "the parameter counts first": ("text/csv", "json", False),
    "the parameter asks for a table": ("application/json", "csv", True),
}


@pytest.mark.parametrize(("accept", "asked", "is_table"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_the_client_chooses_the_form(accept: str | None, asked: str | None, is_table: bool) -> None:
    """By the parameter, else by Accept; JSON in doubt."""
    headers = {} if accept is None else {"accept": accept}
    request: Any = SimpleNamespace(headers=headers)
    assert wants_csv(request, asked) is is_table


KNOWN: dict[str, tuple[str | None, bool]] = {
    "no header": (None, False),
    "the tag": ('"abc"', True),
    "the tag, weak": ('W/"abc"', True),
    "one of several": ('"x,y", W/"z", "abc"', True),
    "another": ('"abcd"', False),
    "the tag without quotes": ("abc", False),
    "any": (" * ", True),
}


@pytest.mark.parametrize(("header", "known"), KNOWN.values(), ids=KNOWN.keys())
def test_if_none_match_is_compared(header: str | None, known: bool) -> None:
    """Weakly, as RFC 9110 says for GET."""
    assert is_known(header, '"abc"') is known


def test_every_integer_becomes_text() -> None:
    """And nothing else."""
    content = {"a": [1, {"b": 2**60, "c": True, "d": None}], "e": 1.5, "f": "x"}
    assert with_text(content) == {"a": ["1", {"b": str(2**60), "c": True, "d": None}], "e": 1.5, "f": "x"}
