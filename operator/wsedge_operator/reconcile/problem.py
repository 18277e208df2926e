"""Why a field of a spec cannot be used, or only with a doubt."""

from __future__ import annotations

from dataclasses import dataclass

from wsedge_operator.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """The path of the field, the reason of the condition that reports it, and a sentence."""

    path: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
