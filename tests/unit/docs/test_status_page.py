"""docs/status.md explains every reason that the operator gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import wsedge_operator.reconcile

PAGE = Path(__file__).parents[3] / "docs" / "status.md"
# Which argument of a call is the reason of a condition.
REASON = {"Answer": 2, "Problem": 1, "Standing": 1, "_refuse": 0, "_warn": 0}


def reasons() -> Iterator[str]:
    for path in Path(wsedge_operator.reconcile.__path__[0]).rglob("*.py"):
        tree = ast.parse(path.read_text())
        constants = {
            node.target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name in REASON and len(call.args) > REASON[name]:
                reason = call.args[REASON[name]]
                value = constants.get(reason.id) if isinstance(reason, ast.Name) else None
                value = reason.value if isinstance(reason, ast.Constant) else value
                if isinstance(value, str):
                    yield value


def test_every_reason_is_explained() -> None:
    """A reason that a person reads in a condition is in the page."""
    found, page = set(reasons()), PAGE.read_text()
    assert {"DomainConflict", "SecretNotFound", "NoPlan", "AccountDamaged", "StatisticsNotFound"} <= found
    assert [reason for reason in sorted(found) if f"`{reason}`" not in page] == []
