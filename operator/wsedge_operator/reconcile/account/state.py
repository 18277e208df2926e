"""Whether an account has terms in force: its domains are served only then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wsedge_operator.api.meta import instant_text
from wsedge_operator.billing.activation import Settlement
from wsedge_operator.reconcile.conditions import ConditionAnswer
from wsedge_operator.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class AccountState:
    """Whether terms are in force, the reason and the message for conditions, and when that changes (UTC)."""

    effective: bool
    reason: str
    message: str
    changes_at: datetime | None = None

    @property
    def is_scheduled(self) -> bool:
        """No terms are in force, and the time at which terms take effect is known."""
        return not self.effective and self.changes_at is not None

    def answer(self, condition: str) -> ConditionAnswer:
        """Return the condition of type `condition` with this state."""
        return ConditionAnswer(condition, self.effective, self.reason, self.message)


def state_of(settlement: Settlement) -> AccountState:
    """Return the state of the settled account."""
    account = settlement.account
    current, pending, at = account.current, account.pending, settlement.next_change
    if current is not None:
        message = f"in force since {instant_text(current.start)}: {current.terms.metering}, "
        message += f"settled {current.terms.cycle}"
        if pending is not None and pending.terms is None:
            return AccountState(
                True, Reason.ENDING, f"{message}; ends at {instant_text(pending.effective)}", at
            )
        return AccountState(True, Reason.EFFECTIVE, message, at)
    if pending is not None:
        return AccountState(
            False, Reason.SCHEDULED, f"the BillingPlan takes effect at {instant_text(pending.effective)}", at
        )
    if account.periods:
        ended = account.periods[-1].end
        since = f" at {instant_text(ended)}" if ended is not None else ""
        return AccountState(
            False, Reason.PLAN_ENDED, f"the BillingPlan of this namespace ended{since}; apply one"
        )
    return AccountState(False, Reason.NO_PLAN, "this namespace has no BillingPlan in force; apply one")
