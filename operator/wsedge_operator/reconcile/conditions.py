"""Conditions in the form of the Kubernetes API conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wsedge_operator.api.meta import instant_of, instant_text
from wsedge_operator.api.websocket_domain import ACCEPTED
from wsedge_operator.reconcile.reasons import Reason

_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class ConditionAnswer:
    """A condition to write: `reason` is a Reason or a word of Kubernetes, `message` a sentence.

    `true` None is the status Unknown. `since` is its lastTransitionTime if that is not the last change of its
    status. `observed` is the generation that it describes if that is not the object's.
    """

    type: str
    true: bool | None
    reason: str
    message: str
    since: datetime | None = None
    observed: int | None = None

    @property
    def status(self) -> str:
        """The status as text: True, False or Unknown."""
        return "Unknown" if self.true is None else str(self.true)


def accepted_with(unknown: Sequence[str], message: str) -> ConditionAnswer:
    """Return the condition `Accepted` of a valid object; `unknown` has the paths of ignored fields."""
    if not unknown:
        return ConditionAnswer(ACCEPTED, True, Reason.ACCEPTED, message)
    named = ", ".join(unknown[:_MOST_NAMED])
    if len(unknown) > _MOST_NAMED:
        named += f" and {len(unknown) - _MOST_NAMED} more"
    ignored = f"this version of the operator does not know these fields and ignores them: {named}"
    return ConditionAnswer(ACCEPTED, True, Reason.UNKNOWN_FIELDS, f"{message}; {ignored}")


def conditions(
    live: Mapping[str, Any], answers: Iterable[ConditionAnswer], now: datetime
) -> tuple[list[dict[str, Any]], list[ConditionAnswer]]:
    """Return the conditions of the object `live` as JSON, and the answers whose status or reason is new.

    `lastTransitionTime` changes only with the status (Kubernetes API conventions), or is `since`.
    """
    before = {entry["type"]: entry for entry in (live.get("status") or {}).get("conditions") or ()}
    generation = live["metadata"].get("generation", 0)
    written, changed = [], []
    for answer in answers:
        old = before.get(answer.type)
        remains = old is not None and old["status"] == answer.status
        turned_at = instant_of(old["lastTransitionTime"]) if old and remains else None
        written.append(
            {
                "type": answer.type,
                "status": answer.status,
                "observedGeneration": generation if answer.observed is None else answer.observed,
                "lastTransitionTime": instant_text(answer.since or turned_at or now),
                "reason": str(answer.reason),  # `explain` writes YAML, whose writer refuses a StrEnum
                "message": answer.message,
            }
        )
        if not remains or (old is not None and old["reason"] != answer.reason):
            changed.append(answer)
    return written, changed
