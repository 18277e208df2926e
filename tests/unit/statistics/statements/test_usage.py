"""What the ledger has of a period."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from support.statistics.application import MemoryLedger
from support.statistics.billing import in_force, period
from support.statistics.build import instant, seconds
from support.statistics.desk import Desk
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.errors import LedgerBusyError
from wsedge_statistics.ledger import LateCounts
from wsedge_statistics.statements.usage import FURTHER_AREAS, MOST_AREAS, read_usage

JUNE = period("2026-06", in_force("2026-01-01T00:00:00Z"))
AT = "2026-06-03T00:00:00Z"


def test_areas_beyond_the_bound_are_added_up() -> None:
    """A tenant's relays name thousands of areas: the statement has a bounded number, and every byte."""
    desk = Desk()
    for number in range(MOST_AREAS + 20):
        desk.count(AT, 1, area=f"A{number:05}")
    desk.now = instant("2026-06-04T00:00:00Z")
    desk.count(AT, 4, area="A99999")
    usage = read_usage(desk.ledger, "team-a", JUNE, Rules(), JUNE.end)
    assert len(usage.values) == MOST_AREAS + 1
    assert sum(sum(slots.values()) for slots in usage.values.values()) == MOST_AREAS + 24
    assert [(late.area, late.bytes) for late in usage.late] == [(FURTHER_AREAS, 4)]


@pytest.mark.parametrize(("direction", "total"), [("sent", 5), ("both", 12)])
def test_the_direction_decides_which_bytes_count(direction: str, total: int) -> None:
    """Bytes sent to clients, or both directions; of values as of late counts."""
    desk = Desk()
    desk.now = instant("2026-06-04T00:00:00Z")
    desk.count(AT, 5, receivedBytes=7)
    rules = Rules(direction="both" if direction == "both" else "sent")
    usage = read_usage(desk.ledger, "team-a", JUNE, rules, JUNE.end)
    assert usage.values == {"CN": {seconds(AT): total}}
    assert [late.bytes for late in usage.late] == [total]


@dataclass
class Growing(MemoryLedger):
    """A ledger in which late counts come in beside the first reads."""

    times: int = 1
    asked: list[int] = field(default_factory=list)

    def late(self, account: str, start: int, end: int) -> list[LateCounts]:
        self.asked.append(len(self.asked))
        seen = min(len(self.asked), self.times)
        return [LateCounts(0, account, "CN", seconds(AT), seen, 0)]


def test_values_and_late_counts_are_of_one_state() -> None:
    """Late counts that came in beside the values are read again, with the values."""
    usage = read_usage(Growing(times=3), "team-a", JUNE, Rules(), JUNE.end)
    assert [late.bytes for late in usage.late] == [3]


def test_a_ledger_that_never_rests_is_busy() -> None:
    """A statement of two states would be wrong for good: try again."""
    with pytest.raises(LedgerBusyError, match="late counts come in all the time"):
        read_usage(Growing(times=100), "team-a", JUNE, Rules(), JUNE.end)
