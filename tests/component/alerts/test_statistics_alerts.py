"""Each alert about the statistics fires on the metrics of the program in its fault, and is cleared after it.

Where the fault needs months or an hour of a clock, the program's parts run on a clock of the test.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.faults.clock import StepClock
from support.promql import History, Scrape
from support.statistics.build import instant, recent_bucket, report, row, usage
from support.statistics.desk import PRICES, directory_of, terms
from support.statistics.faults import LIMITED, big_report, damage, free_space
from support.statistics.process import Statistics, statistics, until_true
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.ledger import Room
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.presence import Presence
from wsedge_statistics.services import Services
from wsedge_statistics.statements.closing import Closer, ClosingThread


def of(program: Statistics, before: Callable[[], object] = lambda: None) -> Scrape:
    """Return the scrape of a running program; `before` is called before each."""

    async def scrape() -> str | None:
        before()
        return (await asyncio.to_thread(program.get, "/metrics")).text.decode()

    return scrape


async def nothing() -> str | None:
    """Scrape a program that does not run."""
    return None


async def test_statistics_that_do_not_run(tmp_path: Path) -> None:
    """WsedgeStatisticsAbsent."""
    history = History(namespace="wsedge-system", pod="wsedge-statistics-0")
    with statistics(tmp_path) as program:
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgeStatisticsAbsent") == ""
    await history.pass_minutes(3, nothing)
    assert history.state("WsedgeStatisticsAbsent") == "pending"
    await history.pass_minutes(5, nothing)
    assert history.state("WsedgeStatisticsAbsent") == "firing"
    with statistics(tmp_path) as program:
        await history.pass_minutes(1, of(program))
    assert history.state("WsedgeStatisticsAbsent") == ""


async def test_a_ledger_on_a_full_disk(tmp_path: Path) -> None:
    """WsedgeLedgerUnwritable."""
    history = History()
    with statistics(tmp_path, prefix=(*LIMITED, str(400_000))) as program:
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgeLedgerUnwritable") == ""
        until_true(lambda: program.post(big_report(len(program.seen) + program.process.pid)).status == 503)
        await history.pass_minutes(6, of(program))
        assert history.state("WsedgeLedgerUnwritable") == "firing"
        free_space(program)
        program.event("ledger can be written again")
        await history.pass_minutes(1, of(program))
        assert history.state("WsedgeLedgerUnwritable") == ""


async def test_a_ledger_with_a_damaged_place(tmp_path: Path) -> None:
    """WsedgeLedgerDamaged: at the first read that meets it, and for an hour after the last."""
    history = History()
    old = [recent_bucket(12 * 24 * day) for day in range(1, 10)]
    with statistics(tmp_path / "data") as program:
        for bucket in old:
            rows = (row(bucket, domain=f"d{number}.example", sentBytes=1) for number in range(60))
            assert program.post(report(*rows)).status == 204
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgeLedgerDamaged") == ""
        assert program.stop() == 0
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    damage(tmp_path / "data" / "ledger.sqlite3", "usage")
    with statistics(tmp_path / "data") as program:
        answer = program.post(report(row(old[-1], domain="d0.example", sentBytes=2)))
        assert answer.status == 503, answer.text
        await history.pass_minutes(1, of(program))
        assert history.state("WsedgeLedgerDamaged") == "firing"
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "backup", tmp_path / "data")
    with statistics(tmp_path / "data") as program:
        await history.pass_minutes(61, of(program))
        assert history.state("WsedgeLedgerDamaged") == ""


async def test_a_disk_that_is_full_in_a_week(tmp_path: Path) -> None:
    """WsedgeLedgerDiskFullSoon: a real ledger grows for hours of the test's clock, on a disk of 40 MB."""
    now = [0.0]
    free = [40_000_000]
    metrics = Metrics()
    ledger = SqliteLedger(tmp_path, clock=lambda: datetime.now(UTC), observer=metrics.ledger)
    metrics.ledger.watch_disk(size=ledger.size, free=lambda: free[0], monotonic=lambda: now[0])
    numbers = iter(range(10_000))

    async def scrape() -> str | None:
        now[0] += 60
        number = next(numbers)
        if number % 10 == 0:
            rows = (row(recent_bucket(1), domain=f"d{each}.example", sentBytes=1) for each in range(1000))
            ledger.commit(usage(*rows, uid=f"uid-{number}")).result(30)
        return metrics.text().decode()

    history = History()
    try:
        await history.pass_minutes(30, scrape)
        assert history.state("WsedgeLedgerDiskFullSoon") == ""
        await history.pass_minutes(100, scrape)
        (alert,) = history.alerts("WsedgeLedgerDiskFullSoon")
        assert (alert.state, "days at the growth" in alert.annotations["summary"]) == ("firing", True)
        free[0] = 100_000_000_000
        await history.pass_minutes(1, scrape)
        assert history.state("WsedgeLedgerDiskFullSoon") == ""
    finally:
        ledger.close()


async def test_a_clock_that_jumped(tmp_path: Path) -> None:
    """WsedgeDeletionsBehind: the program started a year ahead of the newest counts."""
    clock = StepClock(tmp_path, timedelta(days=300))
    ahead = ("env", *(f"{name}={value}" for name, value in clock.variables.items()))
    history = History()

    with statistics(tmp_path / "data") as program:
        assert program.post(report(row(recent_bucket(1), sentBytes=1))).status == 204
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgeDeletionsBehind") == ""
    with statistics(tmp_path / "data", prefix=ahead) as program:
        program.logged("deletion waits")  # upkeep may be first
        await history.pass_minutes(62, of(program))
        assert history.state("WsedgeDeletionsBehind") == "firing"
    with statistics(tmp_path / "data") as program:
        await history.pass_minutes(1, of(program))
        assert history.state("WsedgeDeletionsBehind") == ""


async def test_a_relay_that_breaks_its_promise(tmp_path: Path) -> None:
    """WsedgeRelaysSilent: until it reports again."""

    def says(number: int, program: Statistics) -> Callable[[], bool]:
        metric = f'wsedge_statistics_relays{{state="silent"}} {number}.0'
        return lambda: metric in program.get("/metrics").text.decode()

    history = History()
    promise = {**report(row(recent_bucket(), sentBytes=1)), "nextWithinSeconds": 1}
    with statistics(tmp_path) as program:
        assert program.post({**promise, "nextWithinSeconds": 600}).status == 204
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgeRelaysSilent") == ""
        assert program.post(promise).status == 204
        until_true(says(1, program))
        await history.pass_minutes(17, of(program))
        assert history.state("WsedgeRelaysSilent") == "firing"
        assert program.post({**promise, "nextWithinSeconds": 600}).status == 204
        await history.pass_minutes(1, of(program))
        assert history.state("WsedgeRelaysSilent") == ""


async def test_buckets_without_the_counts_of_a_relay() -> None:
    """WsedgeBucketsIncomplete: since its last report, by the test's clock, until the relay reports again."""
    history, metrics, presence, elapsed = History(), Metrics(), Presence(), [0.0]
    begun = instant("2026-06-03T00:00:00Z")
    grace = timedelta(seconds=60)
    metrics.relays.watch(
        lambda: presence.relays(None, now=elapsed[0]),
        lambda: presence.incomplete_buckets(
            monotonic=elapsed[0], now=begun + timedelta(seconds=elapsed[0]), grace=grace
        ),
    )
    source = usage(row(begun, sentBytes=1)).source

    async def scrape() -> str | None:
        elapsed[0] += 60
        return metrics.text().decode()

    presence.note(source, ["team-a"], next_within=300, now=elapsed[0])
    await history.pass_minutes(4, scrape)
    assert history.state("WsedgeBucketsIncomplete") == ""
    await history.pass_minutes(40, scrape)
    assert history.state("WsedgeBucketsIncomplete") == "firing"
    presence.note(source, ["team-a"], next_within=300, now=elapsed[0])
    await history.pass_minutes(1, scrape)
    assert history.state("WsedgeBucketsIncomplete") == ""


async def test_rows_that_are_refused(tmp_path: Path) -> None:
    """WsedgeReportsRefused: while it lasts, with its reason; not for one report."""
    history = History()
    bad = report(row(recent_bucket(12 * 24 * 200), sentBytes=1))
    with statistics(tmp_path) as program:

        def post() -> None:
            assert program.post(bad).status == 422

        await history.pass_minutes(1, of(program, post))
        await history.pass_minutes(35, of(program))
        assert history.state("WsedgeReportsRefused") == ""
        await history.pass_minutes(32, of(program, post))
        (alert,) = history.alerts("WsedgeReportsRefused")
        assert alert.state == "firing"
        assert f"({alert.labels['reason']})" in alert.annotations["summary"]
        await history.pass_minutes(31, of(program))
        assert history.state("WsedgeReportsRefused") == ""


async def test_reports_that_come_late(tmp_path: Path) -> None:
    """WsedgeReportsLate: buckets of an hour ago, again and again."""
    numbers = iter(range(1, 10_000))
    history = History()
    with statistics(tmp_path) as program:

        def late(buckets: int) -> Callable[[], None]:
            def post() -> None:
                assert (
                    program.post(report(row(recent_bucket(buckets), sentBytes=next(numbers)))).status == 204
                )

            return post

        await history.pass_minutes(5, of(program, late(0)))
        assert history.state("WsedgeReportsLate") == ""
        await history.pass_minutes(31, of(program, late(12)))
        assert history.state("WsedgeReportsLate") == "firing"
        await history.pass_minutes(16, of(program, late(0)))
        assert history.state("WsedgeReportsLate") == ""


class Desk:
    """A ledger with counts of June, and the services of the program, on a clock of the test."""

    def __init__(self, folder: Path) -> None:
        self.now = instant("2026-06-03T00:07:00Z")
        self.metrics = Metrics()
        self.ledger = SqliteLedger(folder, clock=lambda: self.now, observer=self.metrics.ledger)
        self.put_directory()
        self.ledger.commit(usage(row(instant("2026-06-03T00:00:00Z"), sentBytes=1))).result(30)
        self.services = Services(
            ledger=self.ledger,
            clock=lambda: self.now,
            metrics=self.metrics,
            policy=Policy(),
            verifier=None,
            directory=self.directory,
            tenures=self.ledger.tenures(),
            room=Room(1000, 10_000, 1000),
            default_zone="UTC",
            grace=timedelta(seconds=60),
            max_body=1,
            max_inflated=1,
        )

    def put_directory(self) -> None:
        document = directory_of(self.now.isoformat(), None, team_a=[terms(start="2026-01-01T00:00:00Z")])
        self.ledger.put_directory(document).result(30)
        self.directory = DirectoryView.of(document)

    async def scrape(self) -> str | None:
        return self.metrics.text().decode()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.ledger.close()


async def test_a_statement_that_waits_for_another_clock(desk: Desk) -> None:
    """WsedgeStatementsOverdue: due by the own clock alone, until operator and relays say the same."""
    closer, history = Closer(desk.services), History()
    closer.tick()
    await history.pass_minutes(2, desk.scrape)
    assert history.state("WsedgeStatementsOverdue") == ""
    desk.now = instant("2026-07-02T00:01:00Z")
    closer.tick()
    await history.pass_minutes(62, desk.scrape)
    assert history.state("WsedgeStatementsOverdue") == "firing"
    desk.put_directory()
    desk.services.directory = desk.directory
    desk.ledger.commit(usage(row(instant("2026-07-01T23:55:00Z"), sentBytes=1))).result(30)
    closer.tick()
    await history.pass_minutes(1, desk.scrape)
    assert history.state("WsedgeStatementsOverdue") == ""
    assert len(desk.ledger.statements("team-a")) == 1


class Defective(Closer):
    """A closer with a defect from its second turn on."""

    def tick(self) -> None:
        raise ZeroDivisionError


@contextmanager
def closing(desk: Desk, closer: Closer) -> Iterator[ClosingThread]:
    with ClosingThread(closer, every=0.01) as thread:
        desk.metrics.statements.watch_closing(thread.alive)
        yield thread


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_a_defect_ended(tmp_path: Path) -> None:
    """WsedgeStatementsStopped: until the program is started again."""
    history = History()
    for number, (closer, minutes, state) in enumerate(
        ((Closer, 2, ""), (Defective, 6, "firing"), (Closer, 1, ""))
    ):
        desk = Desk(tmp_path / str(number))
        with closing(desk, closer(desk.services)) as thread:
            if closer is Defective:
                until_true(lambda: not thread.alive())
            await history.pass_minutes(minutes, desk.scrape)
        desk.ledger.close()
        assert history.state("WsedgeStatementsStopped") == state


async def test_a_price_book_that_cannot_be_used(tmp_path: Path) -> None:
    """WsedgePriceBookInvalid: until the file is mended."""
    book, history = tmp_path / "prices.json", History()
    book.write_text(PRICES)
    with statistics(tmp_path / "data", "--price-book", str(book)) as program:
        await history.pass_minutes(2, of(program))
        assert history.state("WsedgePriceBookInvalid") == ""
        book.write_text('{"currency": "CNY", "prices": [{"method": "Month96", "tiers": []}]}')
        await history.pass_minutes(16, of(program))
        assert history.state("WsedgePriceBookInvalid") == "firing"
        book.write_text(PRICES)
        await history.pass_minutes(1, of(program))
        assert history.state("WsedgePriceBookInvalid") == ""
