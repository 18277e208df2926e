"""What decisions about one domain remember of each other, and the orders to its relays. Pure.

The operator keeps a memory until it ends; nothing of it is stored in the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from wsedge_operator.reconcile.conditions import ConditionAnswer


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What the evaluations of one domain remember of each other.

    `since` is the instant from which on the load was observed without a gap, `evaluated` that of the load
    evaluated last. `recommendations` are the numbers that each load asked for, a run of equal ones once, by
    its last instant; `changes` the changes of the number. `answer` is the condition ScalingActive.
    """

    since: datetime
    evaluated: datetime | None = None
    recommendations: tuple[tuple[datetime, int], ...] = ()
    changes: tuple[tuple[datetime, int], ...] = ()
    answer: ConditionAnswer | None = None


@dataclass(frozen=True, slots=True)
class Shed:
    """An order to the relay of a pod: close this many connections, at this rate."""

    pod: Mapping[str, Any]
    order: str
    connections: int
    per_second: float


class ShedFailure(Enum):
    """Why a relay did not accept an order."""

    UNKNOWN = "its release knows no orders to close connections"
    FAILED = "it did not accept the order"


class Phase(Enum):
    """A phase of the rebalancing of one domain; drawn in `domain.rebalance`."""

    IDLE = "idle"
    AWAITING = "awaiting"
    MEASURING = "measuring"


@dataclass(frozen=True, slots=True)
class RebalanceMemory:
    """The phase, and the number of relays that was seen last.

    `orders` counts the orders since the scale-out, `excess` is what the busiest relay had above the mean, as
    a part of it, before the last one; `in_vain` counts those in a row that did not help. A load before
    `not_before` says nothing yet.
    """

    replicas: int
    phase: Phase = Phase.IDLE
    orders: int = 0
    excess: float | None = None
    in_vain: int = 0
    not_before: datetime | None = None

    @property
    def needs_load(self) -> bool:
        """Whether the connections of all relays are to be asked for."""
        return self.phase is Phase.MEASURING


@dataclass(frozen=True, slots=True)
class Memory:
    """What decisions about one domain remember of each other; lost when the operator ends."""

    scaling: ScalingMemory | None = None
    rebalance: RebalanceMemory | None = None

    @property
    def needs_load(self) -> bool:
        """Whether rebalancing needs the connections of all relays."""
        return self.rebalance is not None and self.rebalance.needs_load


NO_MEMORY: Final = Memory()
