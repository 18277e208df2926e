"""How long all rollouts wait after failures in several accounts.

    going on ──relays of a second, or of a further account fail──▶ held ──the pause is over──▶ going on,
       ▲                                                            ▲                          one at a time
       │                                                            │                             │    │
       └────────────────────────── no account fails any more ───────┼─────────────────────────────┘    │
                                                                    └──the probe fails, too────────────┘

The domains that go on after a pause are probes: each replaces the pods of one domain, whose old relays serve
until the new ones do. A probe that fails begins the next pause, which is twice as long; a rollout that is
complete in an account without any failure makes the next pause short again. So a change that works nowhere
reaches few domains until it is corrected, and one that works is rolled out by itself.

An account pauses the others at most once. So tenants, who can make rollouts of their own fail as often as
they like, hold up an upgrade for no more than the longest pause for each of their accounts, and for the
shortest usually.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

# The longest pause, as a multiple of the shortest: ten minutes become an hour.
_LONGEST: Final = 6


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of the operator's change.

    shortest    pause
    doublings   how often the next pause is twice as long
    accounts    have failed since the change, each once for all
    until       the end of the last pause; None: there was none
    """

    shortest: timedelta
    doublings: int = 0
    accounts: frozenset[str] = frozenset()
    until: datetime | None = None

    @property
    def length(self) -> timedelta:
        """The length of the next pause."""
        return self.shortest * min(1 << self.doublings, _LONGEST)

    def is_held(self, now: datetime) -> bool:
        """Return whether all rollouts wait; a clock that was set back does not prolong that."""
        return self.until is not None and self.until - _LONGEST * self.shortest <= now < self.until

    def failed(self, accounts: Set[str], now: datetime) -> Pause:
        """Return the pause where the relays of exactly these accounts have failed, by the change perhaps."""
        further = accounts - self.accounts
        if not further:
            return self
        known = self.accounts | further
        if len(accounts) == 1:
            return replace(self, accounts=known)
        doublings = min(self.doublings + 1, _LONGEST)
        return replace(self, doublings=doublings, accounts=known, until=now + self.length)

    def completed(self, account: str) -> Pause:
        """Return the pause after a rollout of an account is complete."""
        return self if account in self.accounts else replace(self, doublings=0)
