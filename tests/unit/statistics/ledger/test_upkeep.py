"""The schedule of rollups and retention, over tiers in memory and two clocks."""

from __future__ import annotations

from datetime import datetime

import pytest
from structlog.testing import capture_logs

from support.statistics.build import instant, seconds
from wsedge_statistics.errors import LedgerDamagedError, LedgerUnwritableError
from wsedge_statistics.ledger.upkeep import DAY_CHUNK, HOUR_CHUNK, PRUNE_SECONDS, ROLLUP_SECONDS, Upkeep

NOW = instant("2026-06-15T12:00:00Z")


class MemoryTiers:
    """Numbers of dirty hours, dirty days and rows past their retention, and the calls that were made."""

    def __init__(self, *, hours: int = 0, days: int = 0, rows: int = 0) -> None:
        self.hours, self.days, self.rows = hours, days, rows
        self.before: set[int] = set()
        self.prunes = 0
        self.error: Exception | None = None

    def roll_hours(self, *, limit: int) -> int:
        if self.error is not None:
            raise self.error
        done = min(limit, self.hours)
        self.hours -= done
        return done

    def roll_days(self, *, before: int, limit: int) -> int:
        self.before.add(before)
        done = min(limit, self.days)
        self.days -= done
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
            assert pause == ROLLUP_SECONDS
            return done
    raise AssertionError("upkeep does not end")


def test_rollups_are_done_in_chunks() -> None:
    """A step recomputes HOUR_CHUNK hours and DAY_CHUNK days at most, and the next step is due at once."""
    tiers = MemoryTiers(hours=2 * HOUR_CHUNK + 1, days=DAY_CHUNK + 1)
    running = upkeep(tiers)
    assert running.step() == 0
    assert (tiers.hours, tiers.days) == (HOUR_CHUNK + 1, 1)
    assert steps(running) == 2
    assert (tiers.hours, tiers.days) == (0, 0)


def test_a_day_is_rolled_an_hour_after_its_end() -> None:
    """Days that began at least 25 hours ago have ended for an hour."""
    tiers = MemoryTiers()
    upkeep(tiers).step()
    assert tiers.before == {seconds("2026-06-14T11:00:00Z")}


def test_nothing_is_deleted_while_rollups_are_due() -> None:
    """Retention follows the last rollup."""
    tiers = MemoryTiers(hours=HOUR_CHUNK, rows=10)
    running = upkeep(tiers)
    assert running.step() == 0
    assert tiers.prunes == 0
    assert running.step() == 0
    assert tiers.rows == 0


def test_deletion_goes_on_step_by_step_then_rests_for_an_hour() -> None:
    """Steps follow each other until nothing is left; the sum is logged; the next round is an hour later."""
    tiers, clock = MemoryTiers(rows=25), Clock()
    running = upkeep(tiers, clock)
    with capture_logs() as logged:
        assert steps(running) == 3
    assert [(line["event"], line["rows"]) for line in logged] == [("ledger pruned", 25)]
    assert tiers.prunes == 4
    tiers.rows = 5
    clock.now += PRUNE_SECONDS - 1
    assert steps(running) == 0
    clock.now += 1
    with capture_logs() as logged:
        assert steps(running) == 1
    assert [line["rows"] for line in logged] == [5]


def test_a_round_without_deletions_is_not_logged() -> None:
    """An hour without anything past its retention leaves no line."""
    with capture_logs() as logged:
        assert steps(upkeep(MemoryTiers())) == 0
    assert logged == []


def test_a_damaged_rollup_is_logged_and_nothing_is_deleted() -> None:
    """The next attempt is after a pause, and rows are not deleted before their rollup."""
    tiers = MemoryTiers(rows=10)
    tiers.error = LedgerDamagedError("the rollup that begins at 0 is damaged")
    with capture_logs() as logged:
        assert upkeep(tiers).step() == ROLLUP_SECONDS
    assert [(line["event"], line["log_level"]) for line in logged] == [("rollup cannot be read", "error")]
    assert tiers.prunes == 0


def test_a_full_disk_is_the_callers_error() -> None:
    """The writer learns that the ledger cannot be written."""
    tiers = MemoryTiers()
    tiers.error = LedgerUnwritableError("full")
    with pytest.raises(LedgerUnwritableError):
        upkeep(tiers).step()
