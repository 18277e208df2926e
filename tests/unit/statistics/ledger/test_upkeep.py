"""The schedule of totals and retention, over totals in memory and two clocks."""

from __future__ import annotations

from datetime import datetime

import pytest
from structlog.testing import capture_logs

from support.statistics.build import instant
from wsedge_statistics.errors import LedgerUnwritableError
from wsedge_statistics.ledger.upkeep import PRUNE_SECONDS, ROUND_SECONDS, Upkeep

NOW = instant("2026-06-15T12:00:00Z")


class MemoryTiers:
    """Numbers of dirty totals and of rows past their retention, and the calls that were made."""

    def __init__(self, *, dirty: int = 0, old: int = 0, rows: int = 0) -> None:
        self.dirty, self.old, self.rows = dirty, old, rows
        self.rounds = self.prunes = 0
        self.error: Exception | None = None

    def begin_round(self) -> None:
        self.rounds += 1

    def refresh(self) -> int:
        if self.error is not None:
            raise self.error
        done = min(10, self.dirty)
        self.dirty -= done
        return done

    def migrate(self) -> int:
        done = min(1, self.old)
        self.old -= done
        return done

    def prune(self, now: datetime) -> int:
        assert now == NOW
        self.prunes += 1
        done = min(10, self.rows)
        self.rows -= done
        return done


class Clock:
    """A monotonic clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def upkeep(tiers: MemoryTiers, clock: Clock | None = None) -> Upkeep:
    return Upkeep(tiers, clock=lambda: NOW, monotonic=clock or Clock())


def steps(running: Upkeep) -> int:
    """Run steps until a pause is due; return how many were due at once."""
    for done in range(1000):
        if (pause := running.step()) > 0:
            assert pause == ROUND_SECONDS
            return done
    raise AssertionError("upkeep does not end")


def test_totals_are_recomputed_step_by_step() -> None:
    """While a step finds dirty totals, the next step is due at once, within one round."""
    tiers = MemoryTiers(dirty=21)
    assert steps(upkeep(tiers)) == 3
    assert (tiers.dirty, tiers.rounds) == (0, 1)


def test_a_round_begins_every_thirty_seconds() -> None:
    """The pause is the rest of the round; after a round that took longer there is none."""
    tiers, clock = MemoryTiers(dirty=5), Clock()
    running = upkeep(tiers, clock)
    assert running.step() == 0
    clock.now += ROUND_SECONDS - 4
    assert running.step() == 4
    tiers.dirty = 5
    assert running.step() == 0
    clock.now += ROUND_SECONDS + 4
    assert running.step() == 0
    assert tiers.rounds == 2
    assert running.step() > 0
    assert tiers.rounds == 3


def test_nothing_is_deleted_while_totals_are_due() -> None:
    """Retention follows the last total."""
    tiers = MemoryTiers(dirty=10, rows=10)
    running = upkeep(tiers)
    assert running.step() == 0
    assert tiers.prunes == 0
    assert running.step() == 0
    assert tiers.rows == 0


def test_a_migration_goes_on_step_by_step_before_anything_is_deleted() -> None:
    """The totals that become dirty meanwhile come first."""
    tiers = MemoryTiers(old=3, rows=10)
    running = upkeep(tiers)
    for left in (2, 1):
        tiers.dirty = 10
        assert running.step() == running.step() == 0
        assert (tiers.dirty, tiers.old, tiers.prunes) == (0, left, 0)
    assert steps(running) == 2
    assert tiers.rows == 0


def test_deletion_goes_on_step_by_step_then_rests_for_an_hour() -> None:
    """Steps follow each other until nothing is left; the sum is logged; the next round is an hour later."""
    tiers, clock = MemoryTiers(rows=25), Clock()
    running = upkeep(tiers, clock)
    with capture_logs() as logged:
        assert steps(running) == 3
    assert [(line["event"], line["deleted"]) for line in logged] == [("ledger pruned", 25)]
    assert tiers.prunes == 4
    tiers.rows = 5
    clock.now += PRUNE_SECONDS - 1
    assert steps(running) == 0
    clock.now += 1
    with capture_logs() as logged:
        assert steps(running) == 1
    assert [line["deleted"] for line in logged] == [5]


def test_a_round_without_deletions_is_not_logged() -> None:
    """An hour without anything past its retention leaves no line."""
    with capture_logs() as logged:
        assert steps(upkeep(MemoryTiers())) == 0
    assert logged == []


def test_a_full_disk_is_the_callers_error() -> None:
    """The writer learns that the ledger cannot be written."""
    tiers = MemoryTiers()
    tiers.error = LedgerUnwritableError("full")
    with pytest.raises(LedgerUnwritableError):
        upkeep(tiers).step()
