"""Cells of the CSV."""

from __future__ import annotations

import pytest

from wsedge_statistics.statements.values import safe_cell

CELLS = {
    "a formula": ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
    "a sum": ("+1+1", "'+1+1"),
    "a difference": ("-1+1", "'-1+1"),
    "a function of an old spreadsheet": ("@SUM(A1)", "'@SUM(A1)"),
    "a tab before a formula": ("\t=1", "'\t=1"),
    "a line break before a formula": ("\r=1", "'\r=1"),
    "a command of an old spreadsheet": ("|calc", "'|calc"),
    "a word": ("CN", "CN"),
    "a number": ("37500000", "37500000"),
    "an instant": ("2026-06-01T00:00:00Z", "2026-06-01T00:00:00Z"),
}


@pytest.mark.parametrize(("text", "cell"), CELLS.values(), ids=CELLS.keys())
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    """A spreadsheet shows the text and computes nothing."""
    assert safe_cell(text) == cell
