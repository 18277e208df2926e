"""How an account stands at an instant, as its domains need to know: may they be served, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wsedge_operator.api.meta import instant_text
from wsedge_operator.billing.activation import Settlement
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether terms are in force, the instant at which that changes, and why not in a word and a sentence."""

    effective: bool
    reason: str
    message: str
    changes_at: datetime | None = None

    @property
    def is_scheduled(self) -> bool:
        """Nothing is in force yet, but it is known when it will be."""
        return not self.effective and self.changes_at is not None

    def answer(self, question: str) -> ConditionAnswer:
        """Return the condition that tells this."""
        return ConditionAnswer(question, self.effective, self.reason, self.message)


def standing_of(settlement: Settlement) -> Standing:
    """Return how the account of a settlement stands."""
    account = settlement.account
    current, pending, at = account.current, account.pending, settlement.next_change
    if current is not None:
        message = f"in force since {instant_text(current.start)}: {current.terms.metering}, "
        message += f"settled {current.terms.cycle}"
        if pending is not None and pending.terms is None:
            return Standing(True, Reason.ENDING, f"{message}; ends at {instant_text(pending.effective)}", at)
        return Standing(True, Reason.EFFECTIVE, message, at)
    if pending is not None:
        return Standing(
            False, Reason.SCHEDULED, f"the BillingPlan takes effect at {instant_text(pending.effective)}", at
        )
    if account.periods:
        ended = account.periods[-1].end
        since = f" at {instant_text(ended)}" if ended is not None else ""
        return Standing(
            False, Reason.PLAN_ENDED, f"the BillingPlan of this namespace ended{since}; apply one"
        )
    return Standing(False, Reason.NO_PLAN, "this namespace has no BillingPlan in force; apply one")
