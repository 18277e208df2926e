"""Conditions in the form of the Kubernetes API conventions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wsedge_operator.api.meta import instant_text


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one question, `type`, about an object: `reason` is a word, `message` a sentence."""

    type: str
    true: bool | None
    reason: str
    message: str

    @property
    def status(self) -> str:
        """True, False or Unknown (None)."""
        return "Unknown" if self.true is None else str(self.true)


def conditions(
    live: Mapping[str, Any], answers: Iterable[Answer], now: datetime
) -> tuple[list[dict[str, Any]], list[Answer]]:
    """Return the conditions of the object `live`, and the answers whose status or reason is new.

    `lastTransitionTime` moves only when the status does.
    """
    before = {entry["type"]: entry for entry in (live.get("status") or {}).get("conditions") or ()}
    written, turned = [], []
    for answer in answers:
        old = before.get(answer.type)
        stays = old is not None and old["status"] == answer.status
        written.append(
            {
                "type": answer.type,
                "status": answer.status,
                "observedGeneration": live["metadata"].get("generation", 0),
                "lastTransitionTime": old["lastTransitionTime"] if old and stays else instant_text(now),
                "reason": answer.reason,
                "message": answer.message,
            }
        )
        if not stays or (old is not None and old["reason"] != answer.reason):
            turned.append(answer)
    return written, turned
