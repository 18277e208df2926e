"""A fault of a field of a spec."""

from __future__ import annotations

from dataclasses import dataclass

from wsedge_operator.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """The path of the field, the reason for the condition, and a sentence: an error or a warning."""

    path: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
