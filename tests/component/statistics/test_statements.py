"""Statements over the real ledger, and by the real program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.statistics.build import instant, recent_bucket, report, row, usage
from support.statistics.clickhouse import clickhouse_address
from support.statistics.desk import GB, PRICES, directory_of, terms
from support.statistics.process import statistics
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.ledger import Ledger, Room
from wsedge_statistics.ledger.clickhouse.store import ClickHouseLedger
from wsedge_statistics.ledger.sqlite.store import SqliteLedger
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.services import Services
from wsedge_statistics.statements.closing import Closer

OLD, NEW = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"


class Time:
    """A clock that a test sets."""

    def __init__(self, now: str) -> None:
        self.now = instant(now)

    def __call__(self) -> datetime:
        return self.now


# Opens the ledger of a test, again and again, on a clock.
Open = Callable[[Time, Metrics], Ledger]


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Open]:
    yield lambda clock, metrics: SqliteLedger(folder, clock=clock, observer=metrics.ledger)


@contextmanager
def on_clickhouse(_: Path) -> Iterator[Open]:
    with clickhouse_address() as address:
        yield lambda clock, metrics: ClickHouseLedger(address, clock=clock, observer=metrics.ledger)


LEDGERS: dict[str, Callable[[Path], AbstractContextManager[Open]]] = {
    "sqlite": on_sqlite,
    "clickhouse": on_clickhouse,
}


@pytest.fixture(params=LEDGERS)
def open_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with LEDGERS[request.param](tmp_path) as opens:
        yield opens


@contextmanager
def opened(
    open_ledger: Open, clock: Time, uid: str | None = None, since: str = "2026-01-01T00:00:00Z"
) -> Iterator[tuple[Ledger, Services, Closer]]:
    """A program over a ledger, as after its start, with a Directory of now."""
    metrics = Metrics()
    with closing(open_ledger(clock, metrics)) as ledger:
        lives = None if uid is None else {"team_a": {"uid": uid, "since": since}}
        directory = directory_of(clock.now.isoformat(), lives, team_a=[terms(start=since)])
        tenures = ledger.put_directory(directory).result()
        assert tenures is not None
        services = Services(
            ledger=ledger,
            clock=clock,
            metrics=metrics,
            policy=Policy(),
            verifier=None,
            directory=DirectoryView.of(directory),
            tenures=tenures,
            room=Room(1000, 10_000, 1000),
            default_zone="UTC",
            grace=timedelta(seconds=60),
            max_body=1,
            max_inflated=1,
        )
        yield ledger, services, Closer(services)


def test_a_month_closes_once_over_restarts_and_late_counts_adjust_the_next(open_ledger: Open) -> None:
    """Counts on disk, three starts of the program: June is closed once, and July has its adjustment."""
    clock = Time("2026-06-03T00:07:00Z")
    with opened(open_ledger, clock) as (ledger, _, closer):
        first = row(instant("2026-06-03T00:00:00Z"), sentBytes=GB, receivedBytes=7)
        other = row(instant("2026-06-03T00:00:00Z"), sentBytes=GB, domain="b.example", region="zhejiang")
        ledger.commit(usage(first, other)).result()
        closer.tick()
        assert ledger.statements("team-a") == []
    clock.now = instant("2026-07-02T00:01:00Z")
    with opened(open_ledger, clock) as (ledger, _, closer):
        ledger.commit(usage(row(instant("2026-07-01T23:55:00Z"), sentBytes=1))).result()
        closer.tick()
        (june,) = ledger.statements("team-a")
        (line,) = json.loads(june.body)["lines"]
        assert (line["bytes"], line["quantity"]) == (2 * GB, "2.000000000")
        late = row(instant("2026-06-04T00:00:00Z"), sentBytes=GB)
        ledger.commit(usage(late, epoch="aaaa0000")).result()
    clock.now = instant("2026-08-02T00:01:00Z")
    with opened(open_ledger, clock) as (ledger, _, closer):
        ledger.commit(usage(row(instant("2026-08-01T23:55:00Z"), sentBytes=1))).result()
        closer.tick()
        kept, july = ledger.statements("team-a")
        assert kept == june
        (adjusted,) = json.loads(july.body)["adjustments"]
        assert (adjusted["period"], adjusted["lateBytes"], adjusted["new"]["bytes"]) == (
            "2026-06",
            GB,
            3 * GB,
        )


def test_a_namespace_that_is_made_again_does_not_get_rid_of_its_bill(open_ledger: Open) -> None:
    """The terms of the former life are on disk: its June closes in a program that never heard of it."""
    clock = Time("2026-06-03T00:07:00Z")
    with opened(open_ledger, clock, OLD) as (ledger, _, _):
        ledger.commit(usage(row(instant("2026-06-03T00:00:00Z"), sentBytes=3 * GB))).result()
    clock.now = instant("2026-06-15T10:01:00Z")
    with opened(open_ledger, clock, NEW, "2026-06-15T10:00:00Z"):
        pass
    clock.now = instant("2026-07-02T00:01:00Z")
    with opened(open_ledger, clock, NEW, "2026-06-15T10:00:00Z") as (ledger, services, closer):
        key = services.tenures.current("team-a").key
        counts = row(instant("2026-07-01T23:55:00Z"), sentBytes=1)
        ledger.commit(usage(counts, epoch="aaaa0000"), {"team-a": key}).result()
        closer.tick()
        (former,), (current,) = ledger.statements("team-a"), ledger.statements(key)
    (line,) = json.loads(former.body)["lines"]
    assert (json.loads(former.body)["account"], line["bytes"]) == ("team-a@11111111", 3 * GB)
    assert [each["bytes"] for each in json.loads(current.body)["lines"]] == [0]


def test_the_program_shows_the_running_month_with_prices(tmp_path: Path) -> None:
    """The counts that a relay reports are priced by the book, which the metrics call valid."""
    book = tmp_path / "prices.json"
    book.write_text(PRICES)
    bucket = recent_bucket(2)
    began = bucket.replace(day=1, hour=0, minute=0).isoformat()
    written = recent_bucket(0).isoformat()
    accounts = directory_of(written, team_a=[terms(start=began)]).model_dump(mode="json")
    with statistics(tmp_path / "data", "--price-book", str(book)) as running:
        assert running.put_directory(accounts).status == 204
        assert running.post(report(row(bucket, sentBytes=2 * GB))).status == 204
        answer = running.get(f"/v1/statements/{bucket:%Y-%m}", account="team-a")
        assert (answer.json["state"], answer.json["amount"]) == ("Open", "1.00")
        metrics = running.get("/metrics").text
        assert b"wsedge_statistics_price_book_valid 1.0" in metrics
        assert b"wsedge_statistics_closing_alive 1.0" in metrics
        assert running.stop() == 0


def test_the_program_says_when_the_price_book_is_broken(tmp_path: Path) -> None:
    """It serves, the metric is 0 and the log has the field."""
    book = tmp_path / "prices.json"
    book.write_text('{"currency": "CNY", "prices": [{"method": "Month96", "tiers": []}]}')
    with statistics(tmp_path / "data", "--price-book", str(book)) as running:
        assert b"wsedge_statistics_price_book_valid 0.0" in running.get("/metrics").text
        assert "prices.0.method" in running.event("price book cannot be used")["error"]
        assert running.get("/readyz").status == 200
