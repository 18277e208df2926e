"""A billing story: a user's edits of a namespace's plans, and the times at which the operator reconciles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from wsedge_operator.api.billing_plan import BillingCycle, MeteringMethod
from wsedge_operator.billing.activation import Account, Claim, Settlement, Terms, settle

TRAFFIC_DAILY = Terms(BillingCycle.DAILY, MeteringMethod.TRAFFIC, "Asia/Shanghai")
PEAK_DAILY = Terms(BillingCycle.DAILY, MeteringMethod.DAILY_PEAK, "Asia/Shanghai")
TRAFFIC_MONTHLY = Terms(BillingCycle.MONTHLY, MeteringMethod.TRAFFIC, "Asia/Shanghai")
MONTH_95 = Terms(BillingCycle.MONTHLY, MeteringMethod.MONTH_95, "Asia/Shanghai")


def at(text: str) -> datetime:
    """Return an instant, written as `2026-11-22 10:00+08:00`."""
    instant = datetime.fromisoformat(text)
    assert instant.tzinfo is not None
    return instant


@dataclass
class Story:
    """The plans as the API server stores them, and the account's record."""

    account: Account = field(default_factory=Account)
    claims: dict[str, Claim] = field(default_factory=dict)
    settlements: list[Settlement] = field(default_factory=list)

    def creates(
        self, when: datetime, terms: Terms | None, *, name: str = "plan", existing: BillingCycle | None = None
    ) -> None:
        """Apply a new plan."""
        uid = f"{name}-{when.timestamp():.0f}"
        self.claims[name] = Claim(name, uid, when, terms, existing=existing, edited=when)

    def edits(
        self,
        when: datetime,
        terms: Terms | None,
        *,
        name: str = "plan",
        existing: BillingCycle | None = None,
        seen: bool = True,
    ) -> None:
        """Edit a plan; with `seen` False the API server stores no time of the edit."""
        old = self.claims[name]
        edited = when if seen else old.edited
        self.claims[name] = replace(
            old, terms=terms, existing=existing, generation=old.generation + 1, edited=edited
        )

    def deletes(self, *, name: str = "plan") -> None:
        """Delete a plan; nothing of it remains."""
        del self.claims[name]

    def settled_at(self, now: datetime) -> Account:
        """Reconcile, and record the result."""
        self.settlements.append(settle(self.account, tuple(self.claims.values()), now))
        self.account = self.settlements[-1].account
        return self.account
