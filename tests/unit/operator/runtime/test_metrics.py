"""The operator's own metrics: what they say, their number, and their table in the docs."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.operator.controller import turns
from wsedge_operator.errors import UnreachableError
from wsedge_operator.kube.kinds import POD
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.metrics import PREFIX, Metrics
from wsedge_operator.runtime.metrics_page import PAGE, main, with_table
from wsedge_operator.runtime.triggers import DIRECTORY

ROOT = Path(__file__).parents[4]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await event.wait()


class Reconciler:
    """Fails while it is told to."""

    def __init__(self) -> None:
        self.fails = False

    async def reconcile(self, key: Any, failures: int) -> None:
        if self.fails:
            raise UnreachableError("https://api", "no answer")


async def test_the_last_success_stays_while_reconciliations_fail() -> None:
    """Its age is what a failing kind shows: by kind, at the clock of the operator."""
    clock, metrics, reconciler = Clock(), Metrics(), Reconciler()
    agenda = Agenda(clock, metrics)
    controller = Controller(
        reconcilers={"directory": reconciler},
        agenda=agenda,
        cache=Cache(),
        clock=clock,
        metrics=metrics,
        workers=1,
    )
    work = asyncio.create_task(controller.work())

    async def reconciled_at(minute: int, *, fails: bool) -> float | None:
        clock.at, reconciler.fails = clock.at.replace(minute=minute), fails
        agenda.request(DIRECTORY)
        await turns(50)
        return metrics.registry.get_sample_value(f"{PREFIX}last_success_seconds", {"kind": "directory"})

    try:
        assert await reconciled_at(1, fails=True) is None
        first = await reconciled_at(2, fails=False)
        assert first == clock.at.timestamp()
        assert await reconciled_at(7, fails=True) == first
        assert metrics.registry.get_sample_value(f"{PREFIX}queue_oldest_seconds") == 0
        assert await reconciled_at(9, fails=False) == clock.at.timestamp()
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def test_watches_that_begin_again_are_counted_by_kind_and_reason() -> None:
    """A watch that ended is no failure."""
    metrics = Metrics()
    metrics.watch_restarted(POD, "ended")
    metrics.watch_restarted(POD, "failed")
    metrics.watch_restarted(POD, "failed")
    read = metrics.registry.get_sample_value
    assert read(f"{PREFIX}watch_restarts_total", {"kind": "Pod", "reason": "failed"}) == 2
    assert read(f"{PREFIX}watch_restarts_total", {"kind": "Pod", "reason": "ended"}) == 1


def test_the_table_has_every_metric_with_its_type() -> None:
    """And no label by which a tenant could make series without end."""
    metrics = Metrics()
    collected = {(family.name.removeprefix(PREFIX), family.type) for family in metrics.registry.collect()}
    assert {(row.name, row.type) for row in metrics.table} == {
        (name, kind) for name, kind in collected if not name.startswith("process_")
    }
    assert {label for row in metrics.table for label in row.labels} == {
        "kind",
        "namespace",
        "reason",
        "result",
        "state",
        "verb",
    }


def test_the_page_has_the_current_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make generate` writes it, `make check` finds a stale one, and a page without its place is refused."""
    monkeypatch.chdir(tmp_path)
    page = ROOT / PAGE
    assert main(["--check", "--root", str(ROOT)], page) == 0
    (tmp_path / PAGE).parent.mkdir()
    stale = page.read_text().replace("`queue_length`", "`queue_size`")
    (tmp_path / PAGE).write_text(stale)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert (tmp_path / PAGE).read_text() == page.read_text()
    with pytest.raises(ValueError, match="one pair of markers"):
        with_table("# Metrics")
