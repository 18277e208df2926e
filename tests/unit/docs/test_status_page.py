"""docs/status.md explains every reason of the operator, and the operator uses no other reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsedge_operator
from wsedge_operator.reconcile import status_page
from wsedge_operator.reconcile.reasons import Explanation, Reason
from wsedge_operator.reconcile.stalling import STALLED_AT_ONCE

ROOT = Path(__file__).parents[3]
PAGE = ROOT / status_page.PAGE
PACKAGE = Path(wsedge_operator.__path__[0])
# The types of conditions, whose names are reasons too.
TYPES = PACKAGE / "api"


def literals() -> Iterator[tuple[str, str]]:
    """Yield each string of an operator's Python file that equals a reason, with its place."""
    words = {str(reason) for reason in Reason}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "reasons.py" or TYPES in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in words:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", str(node.value)


# The positions of the argument that is a reason.
REASON = {"ConditionAnswer": 2, "Problem": 1, "AccountState": 1, "EventNote": 2, "_refuse": 0, "_warn": 0}


def reason_arguments() -> Iterator[tuple[str, ast.expr]]:
    """Yield each argument that is the reason of a condition or an Event, with its place."""
    # The package `kube` sets no reason, and has a function of the same name as one that does.
    for path in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "kube").rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in REASON and len(call.args) > REASON[name]:
                yield f"{path.relative_to(PACKAGE)}:{call.lineno}", call.args[REASON[name]]


def test_no_reason_is_a_literal() -> None:
    """The operator uses members of the enumeration wherever it sets or compares a reason."""
    assert list(literals()) == []
    found = list(reason_arguments())
    assert len(found) > 40
    assert [place for place, argument in found if isinstance(argument, ast.Constant | ast.JoinedStr)] == []


def test_every_reason_is_used_and_explained() -> None:
    """Each member is used, and has a row with its meaning in a table of the page."""
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "reasons.py")
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in text] == []
    rows = [row for table in status_page.TABLES.values() for row in table]
    assert set(Reason) == {reason for row in rows for reason in row.reasons}
    assert all(row.meaning and not row.meaning.endswith(".") for row in rows)


@pytest.mark.parametrize("table", status_page.TABLES.values(), ids=status_page.TABLES.keys())
def test_a_table_explains_a_reason_once(table: tuple[Explanation, ...]) -> None:
    """No reason has two rows of one table."""
    reasons = [reason for row in table for reason in row.reasons]
    assert len(reasons) == len(set(reasons))


def test_the_page_is_current() -> None:
    """The committed tables equal the generated ones."""
    assert status_page.main(["--check", f"--root={ROOT}"], PAGE) == 0


def test_the_page_says_what_fails_at_once() -> None:
    """The sentence about kstatus names exactly the reasons that stall an object at once."""
    sentence = next(line for line in PAGE.read_text().splitlines() if line.startswith("| Failed"))
    named = sentence.partition("at once for ")[2].partition(";")[0]
    assert {word for word in Reason if f"`{word}`" in named} == STALLED_AT_ONCE


def test_a_page_without_markers_is_refused() -> None:
    """A missing marker is an error, not a table that stays stale."""
    page = PAGE.read_text()
    with pytest.raises(ValueError, match="markers"):
        status_page.with_tables(page.replace("<!-- reasons: Events;", "<!-- reasons of Events;"))
